// What a model may be named by.
import { WispError } from "./error.js";
import { here } from "./program.js";

// The default model lies beside this module.
export const defaultModel = new URL("models/default/", here).href;

// inHub tells a repository on the hub: "hf:owner/name@revision".
export const inHub = (model) => typeof model === "string" && model.startsWith("hf:");

// named returns what the engine takes for a model: an address, "stored:" and
// the id of one that is kept, or an array of files.
export function named(model) {
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
export async function fileOf(source) {
	if (source instanceof Blob) return source;
	const answer = await fetch(absolute(source)).catch((err) => err);
	if (!answer.ok) throw new WispError("network", `${source} cannot be had (${answer.status ?? answer})`);
	return new File([await answer.blob()], decodeURI(answer.url.split("/").pop()));
}

// source is what the packer reads: files, or a repository.
export const source = (files, { hub, token } = {}) => (inHub(files) ? { hub: files, endpoint: hub, token } : { files: listed(files) });

// listed returns what the packer takes for files: their paths and bytes.
function listed(files) {
	return [...files].map((file) => (Array.isArray(file) ? file : [file.webkitRelativePath || file.name, file]));
}
