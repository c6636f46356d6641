// The worker of a Go program, the engine or the packer: starts it and carries
// calls to it.
//
// In:  {scripts, lock} first: the addresses of the scripts beside the program, and a name
//      {module} then: the program, compiled
//      {id, method, argument}   method is one of the table below
// Out: {here: true} once the scripts are there, {here: false} where one did not come;
//      {locked: true} once the worker holds the lock of that name: for as long as it lives
//      {id, heard: true} at once, {id, event} any number of times, then {id, result} or
//      {id, error: {code, message}};
//      {fatal: {code, message}} once the program has ended, which it never does by itself
"use strict";

const failure = (code, message) => ({ code, message });

function begin(scripts, lock) {
	try {
		importScripts(...scripts);
	} catch {
		return postMessage({ here: false });
	}
	postMessage({ here: true });
	self.navigator.locks?.request(lock, () => {
		postMessage({ locked: true });
		return new Promise(() => {});
	}).catch(() => {}); // a sandboxed page has no locks
}

async function start(module) {
	const go = new Go();
	const printed = tail();
	const instance = await WebAssembly.instantiate(module, go.importObject);
	go.run(instance).then(() => ended(printed()), (err) => ended(String(err)));
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
			? failure("out-of-memory", "there is not enough memory: close other tabs or choose a smaller picture, and try again")
			: failure("internal", "the engine stopped: try again; its last words are in the console"),
	});
}

let generator = null;

const methods = {
	capabilities: (model) => wispEngine.capabilities(model),
	models: () => wispEngine.models(),
	upscale: (options, event) => wispEngine.upscale(options, event),
	removeModel: (id) => wispEngine.removeModel(id),
	async create(options, event) {
		generator = await wispEngine.create(options, event);
		const { id, name, licence, card, backend, device, defaults, samplers, schedules, names, settings, fields } = generator;
		return { id, name, licence, card, backend, device, defaults, samplers, schedules, names: JSON.parse(names), fields, settings: settings ? JSON.parse(settings) : {} };
	},
	generate: (request, event) => generator.generate(request, event),
	addLora: (file) => generator.addLora(file),
	removeLora: (id) => generator.removeLora(id),
	addControl: (file) => generator.addControl(file),
	removeControl: (id) => generator.removeControl(id),
	countTokens: (prompt) => generator.countTokens(prompt),
	complete: () => generator.complete(),
	async cancel() { generator?.cancel(); },
	// of the packer
	inspect: (files) => wispPack.inspect(files),
	importModel: (options, event) => wispPack.importModel(options, event),
	preprocess: (options) => wispPack.preprocess(options),
	preprocessors: () => wispPack.preprocessors(),
	async cancelImport() { wispPack.cancel(); },
};

// buffers lists what may be moved instead of copied.
const buffers = (images) => images.map((image) => image.data.buffer);

let started = null; // promise

self.onmessage = async ({ data: { scripts, lock, module, id, method, argument } }) => {
	if (scripts) return begin(scripts, lock);
	if (module) {
		started = start(module);
		started.catch(() => {}); // every call reports it
		return;
	}
	postMessage({ id, heard: true });
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
