// wisp: pictures from words, on this device. The public module; its types and
// documentation are in wisp.d.ts. The work is done in a worker (worker.js), so
// that the page never waits.
import { failure, sha256, stall, whole } from "./bytes.js";
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

// The files of the engine and of the packer, each as its address and its name.
// Written this way, bundlers find the files and may move and rename them; build
// puts a hash of the content into either.
const workerFile = { address: new URL("./worker.js", import.meta.url).href, name: "worker.js" };
const go = { address: new URL("./wasm_exec.js", import.meta.url).href, name: "wasm_exec.js" };
const enginesParts = {
	program: { address: new URL("./wisp.wasm", import.meta.url).href, name: "wisp.wasm" },
	scripts: [go, { address: new URL("./replay.js", import.meta.url).href, name: "replay.js" }],
};
// The packer's program is not found that way: bundlers take its seven megabytes
// along where importer.js of the npm package is imported, which provides it.
const packersParts = { program: { address: new URL("pack.wasm", here).href, name: "pack.wasm" }, scripts: [go] };

export function providePacker(address) {
	packersParts.program.address = address;
}

// fetched is a file with its hash checked, where build put one into its name.
const fetched = ({ address, name }, options) => whole(address, { hash: /-([0-9a-f]{16})\.\w+$/.exec(name)?.[1], ...options });

const programs = new Map(); // address -> promise of the compiled program

// compiled fetches a program once, and again where that failed.
function compiled(program) {
	if (typeof WebAssembly !== "object") throw failure("unsupported", "this browser cannot run the engine: use a current Chrome, Edge, Firefox or Safari");
	const { address } = program;
	if (!programs.has(address)) {
		programs.set(address, compile(program).catch((err) => {
			programs.delete(address);
			throw err;
		}));
	}
	return programs.get(address);
}

// controller is the address of the page's service worker.
function controller() {
	try {
		return navigator.serviceWorker?.controller?.scriptURL;
	} catch {
		return undefined; // in a sandbox
	}
}

async function compile(program) {
	// Streaming needs the right content type, which a plain host may lack.
	const streamed = async (answer) => (answer.headers.get("Content-Type") === "application/wasm" ? WebAssembly.compileStreaming(answer) : undefined);
	if (controller() === `${here}sw.js`) {
		// It has checked what it keeps. Only of an answer that is not copied does a
		// browser keep the machine code, too.
		const kept = await fetch(program.address, { signal: AbortSignal.timeout(stall) }).then(streamed).catch(() => undefined);
		if (kept) return kept;
	}
	const { body, taken } = await fetched(program, { take: (answer) => streamed(answer).catch(() => undefined) });
	return taken ?? await WebAssembly.compile(body).catch((err) => {
		throw failure("unsupported", `this browser cannot run the engine: use a current Chrome, Edge, Firefox or Safari (${err.message})`);
	});
}

// The default model lies beside this module.
const defaultModel = new URL("models/default/", here).href;

// inHub tells a repository on the hub: "hf:owner/name@revision".
const inHub = (model) => typeof model === "string" && model.startsWith("hf:");

