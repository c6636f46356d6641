// Runs the visitor with the job that the page sends.
importScripts("wasm_exec.js");
self.report = (text) => postMessage(text);
onmessage = async ({ data }) => {
	self.job = data;
	const go = new Go();
	const { instance } = await WebAssembly.instantiateStreaming(fetch("visitor.wasm"), go.importObject);
	await go.run(instance);
};
