// wisp: pictures from words, on this device. The public module; its types and
// documentation are in wisp.d.ts. The work is done in a worker (worker.js), so
// that the page never waits.
import { withText } from "./png.js";

const codes = ["unsupported", "network", "corrupt", "quota", "out-of-memory", "device-lost", "aborted", "bad-request", "bad-model", "internal"];

export class WispError extends Error {
	constructor(code, message) {
		super(message);
		this.name = "WispError";
		this.code = codes.includes(code) ? code : "internal";
	}
}

const address = import.meta.url;
const here = new URL(".", address).href;

// What the worker loads. Written this way, bundlers find the files and may
// move and rename them.
const workerAddress = new URL("./worker.js", import.meta.url).href;
const go = new URL("./wasm_exec.js", import.meta.url).href;
const enginesParts = {
	program: new URL("./wisp.wasm", import.meta.url).href,
	scripts: [go, new URL("./replay.js", import.meta.url).href],
};
const packersParts = { program: new URL("./pack.wasm", import.meta.url).href, scripts: [go] };

// The default model lies beside this module.
const defaultModel = new URL("models/default/", here).href;

// named returns what the engine takes for a model: an address, "stored:" and
// the id of one that is kept, or an array of files.
function named(model) {
	if (model === undefined || model === null) return defaultModel;
	if (typeof model === "string" && model.startsWith("stored:")) return model;
	if (typeof model === "string" || model instanceof URL) return absolute(model);
	if (typeof model[Symbol.iterator] === "function") return [...model];
	throw new WispError("bad-model", "the model is neither an address nor files");
}

function absolute(address) {
	try {
		return new URL(address, globalThis.document?.baseURI ?? here).href;
	} catch {
		throw new WispError("bad-model", `the model's address "${address}" is not a URL`);
	}
}

// Engine is a worker, of the engine or the packer, and the calls that wait for it.
class Engine {
	#worker;
	#calls = new Map(); // id -> {resolve, reject, onEvent}
	#last = 0;
	#dead = null; // the WispError after which nothing works