// named returns what the engine takes for a model: an address, "stored:" and
// the id of one that is kept, or an array of files.
function named(model) {
	if (model === undefined || model === null) return defaultModel;
	if (typeof model === "string" && model.startsWith("stored:")) return model;
	if (inHub(model)) throw new WispError("bad-request", `${model} is a repository: a model of it is made by createGenerator or importModel`);
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

// fileOf is a file that is given, or the one at an address.
async function fileOf(source) {
	if (source instanceof Blob) return source;
	const answer = await fetch(absolute(source)).catch((err) => err);
	if (!answer.ok) throw new WispError("network", `${source} cannot be had (${answer.status ?? answer})`);
	return new File([await answer.blob()], decodeURI(answer.url.split("/").pop()));
}

const patience = 5; // seconds that a worker may take to answer
const starts = 3; // times that a worker is started

// after calls late once the seconds have passed in which this thread ran: a
// device that slept is given them anew. It returns what stops it.
function after(seconds, late) {
	const timer = setInterval(() => {
		if (--seconds > 0) return;
		clearInterval(timer);
		late();
	}, 1000);
	return () => clearInterval(timer);
}

// Engine is a worker, of the engine or the packer, and the calls that wait for
// it. It knows of its worker's death by the worker's own last words, by a lock
// that the worker holds, and by questions that stay unanswered.
class Engine {
	asked = 0; // calls by ask that wait
	additions = new Set(); // ids of the LoRAs and ControlNets that it has
	#worker = null;
	#calls = new Map(); // id -> {resolve, reject, onEvent, heard}
	#last = 0;
	#dead = null; // the WispError after which nothing works
	#ended = new AbortController();
	#ready;

	constructor(parts = enginesParts) {
		this.#ready = this.#start(parts);
		this.#ready.catch((err) => this.#die(new WispError(err.code, err.message)));
	}

	get dead() {
		return this.#dead !== null;
	}

	// ended is told by the event "abort".
	get ended() {
		return this.#ended.signal;
	}

	// #start starts the worker, and again where one of its scripts did not come:
	// fetched with care, they are at hand then, or the error says why not.
	async #start({ program, scripts }) {
		const module = compiled(program);
		module.catch(() => {}); // awaited below
		for (let n = 1; !await this.#spawn(scripts); n++) {
			if (this.dead) return;
			for (const file of [workerFile, ...scripts]) await fetched(file, { cache: "reload" });
			if (n === starts) throw failure("unsupported", "the engine's worker could not start: a content security policy may forbid it");
		}
		this.#worker.postMessage({ module: await module });
	}

	// #spawn resolves to whether a new worker has its scripts.
	#spawn(scripts) {
		this.#worker?.terminate();
		const worker = this.#worker = newWorker();
		const lock = `wisp-engine-${Math.random()}`;
		worker.postMessage({ scripts: scripts.map(({ address }) => address), lock });
		return new Promise((resolve) => {
			const stop = after(2 * patience, () => resolve(false));
			worker.onerror = (event) => {
				event.preventDefault();
				resolve(false);
				if (event.message) this.#die(died(event.message));
			};
			worker.onmessage = ({ data }) => {
				if ("here" in data) {
					stop();
					resolve(data.here);
				} else if (data.locked) {
					this.#watch(lock);
				} else {
					this.#receive(data);
				}
			};
			this.ended.addEventListener("abort", () => {
				stop();
				resolve(false);
			});
		});
	}

	// #watch waits for the lock of the worker: whoever gets it knows it dead.
	#watch(lock) {
		navigator.locks.request(lock, { signal: this.ended }, () => this.#die(stopped())).catch(() => {}); // ended before
	}

	call(method, argument, onEvent) {
		if (this.#dead) return Promise.reject(this.#dead);
		const id = ++this.#last;
		return new Promise((resolve, reject) => {
			this.#calls.set(id, { resolve, reject, onEvent });
			this.#ready.then(() => this.#send(id, method, argument), () => {}); // which has ended every call
		});
	}

	#send(id, method, argument) {
		const call = this.#calls.get(id);
		if (!call) return;
		try {
			this.#worker.postMessage({ id, method, argument });
			if (method === "generate") call.heard = after(2 * patience, () => this.#die(stopped()));
		} catch (err) { // a function or a symbol cannot be sent
			this.#calls.delete(id);
			call.reject(new WispError("bad-request", err.message));
		}
	}

	// cancel ends the picture under way, and the worker with it where it does
	// not answer in time; it returns what to call once it has.
	cancel() {
		this.call("cancel").catch(() => {}); // of a dead engine there is nothing to cancel
		return after(patience, () => this.#die(stopped()));
	}

	close(error = new WispError("aborted", "the generator was disposed of")) {
		this.#die(error);
	}

	#receive({ id, heard, event, result, error, fatal }) {
		if (fatal) return this.#die(fatal.code === "internal" ? died(fatal.message) : new WispError(fatal.code, fatal.message));
		const call = this.#calls.get(id);
		if (!call) return;
		call.heard?.();
		if (heard) return;
		if (event) return call.onEvent?.(event);
		this.#calls.delete(id);
		if (error) call.reject(new WispError(error.code, error.message));
		else call.resolve(result);
	}

	#die(error) {
		if (this.#dead) return;
		this.#dead = error;
		this.#worker?.terminate();
		this.#ended.abort();
		for (const call of this.#calls.values()) {
			call.heard?.();
			call.reject(error);
		}
		this.#calls.clear();
	}
}

