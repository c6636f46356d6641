// The worker of a Go program, the engine or the packer: starts it and carries
// calls to it.
//
// In:  {parts: {program, scripts}} first: the addresses of the wasm and of the scripts beside it
//      {id, method, argument}   method is one of the table below
// Out: {id, event} any number of times, then {id, result} or {id, error: {code, message}};
//      {fatal: {code, message}} once the program has ended, which it never does by itself
"use strict";

const failure = (code, message) => ({ code, message });

async function start({ program, scripts }) {
	if (typeof WebAssembly !== "object") throw failure("unsupported", "this browser has no WebAssembly: use a current one");
	const unreachable = failure("network", "the engine could not be loaded: check the connection and try again");
	const answer = fetch(program).catch(() => { throw unreachable; });
	answer.catch(() => {}); // awaited below, unless the next line throws first
	try {
		importScripts(...scripts);
	} catch {
		throw unreachable;
	}
	const go = new Go();
	const printed = tail();
	const { instance } = await instantiate(await answer, go.importObject);
	go.run(instance).then(() => ended(printed()), (err) => ended(String(err)));
}

async function instantiate(answer, imports) {
	if (!answer.ok) throw failure("network", `the engine could not be loaded: HTTP status ${answer.status}`);
	// Streaming needs the right content type, which a plain host may lack.
	if (answer.headers.get("Content-Type") === "application/wasm") return WebAssembly.instantiateStreaming(answer, imports);
	return WebAssembly.instantiate(await answer.arrayBuffer(), imports);
}

// tail keeps the end of what the Go program prints, beside the console: its
// last words tell why it ended.
function tail() {
	let text = "";
	const decoder = new TextDecoder();
	const write = self.fs.writeSync;
	self.fs.writeSync = function (fd, bytes) {
		text = (text + decoder.decode(bytes, { stream: true })).slice(-4096);
		return write.call(this, fd, bytes);
	};
	return () => text;
}

function ended(why) {
	const memory = /out of memory|memory access out of bounds|cannot allocate/i.test(why);
	postMessage({
		fatal: memory
			? failure("out-of-memory", "the engine ran out of memory: close other tabs, choose a smaller picture, and reload")
			: failure("internal", "the engine stopped: reload the page; its last words are in the console"),
	});
}

let generator = null;

const methods = {
	capabilities: (model) => wispEngine.capabilities(model),
	models: () => wispEngine.models(),
	removeModel: (id) => wispEngine.removeModel(id),
	async create(options, event) {
		generator = await wispEngine.create(options, event);
		const { id, name, licence, card, backend, device, defaults, samplers, schedules, settings } = generator;
		return { id, name, licence, card, backend, device, defaults, samplers, schedules, settings: settings ? JSON.parse(settings) : {} };
	},
	generate: (request, event) => generator.generate(request, event),
	async cancel() { generator?.cancel(); },
	// of the packer
	inspect: (files) => wispPack.inspect(files),
	importModel: (options, event) => wispPack.importModel(options, event),
	async cancelImport() { wispPack.cancel(); },
};

let started = null; // promise

// buffers lists what may be moved instead of copied.
const buffers = (images) => images.map((image) => image.data.buffer);

self.onmessage = async ({ data: { parts, id, method, argument } }) => {
	if (parts) {
		started = start(parts);
		started.catch(() => {}); // every call reports it
		return;
	}
	try {
		await started;
		const event = (e) => postMessage({ id, event: e }, e.preview ? buffers([e.preview]) : []);
		const result = await methods[method](argument, event);
		postMessage({ id, result }, result?.images ? buffers(result.images) : []);
	} catch (err) {
		const known = typeof err?.code === "string";
		postMessage({ id, error: known ? failure(err.code, err.message) : failure("internal", String(err)) });
	}
};
