// Models of other makers: packed by a worker of their own, and kept.
import { ask, Engine } from "./engine.js";
import { aborted } from "./error.js";
import { packersParts } from "./program.js";
import { imageData, pixels } from "./sent.js";
import { source } from "./source.js";

export const models = () => ask("models");
export const removeModel = (id) => ask("removeModel", id);

// fromHub is the address of a model from the hub: packed as it comes, unless
// that was done before.
export async function fromHub(model, { quantise = "q8", onProgress, ...options }) {
	const kept = (await models().catch(() => [])).find(({ location, bytes, cachedBytes }) => location === `${model}?quantise=${quantise}` && bytes === cachedBytes);
	return kept ? `stored:${kept.id}` : importModel(model, { ...options, quantise, onProgress: (event) => onProgress?.({ ...event, stage: "download" }) });
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

export const preprocessors = () => withPacker("preprocessors");

export async function preprocess(image, preprocess) {
	return imageData(await withPacker("preprocess", { ...await pixels({ image }), preprocess }));
}