// died is the error of an engine that ended by itself.
const died = (message) => Object.assign(new WispError("internal", message), { died: true });
const stopped = () => died("the engine stopped: try again; its last words are in the console");

// again makes a second attempt where the engine died in the first: what is
// asked for is the same, and so is what comes of it.
const again = (attempt, signal) => attempt().catch((err) => {
	if (!err.died || signal?.aborted) throw err;
	return attempt();
});

// newWorker starts the worker; from a page of another origin by way of a blob,
// since a worker's script must be of the page's own.
function newWorker() {
	if (!globalThis.Worker) throw new WispError("unsupported", "wisp draws in browsers only: call it in a page");
	// origin, not location.origin: a sandboxed frame is of no origin.
	if (new URL(here).origin === globalThis.origin) return new Worker(new URL("./worker.js", import.meta.url));
	const script = `importScripts(${JSON.stringify(workerFile.address)});`;
	const blob = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
	try {
		return new Worker(blob);
	} finally {
		setTimeout(() => URL.revokeObjectURL(blob), 60_000);
	}
}

// The engine that answers capabilities and its like waits here for a generator
// to take it, for a while.
let spare = null;
let retiring = 0; // a timer
const idleness = 10_000; // milliseconds

function takeEngine() {
	if (!spare || spare.dead || spare.asked > 0) return new Engine();
	const engine = spare;
	spare = null;
	clearTimeout(retiring);
	return engine;
}

const aborted = () => new WispError("aborted", "the request was cancelled");

// until waits for a promise, or for a signal to abort.
function until(promise, signal) {
	return new Promise((resolve, reject) => {
		if (signal?.aborted) reject(aborted());
		signal?.addEventListener("abort", () => reject(aborted()), { once: true });
		promise.then(resolve, reject);
	});
}

// ask makes one call that needs no generator. All such calls share an engine.
async function ask(method, argument) {
	if (!spare || spare.dead) spare = new Engine();
	const engine = spare;
	clearTimeout(retiring);
	engine.asked++;
	try {
		return await engine.call(method, argument);
	} finally {
		if (--engine.asked === 0 && engine === spare) retiring = setTimeout(() => engine.close(), idleness);
	}
}

export async function capabilities(model) {
	if (!inHub(model)) return ask("capabilities", named(model));
	const { licence, inputBytes, peakBytes, flops } = await inspectModel(model);
	const device = await ask("capabilities", defaultModel).catch(() => ({ runs: true, backend: "simd", threads: 1, reason: "", flopsPerSecond: 0 }));
	return { ...device, cachedBytes: 0, downloadBytes: inputBytes, peakBytes, flops, licence };
}

export const catalogue = async () => JSON.parse(new TextDecoder().decode((await whole(new URL("catalogue.json", here).href)).body)).models;
export const models = () => ask("models");
export const removeModel = (id) => ask("removeModel", id);

// Shared is an engine with a model, which all generators that ask for the same
// use in turns. It ends with the last of them.
class Shared {
	engine = takeEngine();
	facts; // promise
	users = new Set(); // the functions that hear of its events
	#last = Promise.resolve(); // settles when nobody draws

	constructor(key, options) {
		this.engine.ended.addEventListener("abort", () => engines.get(key) === this && engines.delete(key));
		this.facts = this.engine.call("create", options, (event) => {
			for (const tell of this.users) tell(event);
		});
		this.facts.catch(() => this.engine.close()); // what it has begun is of no use
	}

	leave(tell) {
		this.users.delete(tell);
		if (this.users.size === 0) this.engine.close();
	}

	// turn resolves, once those that came before have drawn, to what gives it back.
	turn() {
		const before = this.#last;
		let done;
		this.#last = new Promise((resolve) => { done = resolve; });
		return before.then(() => done);
	}
}

const engines = new Map(); // key -> Shared

// share returns the engine that is there for the options, or starts it.
function share(key, options) {
	if (!engines.has(key) || engines.get(key).engine.dead) engines.set(key, new Shared(key, options));
	return engines.get(key);
}

// keyOf is the same for options that one engine serves. Files are always new.
const keyOf = (options) => (typeof options.model === "string" ? JSON.stringify(options) : Symbol("files"));

