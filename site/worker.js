// The engine's worker: starts the Go program and carries calls to it.
//
// In:  {id, method, args}   "capabilities" | "create" | "generate" | "cancel" | "dispose"
// Out: {id, event} any number of times, then {id, result} or {id, error: {code, message}}
"use strict";

// A worker that was made from a blob (a page of another origin) is told where
// the engine's files are; any other finds them beside itself.
const base = self.wispBase ?? new URL(".", self.location.href).href;

let generator = null;

async function start() {
	if (typeof WebAssembly !== "object") {
		throw { code: "unsupported", message: "this browser has no WebAssembly: use a current one" };
	}
	importScripts(new URL("wasm_exec.js", base).href);
	const go = new Go();
	const module = fetch(new URL("wisp.wasm", base).href).then((answer) => {
		if (!answer.ok) throw { code: "network", message: `the engine could not be loaded: HTTP status ${answer.status}` };
		return answer;
	}, () => {
		throw { code: "network", message: "the engine could not be loaded: check the connection and try again" };
	});
	const { instance } = await WebAssembly.instantiateStreaming(module, go.importObject);
	go.run(instance).then(() => fail("the engine stopped"), (err) => fail(String(err)));
}

// fail reports that the Go program ended, which it never does by itself.
function fail(message) {
	postMessage({ fatal: { code: "internal", message } });
}

const methods = {
	capabilities: (url) => wispEngine.capabilities(url),
	async create(options, event) {
		generator = await wispEngine.create(options, event);
		const { name, licence, backend, defaults, samplers, settings } = generator;
		return { name, licence, backend, defaults, samplers, settings: settings ? JSON.parse(settings) : {} };
	},
	generate: (request, event) => generator.generate(request, event),
	async cancel() { generator?.cancel(); },
	async dispose() { await generator?.dispose(); },
};

const started = start();
// Each call reports a failed start itself.
started.catch(() => {});

// buffers lists what may be moved instead of copied.
const buffers = (images) => images.map((image) => image.data.buffer);

self.onmessage = async ({ data: { id, method, argument } }) => {
	try {
		await started;
		const event = (e) => postMessage({ id, event: e }, e.preview ? buffers([e.preview]) : []);
		const result = await methods[method](argument, event);
		postMessage({ id, result }, result?.images ? buffers(result.images) : []);
	} catch (err) {
		const { code = "internal", message = String(err) } = err ?? {};
		postMessage({ id, error: { code: typeof code === "string" ? code : "internal", message } });
	}
};
