// The life of the page's generator: idle, loading, ready, drawing, lost. Nothing
// else makes, replaces or drops one. What dies beneath it (the worker, its
// memory, the graphics card) ends the picture under way; wisp.js starts another
// engine for the next one.
import { createGenerator, models } from "./wisp.js";
import { recall, remember } from "./memory.js";

const root = document.documentElement.dataset; // state and life, for style and tests

export let generator = null; // once it is there
let loading = null; // the promise of it
let stop = null; // the AbortController of loading
let model; // undefined is the default one
let page = null;
let drawings = 0; // under way

// enter tells of the next part of the life; to the page it is ready as long as
// there is a generator.
function enter(life) {
	root.life = life;
	root.state = generator ? "ready" : life;
}

// start takes the first model, and what the page does: backend() and profile,
// which it wishes, onProgress, onWarning, onReady(generator).
export function start(chosen, options) {
	model = chosen;
	page = options;
	enter("idle");
}

export const chosenModel = () => model;

// started tells whether a generator is there or on its way.
export const started = () => loading !== null;

// ready loads the model once; after a failure the next call tries again.
export function ready() {
	loading ??= load();
	return loading;
}

async function load() {
	enter("loading");
	stop = new AbortController();
	const { signal } = stop;
	try {
		const g = await create(page.backend(), signal);
		if (signal.aborted) g.dispose(); // another model was chosen meanwhile
		else introduce(g);
		return g;
	} catch (err) {
		if (!signal.aborted) {
			loading = null;
			forget(err);
		}
		throw err;
	}
}

function introduce(g) {
	generator = g;
	remember("model", model === undefined ? null : typeof model === "string" ? model : `stored:${g.id}`);
	enter("ready");
	page.onReady(g);
}

// create makes a generator. Where the graphics card was wished for and is not
// to be had, the processor draws.
async function create(backend, signal) {
	const { profile, onProgress, onWarning } = page;
	const make = (backend) => createGenerator({ model, backend, profile, signal, onProgress, onWarning });
	try {
		return await make(backend);
	} catch (err) {
		if (backend !== "webgpu" || !noCard(err)) throw err;
		onWarning("the graphics card failed: the processor draws instead");
		return make("simd");
	}
}

const noCard = ({ code }) => ["unsupported", "device-lost"].includes(code);

// generate draws with the generator, and with another one where the graphics
// card went away for good.
export async function generate(request) {
	const g = await ready();
	drawings++;
	enter("drawing");
	let state = "ready";
	try {
		return await g.generate(request);
	} catch (err) {
		if (["out-of-memory", "device-lost", "internal"].includes(err.code)) state = "lost";
		if (g !== generator || page.backend() !== "webgpu" || !noCard(err)) throw err;
		restart();
		return (await ready()).generate(request);
	} finally {
		if (--drawings === 0 && root.life === "drawing") enter(state);
	}
}

// drawing is what programs draw with: the generator's facts, and generate.
export const drawing = async () => {
	const g = await ready();
	return { ...g, loras: g.loras, generate };
};

// use takes another model, and remembers it for the next visit.
export function use(chosen) {
	model = chosen;
	restart();
}

// restart begins anew, with another model or backend.
export function restart() {
	stop?.abort();
	generator?.dispose();
	generator = loading = null;
	enter("idle");
}

// forget drops a remembered model that is no more, so that the next visit does
// not fail, too. A network that is down proves nothing.
async function forget({ code }) {
	const failed = model;
	if (failed === recall("model") && await gone(failed, code)) remember("model", null);
}

async function gone(model, code) {
	if (code !== "network") return code === "bad-model";
	if (model.startsWith("stored:")) return (await models()).every(({ id }) => model !== `stored:${id}`);
	const directory = new URL(model, location.href).href.replace(/\/?([?#].*)?$/, "/");
	const answer = await fetch(`${directory}manifest.json`, { method: "HEAD", signal: AbortSignal.timeout(5000) }).catch(() => null);
	return [404, 410].includes(answer?.status);
}