export async function createGenerator({ model, quantise, hub, token, backend = "auto", threads, memory, profile = false, signal, onProgress, onWarning, busy = "queue" } = {}) {
	checkBusy(busy);
	if (signal?.aborted) throw aborted();
	if (inHub(model)) model = await fromHub(model, { quantise, hub, token, signal, onProgress });
	const generator = new Generator({ model: named(model), backend, threads, memory, profile }, busy, (event) => {
		if (event.type === "warning") onWarning?.(event.message);
		else onProgress?.({ stage: event.stage, loaded: event.loaded, total: event.total });
	}, onWarning);
	try {
		await until(again(() => generator.load(), signal), signal);
		// Only a page may ask that the model be kept when the disk runs short.
		navigator.storage?.persist?.().catch(() => {});
		return generator;
	} catch (err) {
		generator.dispose();
		throw err;
	}
}

// fromHub is the address of a model from the hub: packed as it comes, unless
// that was done before.
async function fromHub(model, { quantise = "q8", onProgress, ...options }) {
	const kept = (await models().catch(() => [])).find(({ location, bytes, cachedBytes }) => location === `${model}?quantise=${quantise}` && bytes === cachedBytes);
	return kept ? `stored:${kept.id}` : importModel(model, { ...options, quantise, onProgress: (event) => onProgress?.({ ...event, stage: "download" }) });
}

// source is what the packer reads: files, or a repository.
const source = (files, { hub, token } = {}) => (inHub(files) ? { hub: files, endpoint: hub, token } : { files: listed(files) });

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

// withPacker makes a call after which the packer waits for another.
async function withPacker(method, argument) {
	const packer = takePacker();
	try {
		return await packer.call(method, argument);
	} finally {
		sparePacker?.close();
		sparePacker = packer;
	}
}

export async function inspectModel(files, options) {
	const from = source(files, options);
	const facts = await withPacker("inspect", from.files ?? from);
	const { usage, quota } = await navigator.storage?.estimate?.() ?? {};
	return { ...facts, freeBytes: quota === undefined ? Infinity : quota - usage };
}

export async function importModel(files, { quantise = "f16", name, hub, token, signal, onProgress } = {}) {
	if (signal?.aborted) throw aborted();
	const packer = takePacker();
	const stop = () => packer.call("cancelImport").catch(() => {}); // it may be gone already
	signal?.addEventListener("abort", stop, { once: true });
	try {
		const id = await packer.call("importModel", { ...source(files, { hub, token }), quantise, name }, onProgress);
		navigator.storage?.persist?.().catch(() => {});
		return `stored:${id}`;
	} finally {
		signal?.removeEventListener("abort", stop);
		packer.close();
	}
}

export async function upscale(image, { by, model, backend, signal, onProgress } = {}) {
	const files = model && (await Promise.all([model].flat().map(fileOf))).map((file) => [file.name, file]);
	const sent = await sentOf({ image });
	const engine = new Engine();
	try {
		return imageData(await until(engine.call("upscale", { ...sent, by, files, backend }, onProgress), signal));
	} finally {
		engine.close();
	}
}

export const preprocessors = () => withPacker("preprocessors");

export async function preprocess(image, preprocess) {
	return imageData(await withPacker("preprocess", { ...await pixels({ image }), preprocess }));
}

// controlOf is one of a request's controls with its picture's pixels, as its
// preprocessor makes them.
async function controlOf({ preprocess: name, image, ...one }) {
	return { ...one, ...await pixels({ image: name && name !== "none" ? await preprocess(image, name) : image }) };
}

function checkBusy(busy) {
	if (!["queue", "abort", "reject"].includes(busy)) throw new WispError("bad-request", `busy is "${busy}": choose queue, abort or reject`);
}

const imageData = ({ width, height, data }) => new ImageData(data, width, height);

// What of a request goes to the engine.
const settings = [
	"prompt", "negativePrompt", "secondPrompt", "promptSyntax", "clipSkip", "class", "seed", "noise", "steps", "guidance", "guidanceRescale", "guidanceStart", "guidanceEnd", "guidanceMethod", "skipLayers", "eta", "churn", "sampler", "schedule", "width", "height", "count", "previews",
	"image", "strength", "imageGuidance", "sourcePrompt", "kept", "mask", "maskBlur", "onlyMasked", "maskPadding", "outpaintLeft", "outpaintTop", "outpaintRight", "outpaintBottom", "guessMode", "referenceWeight", "upscaleBy", "upscaler", "upscaleSteps", "upscaleStrength",
];

