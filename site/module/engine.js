// The worker of an engine, its life and death, and the calls that wait for it.
import { failure } from "./bytes.js";
import { aborted, WispError } from "./error.js";
import { compiled, enginesParts, fetched, here, workerFile } from "./program.js";

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
export class Engine {
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
export const again = (attempt, signal) => attempt().catch((err) => {
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

export function takeEngine() {
	if (!spare || spare.dead || spare.asked > 0) return new Engine();
	const engine = spare;
	spare = null;
	clearTimeout(retiring);
	return engine;
}

// until waits for a promise, or for a signal to abort.
export function until(promise, signal) {
	return new Promise((resolve, reject) => {
		if (signal?.aborted) reject(aborted());
		signal?.addEventListener("abort", () => reject(aborted()), { once: true });
		promise.then(resolve, reject);
	});
}

// ask makes one call that needs no generator. All such calls share an engine.
export async function ask(method, argument) {
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
