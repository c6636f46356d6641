// wisp: pictures from words, on this device. The public module; types and
// documentation in wisp.d.ts.

const codes = ["unsupported", "network", "corrupt", "quota", "out-of-memory", "device-lost", "aborted", "bad-request", "bad-model", "internal"];

export class WispError extends Error {
	constructor(code, message) {
		super(message);
		this.name = "WispError";
		this.code = codes.includes(code) ? code : "internal";
	}
}

const here = new URL(".", import.meta.url).href;

// The default model lies beside this module.
const defaultModel = new URL("models/default/", here).href;

const absolute = (model) => new URL(model ?? defaultModel, globalThis.document?.baseURI ?? here).href;

// Engine is a worker and the calls that wait for it.
class Engine {
	#worker;
	#calls = new Map(); // id -> {resolve, reject, onEvent}
	#last = 0;
	#dead = null; // the WispError after which nothing works

	constructor() {
		this.#worker = newWorker();
		this.#worker.onmessage = ({ data }) => this.#receive(data);
		this.#worker.onerror = (event) => {
			event.preventDefault();
			this.#die(new WispError("internal", event.message || "the engine's worker could not start: a content security policy may forbid it"));
		};
	}

	call(method, argument, onEvent) {
		if (this.#dead) return Promise.reject(this.#dead);
		const id = ++this.#last;
		return new Promise((resolve, reject) => {
			this.#calls.set(id, { resolve, reject, onEvent });
			this.#worker.postMessage({ id, method, argument });
		});
	}

	close(error = new WispError("aborted", "the generator was disposed of")) {
		this.#worker.terminate();
		this.#die(error);
	}

	#receive({ id, event, result, error, fatal }) {
		if (fatal) return this.#die(new WispError(fatal.code, fatal.message));
		const call = this.#calls.get(id);
		if (!call) return;
		if (event) return call.onEvent?.(event);
		this.#calls.delete(id);
		if (error) call.reject(new WispError(error.code, error.message));
		else call.resolve(result);
	}

	#die(error) {
		this.#dead ??= error;
		for (const call of this.#calls.values()) call.reject(this.#dead);
		this.#calls.clear();
	}
}

// newWorker starts the worker; from a page of another origin by way of a blob,
// since a worker's script must be of the page's own.
function newWorker() {
	const url = new URL("worker.js", here);
	if (url.origin === globalThis.location?.origin) return new Worker(url);
	const script = `self.wispBase = ${JSON.stringify(here)}; importScripts(${JSON.stringify(url.href)});`;
	const blob = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
	try {
		return new Worker(blob);
	} finally {
		setTimeout(() => URL.revokeObjectURL(blob), 60_000);
	}
}

const aborted = () => new WispError("aborted", "the request was cancelled");

export async function capabilities(model) {
	const engine = new Engine();
	try {
		return await engine.call("capabilities", absolute(model));
	} finally {
		engine.close();
	}
}

export async function createGenerator({ model, backend = "auto", threads, signal, onProgress, onWarning, busy = "queue" } = {}) {
	if (!["queue", "abort", "reject"].includes(busy)) throw new WispError("bad-request", `busy is "${busy}": choose queue, abort or reject`);
	if (signal?.aborted) throw aborted();
	const engine = new Engine();
	const stop = () => engine.close(aborted());
	signal?.addEventListener("abort", stop, { once: true });
	try {
		const facts = await engine.call("create", { model: absolute(model), backend, threads }, (event) => {
			if (event.type === "warning") onWarning?.(event.message);
			else onProgress?.({ stage: event.stage, loaded: event.loaded, total: event.total });
		});
		return new Generator(engine, facts, busy);
	} catch (err) {
		engine.close();
		throw err;
	} finally {
		signal?.removeEventListener("abort", stop);
	}
}

const imageData = ({ width, height, data }) => new ImageData(data, width, height);

class Generator {
	#engine;
	#busy;
	#running = null; // the promise of the generate under way or last in the queue
	#pending = 0;

	constructor(engine, facts, busy) {
		this.#engine = engine;
		this.#busy = busy;
		Object.assign(this, facts); // name, licence, backend, defaults, samplers, settings
	}

	generate({ signal, onStep, busy = this.#busy, ...request } = {}) {
		if (this.#pending > 0 && busy === "reject") {
			return Promise.reject(new WispError("bad-request", "a picture is being made: wait for it, or cancel it"));
		}
		if (busy === "abort") this.#supersede();
		const run = { cancelled: false };
		this.#pending++;
		const result = (this.#running ?? Promise.resolve()).then(() => this.#run(run, request, signal, onStep)).finally(() => this.#pending--);
		this.#running = result.catch(() => {});
		this.#queue.add(run);
		return result.finally(() => this.#queue.delete(run));
	}

	#queue = new Set(); // every run that has not ended

	// supersede ends the run under way and those that wait.
	#supersede() {
		for (const run of this.#queue) run.cancelled = true;
		if (this.#queue.size > 0) this.#engine.call("cancel").catch(() => {});
	}

	async #run(run, request, signal, onStep) {
		if (run.cancelled || signal?.aborted) throw aborted();
		const cancel = () => this.#engine.call("cancel").catch(() => {});
		signal?.addEventListener("abort", cancel, { once: true });
		request.seed ??= crypto.getRandomValues(new Uint32Array(1))[0];
		try {
			const r = await this.#engine.call("generate", request, ({ stage, step, steps, preview }) => {
				onStep?.({ stage, step, steps, preview: preview ? imageData(preview) : null });
			});
			return { ...r, images: r.images.map(imageData) };
		} finally {
			signal?.removeEventListener("abort", cancel);
		}
	}

	dispose() {
		this.#engine.close();
	}
}

// toPNG encodes picture i of a result with its settings in a "parameters"
// text chunk, where AUTOMATIC1111 keeps them.
export async function toPNG(result, i = 0) {
	const image = result.images[i];
	const canvas = new OffscreenCanvas(image.width, image.height);
	canvas.getContext("2d").putImageData(image, 0, 0);
	const png = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
	const header = 33; // signature and IHDR
	// The last "Seed:", since a prompt may hold the word.
	const parameters = result.parameters.replace(/^(.*Seed: )\d+/s, (_, before) => before + (result.seed + i));
	return new Blob([png.subarray(0, header), textChunk("parameters", parameters), png.subarray(header)], { type: "image/png" });
}

function textChunk(keyword, text) {
	const latin = [...text].every((c) => c > "\0" && c <= "\xff");
	const body = latin
		? Uint8Array.from(`${keyword}\0${text}`, (c) => c.charCodeAt(0))
		: new TextEncoder().encode(`${keyword}\0\0\0\0\0${text}`); // no compression, language or translation
	const chunk = new Uint8Array(body.length + 12);
	const view = new DataView(chunk.buffer);
	view.setUint32(0, body.length);
	chunk.set(new TextEncoder().encode(latin ? "tEXt" : "iTXt"), 4);
	chunk.set(body, 8);
	view.setUint32(body.length + 8, crc32(chunk.subarray(4, body.length + 8)));
	return chunk;
}

function crc32(bytes) {
	let crc = ~0;
	for (const byte of bytes) {
		crc ^= byte;
		for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc >>> 0;
}