// Those of them that are pictures.
const pictures = ["image", "mask"];

// sentOf is what goes to the engine of a request: pictures as their pixels.
async function sentOf(request) {
	const { outpaint, ...rest } = request;
	const sent = Object.fromEntries(settings.map((name) => [name, rest[name]]));
	for (const side of outpaint ? ["Left", "Top", "Right", "Bottom"] : []) sent[`outpaint${side}`] = outpaint[side.toLowerCase()] ?? 0;
	return pixels(sent);
}

// each is what f makes of a list, where there is one.
const each = (list, f) => list && Promise.all([...list].map(f));

// pixels has those of an object's fields that are pictures as their pixels.
async function pixels(given) {
	const sent = { ...given };
	for (const name of pictures) {
		if (sent[name] === undefined || sent[name] === null) continue;
		const { pixelsOf } = await import("./photo.js");
		sent[name] = await pixelsOf(sent[name], name).catch((err) => Promise.reject(new WispError(err.code, err.message)));
	}
	return sent;
}

// hashOf names a LoRA's file as AUTOMATIC1111 does (modules/hashes.py, addnet): the
// SHA-256 of what follows its header, or what its maker wrote into it.
async function hashOf({ file, facts }) {
	const written = facts.metadata?.sshs_model_hash;
	if (written || !globalThis.crypto?.subtle || file.size > 1 << 29) return written?.slice(0, 12);
	const header = new DataView(await file.slice(0, 8).arrayBuffer()).getBigUint64(0, true);
	return (await sha256(await file.slice(8 + Number(header)).arrayBuffer())).slice(0, 12);
}

// The failures after which an engine is ended, and the next picture starts
// another: what it holds of memory is given back only so.
const deadly = ["out-of-memory", "device-lost", "internal"];

class Generator {
	#key;
	#options;
	#busy;
	#tell;
	#onWarning;
	#shared = null;
	#gone = false; // disposed of
	#additions = new Map(); // id -> {kind, id, file, name, config, facts}, LoRAs and ControlNets
	#runs = new Set(); // the AbortControllers of every run that has not ended

	constructor(options, busy, tell, onWarning) {
		this.#key = keyOf(options);
		this.#options = options;
		this.#busy = busy;
		this.#tell = tell;
		this.#onWarning = onWarning;
	}

	// load resolves to the engine, once it has the model: another one where the
	// one before died.
	async load() {
		if (this.#gone) throw aborted();
		const shared = this.#shared = share(this.#key, this.#options);
		shared.users.add(this.#tell);
		Object.assign(this, await shared.facts); // name, licence, backend, device, defaults, fields, samplers, settings
		return shared;
	}

	get loras() {
		return this.#added("Lora");
	}

	get controls() {
		return this.#added("Control");
	}

	addLora(source, options) {
		return this.#add("Lora", source, options);
	}

	addControl(source, options) {
		return this.#add("Control", source, options);
	}

	removeLora(id) {
		return this.#remove(id);
	}

	removeControl(id) {
		return this.#remove(id);
	}

	#added(kind) {
		return [...this.#additions.values()].filter((one) => one.kind === kind).map(({ facts }) => facts);
	}

	async #add(kind, source, { name, config } = {}) {
		const file = await fileOf(source);
		const one = { kind, id: `${kind}${Math.random()}`, file, name: name ?? file.name, config: config && JSON.stringify(config) };
		const { shared: { engine }, done } = await this.#turn();
		try {
			await this.#give(engine, one);
			this.#additions.set(one.id, one);
			return one.facts;
		} finally {
			done();
		}
	}

	// #give has an engine read an addition that it has not.
	async #give(engine, one) {
		if (engine.additions.has(one.id)) return;
		one.facts = await engine.call(`add${one.kind}`, one);
		engine.additions.add(one.id);
	}

	async #remove(id) {
		const kind = this.#additions.get(id)?.kind;
		this.#additions.delete(id);
		if (kind && this.#shared?.engine.additions.delete(id)) await this.#shared.engine.call(`remove${kind}`, id);
	}

	// Of a text, without waiting for a turn.
	async countTokens(prompt, promptSyntax) {
		return (await this.load()).engine.call("countTokens", { prompt, promptSyntax });
	}

	async complete() {
		return (await this.load()).engine.call("complete");
	}