	constructor(parts = enginesParts) {
		this.#worker = newWorker();
		this.#worker.postMessage({ parts });
		this.#worker.onmessage = ({ data }) => this.#receive(data);
		this.#worker.onerror = (event) => {
			event.preventDefault();
			this.#die(new WispError("internal", event.message || "the engine's worker could not start: a content security policy may forbid it"));
		};
	}

	get dead() {
		return this.#dead !== null;
	}

	call(method, argument, onEvent) {
		if (this.#dead) return Promise.reject(this.#dead);
		const id = ++this.#last;
		return new Promise((resolve, reject) => {
			this.#calls.set(id, { resolve, reject, onEvent });
			try {
				this.#worker.postMessage({ id, method, argument });
			} catch (err) { // a function or a symbol cannot be sent
				this.#calls.delete(id);
				reject(new WispError("bad-request", err.message));
			}
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
		this.#worker.terminate();
		for (const call of this.#calls.values()) call.reject(this.#dead);
		this.#calls.clear();
	}
}

// newWorker starts the worker; from a page of another origin by way of a blob,
// since a worker's script must be of the page's own.
function newWorker() {
	if (!globalThis.Worker) throw new WispError("unsupported", "wisp draws in browsers only: call it in a page");
	// origin, not location.origin: a sandboxed frame is of no origin.
	if (new URL(here).origin === globalThis.origin) return new Worker(new URL("./worker.js", import.meta.url));
	const script = `importScripts(${JSON.stringify(workerAddress)});`;
	const blob = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
	try {
		return new Worker(blob);
	} finally {
		setTimeout(() => URL.revokeObjectURL(blob), 60_000);
	}
}

// An engine that answered capabilities waits here for createGenerator.
let spare = null;

function takeEngine() {
	const engine = spare?.dead === false ? spare : new Engine();
	spare = null;
	return engine;
}

const aborted = () => new WispError("aborted", "the request was cancelled");

// ask makes one call that needs no generator.
async function ask(method, argument) {
	const engine = takeEngine();
	try {
		const answer = await engine.call(method, argument);
		spare ??= engine;
		return answer;
	} finally {
		if (spare !== engine) engine.close();
	}
}

export const capabilities = async (model) => ask("capabilities", named(model));
export const models = () => ask("models");
export const removeModel = (id) => ask("removeModel", id);

export async function createGenerator({ model, backend = "auto", threads, profile = false, signal, onProgress, onWarning, busy = "queue" } = {}) {
	checkBusy(busy);
	if (signal?.aborted) throw aborted();
	const engine = takeEngine();
	const stop = () => engine.close(aborted());
	signal?.addEventListener("abort", stop, { once: true });
	try {
		const facts = await engine.call("create", { model: named(model), backend, threads, profile }, (event) => {
			if (event.type === "warning") onWarning?.(event.message);
			else onProgress?.({ stage: event.stage, loaded: event.loaded, total: event.total });
		});
		// Only a page may ask that the model be kept when the disk runs short.
		navigator.storage?.persist?.().catch(() => {});
		return new Generator(engine, facts, busy, onWarning);
	} catch (err) {
		engine.close();
		throw err;
	} finally {
		signal?.removeEventListener("abort", stop);
	}
}

// listed returns what the packer takes for files: their paths and bytes.
function listed(files) {
	return [...files].map((file) => (Array.isArray(file) ? file : [file.webkitRelativePath || file.name, file]));
}

// A packer that answered inspectModel waits here for importModel.
let sparePacker = null;

function takePacker() {
	const packer = sparePacker?.dead === false ? sparePacker : new Engine(packersParts);
	sparePacker = null;
	return packer;
}

export async function inspectModel(files) {
	const packer = takePacker();
	try {
		const facts = await packer.call("inspect", listed(files));
		const { usage, quota } = await navigator.storage?.estimate?.() ?? {};
		return { ...facts, freeBytes: quota === undefined ? Infinity : quota - usage };
	} finally {
		sparePacker?.close();
		sparePacker = packer;
	}
}

export async function importModel(files, { quantise = "f16", name, signal, onProgress } = {}) {
	if (signal?.aborted) throw aborted();
	const packer = takePacker();
	const stop = () => packer.call("cancelImport").catch(() => {}); // it may be gone already
	signal?.addEventListener("abort", stop, { once: true });
	try {
		const id = await packer.call("importModel", { files: listed(files), quantise, name }, onProgress);
		navigator.storage?.persist?.().catch(() => {});
		return `stored:${id}`;
	} finally {
		signal?.removeEventListener("abort", stop);
		packer.close();
	}
}

function checkBusy(busy) {
	if (!["queue", "abort", "reject"].includes(busy)) throw new WispError("bad-request", `busy is "${busy}": choose queue, abort or reject`);
}

const imageData = ({ width, height, data }) => new ImageData(data, width, height);

// What of a request goes to the engine.
const settings = ["prompt", "negativePrompt", "seed", "steps", "guidance", "sampler", "schedule", "width", "height", "count", "previews"];

class Generator {
	#engine;
	#busy;
	#onWarning;
	#runs = new Set(); // every run that has not ended
	#last = Promise.resolve(); // settles with the newest run

	constructor(engine, facts, busy, onWarning) {
		this.#engine = engine;
		this.#busy = busy;
		this.#onWarning = onWarning;
		Object.assign(this, facts); // name, licence, backend, device, defaults, samplers, settings
	}

	async generate({ signal, onStep, busy = this.#busy, ...request } = {}) {
		checkBusy(busy);
		if (busy === "reject" && this.#runs.size > 0) {
			throw new WispError("bad-request", "a picture is being made: wait for it, or cancel it");
		}
		if (busy === "abort") this.#abortAll();
		const run = { cancelled: false };
		this.#runs.add(run);
		const result = this.#last.then(() => this.#run(run, request, signal, onStep));
		this.#last = result.catch(() => {});
		try {
			return await result;
		} finally {
			this.#runs.delete(run);
		}
	}

	// abortAll ends the run under way and those that wait.
	#abortAll() {
		for (const run of this.#runs) run.cancelled = true;
		if (this.#runs.size > 0) this.#cancel();
	}

	#cancel() {
		this.#engine.call("cancel").catch(() => {}); // of a dead engine there is nothing to cancel
	}

	async #run(run, request, signal, onStep) {
		if (run.cancelled || signal?.aborted) throw aborted();
		const cancel = () => this.#cancel();
		signal?.addEventListener("abort", cancel, { once: true });
		const sent = Object.fromEntries(settings.map((name) => [name, request[name]]));
		const warnings = [];
		sent.seed ??= crypto.getRandomValues(new Uint32Array(1))[0];
		try {
			const r = await this.#engine.call("generate", sent, ({ type, message, stage, step, steps, preview }) => {
				if (type !== "warning") return onStep?.({ stage, step, steps, preview: preview ? imageData(preview) : null });
				warnings.push(message);
				this.#onWarning?.(message);
			});
			return { ...r, warnings, images: r.images.map(imageData) };
		} finally {
			signal?.removeEventListener("abort", cancel);
		}
	}

	dispose() {
		this.#engine.close();
	}
}

// toPNG encodes picture i of a result with its settings in a "parameters" text
// chunk, where AUTOMATIC1111 keeps them.
export async function toPNG(result, i = 0) {
	const image = result.images[i];
	if (!image) throw new WispError("bad-request", `the result has no picture ${i}`);
	const png = new Uint8Array(await (await encode(image)).arrayBuffer());
	return withText(png, "parameters", parametersOf(result, i));
}

// parametersOf returns the settings of picture i, which was drawn with the seed
// after the i-th. The last "Seed:" is meant: a prompt may hold the word.
export function parametersOf(result, i = 0) {
	return result.parameters.replace(/^(.*Seed: )\d+/s, (_, before) => before + (result.seed + i));
}

async function encode(image) {
	if (globalThis.OffscreenCanvas) {
		const canvas = new OffscreenCanvas(image.width, image.height);
		canvas.getContext("2d").putImageData(image, 0, 0);
		return canvas.convertToBlob({ type: "image/png" });
	}
	if (!globalThis.document) throw new WispError("unsupported", "wisp draws in browsers only: call it in a page");
	const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
	canvas.getContext("2d").putImageData(image, 0, 0);
	return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
