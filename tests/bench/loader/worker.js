// One load of a model: wisp's in visitor.wasm, or the peers' here.
importScripts("wasm_exec.js");
self.report = (text) => postMessage(text);
// The clock starts when the server has answered this.
self.ready = async (go) => { await fetch("ready"); go(); };

onmessage = async ({ data: job }) => {
	if (job.Way === "peer") return ready(async () => report(JSON.stringify({ Seconds: await peer(job.Model + "model.onnx_data") })));
	self.job = JSON.stringify(job);
	const go = new Go();
	const { instance } = await WebAssembly.instantiateStreaming(fetch("visitor.wasm"), go.importObject);
	await go.run(instance);
};

// The whole file from the Cache API or the network, in one buffer, which goes
// into the memory of the runtime's WebAssembly as a session's weights do.
async function peer(url) {
	const start = performance.now();
	const cache = await caches.open("models");
	let response = await cache.match(url);
	const cold = !response;
	if (cold) response = await fetch(url);
	const buffer = new Uint8Array(await response.arrayBuffer());
	if (cold) await cache.put(url, new Response(buffer, { headers: response.headers }));
	const memory = new WebAssembly.Memory({ initial: Math.ceil(buffer.length / 65536) });
	new Uint8Array(memory.buffer).set(buffer);
	return (performance.now() - start) / 1000;
}