	async generate({ signal, onStep, busy = this.#busy, loras, controls, references, ...request } = {}) {
		const unknown = Object.keys(request).find((name) => !settings.includes(name) && name !== "outpaint" && request[name] !== undefined);
		if (unknown) throw new WispError("bad-request", `${unknown} is no field of a request`);
		checkBusy(busy);
		if (busy === "reject" && this.#runs.size > 0) {
			throw new WispError("bad-request", "a picture is being made: wait or cancel it");
		}
		if (busy === "abort") this.#abortAll();
		const run = new AbortController();
		const stop = () => run.abort();
		if (signal?.aborted) stop();
		signal?.addEventListener("abort", stop, { once: true });
		this.#runs.add(run);
		try {
			request.seed ??= crypto.getRandomValues(new Uint32Array(1))[0];
			return await again(() => this.#run(request, { loras, controls, references }, run.signal, onStep), run.signal);
		} catch (err) {
			throw run.signal.aborted ? aborted() : err;
		} finally {
			signal?.removeEventListener("abort", stop);
			this.#runs.delete(run);
		}
	}

	// abortAll ends the run under way and those that wait.
	#abortAll() {
		for (const run of this.#runs) run.abort();
	}

	// #turn waits for a living engine that is free.
	async #turn(signal) {
		for (;;) {
			const shared = await until(this.load(), signal);
			const turn = shared.turn();
			try {
				const done = await until(turn, signal);
				if (!shared.engine.dead) return { shared, done };
				done();
			} catch (err) {
				turn.then((done) => done());
				throw err;
			}
		}
	}

	async #run(request, { loras, controls, references }, signal, onStep) {
		const strange = controls?.find(({ id }) => this.#additions.get(id)?.kind !== "Control");
		if (strange) throw new WispError("bad-request", `controls: there is no ${strange.id}`);
		const sent = {
			...await sentOf(request), loras, wardrobe: this.loras.map(({ id }) => id),
			controls: await each(controls, controlOf), references: await each(references, async (image) => (await pixels({ image })).image),
		};
		const warnings = [];
		const { shared: { engine }, done } = await this.#turn(signal);
		let answered = () => {};
		const cancel = () => { answered = engine.cancel(); };
		signal.addEventListener("abort", cancel);
		try {
			for (const one of this.#additions.values()) await this.#give(engine, one);
			const r = await engine.call("generate", sent, ({ type, message, stage, step, steps, preview }) => {
				if (type !== "warning") return onStep?.({ stage, step, steps, preview: preview ? imageData(preview) : null });
				warnings.push(message);
				this.#onWarning?.(message);
			});
			return { ...r, parameters: await this.#signed(r.parameters, controls), warnings, images: r.images.map(imageData) };
		} catch (err) {
			if (deadly.includes(err.code)) engine.close(err);
			throw err;
		} finally {
			signal.removeEventListener("abort", cancel);
			answered();
			done();
		}
	}

	// #signed adds to the settings which LoRAs were worn and which ControlNets steered,
	// as AUTOMATIC1111 and its extension write them.
	async #signed(parameters, controls = []) {
		const worn = [...this.#additions.values()].filter(({ kind, facts }) => kind === "Lora" && parameters.includes(`<lora:${facts.name}:`));
		const hashes = await Promise.all(worn.map(async (one) => [one.facts.name.replace(/[:,]/g, ""), await (one.hash ??= hashOf(one).catch(() => {}))]));
		const known = hashes.filter((pair) => pair[1]).map((pair) => pair.join(": "));
		const said = controls.map(({ id, preprocess: name = "none", weight = 1, start = 0, end = 1 }, i) => [`ControlNet ${i}`, `Module: ${name.name ?? name}, Model: ${this.#additions.get(id).facts.name}, Weight: ${weight}, Guidance Start: ${start}, Guidance End: ${end}`]);
		if (known.length > 0) said.push(["Lora hashes", known.join(", ")]);
		const at = parameters.lastIndexOf(", CFG scale: ");
		return parameters.slice(0, at) + said.map(([name, text]) => `, ${name}: ${JSON.stringify(text)}`).join("") + parameters.slice(at);
	}

	dispose() {
		this.#gone = true;
		this.#abortAll();
		for (const id of this.#additions.keys()) this.#remove(id).catch(() => {}); // the engine may end
		this.#shared?.leave(this.#tell);
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
