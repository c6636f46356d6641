// What a picture's file says about how it was made, by whichever program.
import { parseWorkflow } from "./comfy.js";
import { sorted, tables } from "./fields.js";
import { isObject, parseJSON } from "./json.js";
import { maxPrompt } from "./limits.js";
import { readMetadata } from "./metadata.js";
import { methodOf } from "./names.js";
import { parseParameters } from "./parameters.js";
import { brief } from "./refusal.js";

export { parseJSON, parseWorkflow };

// readPicture returns {tool, settings, lost} of a PNG, JPEG, WebP or AVIF file;
// null where it says nothing, undefined for a file of another kind. settings has
// the names of a request, but that sampler and schedule are the tool's (see
// settle), and model is the checkpoint's name; lost lists what wisp cannot have.
export async function readPicture(bytes) {
	const texts = await readMetadata(bytes);
	return texts && saidBy(texts);
}

// saidBy reads the texts of a file, as readMetadata returns them.
export function saidBy(texts) {
	for (const reader of [parameters, invoke, dream, novelAI, workflow, drawThings, exif]) {
		const said = reader(texts);
		if (said) return said;
	}
	return null;
}

// parameters has several forms: text (AUTOMATIC1111, Forge, wisp, Fooocus), JSON
// (SwarmUI, Fooocus).
const parameters = (texts) => parametersText(texts.get("parameters") ?? "");

export function parametersText(text) {
	if (text.trim() === "") return null;
	const object = objectIn(text);
	if (object) return jsonParameters(object);
	const { prompt, negativePrompt, pairs, after } = parseParameters(text);
	const version = pairs.get("Version") ?? "";
	const tool = /^wisp( |$)/.test(version) ? "wisp" : version.startsWith("Fooocus") ? "fooocus" : "a1111";
	const words = withoutNetworks(prompt);
	if (tool === "wisp" && pairs.has("Hires upscale")) pairs.set("Hires strength", pairs.get("Denoising strength")), pairs.delete("Denoising strength");
	const { settings, lost } = sorted(tool === "fooocus" ? withSteps([...pairs]) : pairs, tables[tool]);
	if (tool === "a1111" && version && !pairs.has("RNG")) lost.push("RNG: GPU"); // its default, which no other machine has
	if (after) lost.push(brief(after));
	return { tool, settings: { prompt: words.prompt, negativePrompt, ...settings }, lost: [...words.networks, ...lost] };
}

// objectIn is the object that a text holds as JSON, undefined where it is none.
function objectIn(text) {
	if (!text.trimStart().startsWith("{")) return undefined;
	try {
		const object = parseJSON(text, "the picture's text");
		return isObject(object) ? object : undefined;
	} catch {
		return undefined;
	}
}

const made = (tool, pairs, more = []) => {
	const { settings, lost } = sorted(pairs, tables[tool]);
	return { tool, settings, lost: [...lost, ...more] };
};

function jsonParameters(object) {
	if (isObject(object.sui_image_params)) return swarm(object.sui_image_params);
	if ("base_model" in object || "guidance_scale" in object) return made("fooocus", withSteps(Object.entries(object)));
	if ("positive_prompt" in object) return made("invoke", Object.entries(object));
	if ("uc" in object && "c" in object) return made("draw", Object.entries(object));
	return null;
}

// swarm takes SwarmUI's own tags, such as <lora:…> and <random:…>, out of a prompt.
function swarm({ prompt, ...params }) {
	if (typeof prompt !== "string") return made("swarm", Object.entries({ prompt, ...params }));
	const { rest, tags } = withoutTags(prompt, /[\s,]{0,9}<[a-z]{2,20}[:[][^<>]{0,200}>/gi);
	return made("swarm", Object.entries({ prompt: rest, ...params }), tags);
}

// withSteps adds what Fooocus leaves out: the steps that its "performance" means
// (modules/flags.py, Steps).
function withSteps(pairs) {
	const steps = { Quality: 60, Speed: 30, "Extreme Speed": 8, Lightning: 4, "Hyper-SD": 4 };
	const [, performance] = pairs.find(([field]) => /^performance$/i.test(field)) ?? [];
	if (pairs.some(([field]) => /^steps$/i.test(field)) || !Object.hasOwn(steps, performance ?? "")) return pairs;
	return [...pairs, ["steps", steps[performance]]];
}

// withoutNetworks takes the tags out of a prompt by which AUTOMATIC1111 loads
// networks.
export function withoutNetworks(words) {
	const { rest, tags } = withoutTags(words, /[\s,]{0,9}<(?:lora|lyco|hypernet):[^<>]{0,200}>/gi);
	return { prompt: rest, networks: tags };
}

// withoutTags takes out what matches, with what parts it from the words before; a
// prompt without any stays as it is.
function withoutTags(words, tag) {
	const tags = words.includes("<") ? words.match(tag) ?? [] : [];
	const plain = (text) => text.replace(/^[\s,]+/, "");
	return tags.length > 0 ? { rest: plain(words.replace(tag, "")), tags: tags.map(plain) } : { rest: words, tags };
}

// invoke reads InvokeAI's metadata since 3.0, and that of 2.
function invoke(texts) {
	const now = objectIn(texts.get("invokeai_metadata") ?? "");
	if (now) return made("invoke", Object.entries(now));
	const then = objectIn(texts.get("sd-metadata") ?? "");
	if (!isObject(then?.image)) return null;
	const { prompt, sampler, ...image } = then.image;
	const texted = Array.isArray(prompt) ? prompt.map((p) => (isObject(p) ? p.prompt : p)).join(" ") : prompt;
	const weights = Array.isArray(prompt) && prompt.some((p) => isObject(p) && p.weight !== undefined && p.weight !== 1) ? ["prompt: weights"] : [];
	return made("invoke", Object.entries({ ...image, ...bracketed(String(texted ?? "")), scheduler: sampler, model: then.model_weights }), weights);
}

// bracketed takes what InvokeAI 2 left out of a picture, [in brackets], from the prompt.
function bracketed(words) {
	const negative = [];
	const positive = words.replace(/\[([^[\]]{0,2000})\]/g, (_, inside) => (negative.push(inside), ""));
	return { positive_prompt: positive.trim(), negative_prompt: negative.join(" ") };
}

// dream reads InvokeAI 1's command line: "a cat [fog]" -s 50 -S 7 -W 512 -H 512 -C 7.5 -A k_lms.
function dream(texts) {
	const line = texts.get("Dream") ?? "";
	const end = line.lastIndexOf('"');
	if (!line.startsWith('"') || end < 1) return null;
	const flags = { s: "steps", S: "seed", W: "width", H: "height", C: "cfg_scale", A: "scheduler" };
	const pairs = [...line.slice(end + 1).matchAll(/ -(\w)\s?(\S{1,40})/g)].map(([, flag, value]) => [flags[flag] ?? `-${flag}`, value]);
	return made("invoke", [...Object.entries(bracketed(line.slice(1, end))), ...pairs]);
}

function novelAI(texts) {
	const comment = objectIn(texts.get("Comment") ?? "");
	if (!comment || !("uc" in comment || texts.get("Software") === "NovelAI")) return null;
	const { v4_prompt: words, v4_negative_prompt: without, ...rest } = comment;
	const characters = [words, without].flatMap((v4) => v4?.caption?.char_captions ?? []).length > 0 ? ["char_captions"] : [];
	const prompt = comment.prompt ?? words?.caption?.base_caption ?? texts.get("Description");
	return made("novelai", Object.entries({ ...rest, prompt, uc: comment.uc ?? without?.caption?.base_caption ?? "" }), ["noise: GPU", ...characters]);
}

// workflow reads what ComfyUI puts into PNG files ("prompt") and into others
// (EXIF's Model, "prompt:…").
function workflow(texts) {
	const text = [texts.get("prompt"), texts.get("Model"), texts.get("Make"), texts.get("ImageDescription")]
		.map((t) => t?.replace(/^prompt:/i, "")).find((t) => objectIn(t ?? ""));
	if (text) return parseWorkflow(parseJSON(text, "the workflow"));
	const editors = [texts.get("workflow"), texts.get("Make")].map((t) => t?.replace(/^workflow:/i, "")).find((t) => objectIn(t ?? ""));
	return editors ? parseWorkflow(parseJSON(editors, "the workflow")) : null;
}

function drawThings(texts) {
	const comment = objectIn(texts.get("exif:UserComment") ?? "");
	return comment && "c" in comment ? made("draw", Object.entries(comment)) : null;
}

// exif reads UserComment, where programs put into JPEG, WebP and AVIF files what
// they put into a PNG's "parameters".
function exif(texts) {
	const comment = texts.get("UserComment") ?? texts.get("comment") ?? "";
	const object = objectIn(comment);
	if (typeof object?.Comment === "string") return novelAI(new Map(Object.entries(object).filter(([, value]) => typeof value === "string")));
	if (isObject(object?.prompt)) return parseWorkflow(object.prompt);
	return parametersText(comment);
}

// settle turns what a file says into settings for a generator, with nothing left
// of an earlier form: what the file does not say is undefined, for the model's own.
// lost then has what this model lacks, too, and model is the file's, where that is
// another.
export function settle({ tool, settings, lost = [] }, generator) {
	const { sampler, schedule, model, begins, loras = [], controls, enlarge, ...rest } = settings;
	const method = methodOf(generator, nameTable[tool] ?? "", sampler, schedule);
	const cut = ["prompt", "negativePrompt"].filter((name) => rest[name]?.length > maxPrompt);
	for (const name of cut) rest[name] = rest[name].slice(0, maxPrompt);
	const { tags, others } = wearing(lost, generator);
	if (tags.length > 0) rest.prompt = [rest.prompt, ...tags].join(" ").trim();
	const without = [...unread(rest, generator.fields), ...worn(rest, loras, generator)];
	if (generator.fields.weights && promptSyntax[tool]) rest.promptSyntax = promptSyntax[tool];
	// wisp leaves the schedule out where it is the model's file's.
	const chosen = schedule === "" || tool === "wisp" && schedule === undefined ? "" : method.schedule;
	return {
		settings: { ...rest, sampler: method.sampler, schedule: chosen },
		lost: [...cut.map((name) => `${name}: …`), ...others, ...without, ...method.lost, ...emphasisIn(tool, rest, generator.fields)],
		model: model && !sameModel(model, generator.name) ? model : undefined,
		...(begins && { begins }), ...(controls && { controls }), ...(enlarge && { enlarge }),
	};
}

export const stem = (name) => name.trim().replace(/\.safetensors$/i, "").split(/[\\/]/).at(-1);
const hasLora = (generator, name) => generator.loras?.some((l) => stem(l.name) === stem(name)) === true;

// wearing parts the tags of LoRAs that a generator has from other texts.
export function wearing(texts, generator) {
	const tags = texts.filter((text) => hasLora(generator, /^<(?:lora|lyco):([^:>]{1,200})/.exec(text)?.[1] ?? "<"));
	return { tags, others: texts.filter((text) => !tags.includes(text)) };
}

// worn puts the LoRAs that the generator has into the prompt, as AUTOMATIC1111
// writes them, and returns the others as text.
function worn(settings, loras, generator) {
	const has = ({ name }) => hasLora(generator, name);
	for (const l of loras.filter(has)) settings.prompt = `${settings.prompt} <lora:${stem(l.name)}:${l.text}:${l.weight}>`.trim();
	return loras.filter((l) => !has(l) && (l.weight !== 0 || l.text !== 0)).map(({ name, weight }) => `lora_name: ${brief(name, 40)} (${weight})`);
}

// unread takes out what a model does not read, and returns it as text. The last
// layer is what a model without CLIP has, too.
function unread(settings, { secondPrompt, weights, clipSkip, classes }) {
	const { secondPrompt: words, promptSyntax: read, clipSkip: skip, class: number } = settings;
	const lost = [];
	const drop = (name, text) => {
		delete settings[name];
		if (text) lost.push(text);
	};
	if (words && !secondPrompt) drop("secondPrompt", `Second prompt: ${brief(words, 40)}`);
	if (read && !weights) drop("promptSyntax", read !== "none" && `Prompt syntax: ${read}`);
	if (skip > clipSkip) drop("clipSkip", skip > 1 && `Clip skip: ${brief(skip)}`);
	if (number > 0 && number >= classes) drop("class", `Class: ${brief(number)}`);
	return lost;
}

// How the engine is to read a tool's prompts, where it can.
const promptSyntax = { a1111: "a1111", draw: "a1111", comfy: "comfyui", swarm: "comfyui" };

// The column of names.js that a tool's names are in.
const nameTable = { a1111: "a1111", comfy: "comfy", fooocus: "comfy", swarm: "comfy", invoke: "invoke", novelai: "novelai", draw: "draw", wisp: "", link: "" };

// Checkpoints are told by their file's name in many tools.
const sameModel = (a, b) => a.replace(/\.(safetensors|ckpt)$/i, "").split(/[\\/]/).at(-1) === b;

// What in a prompt other tools do not read as words: weights in brackets, parts
// and mixtures (AUTOMATIC1111 modules/prompt_parser.py, ComfyUI comfy/sd1_clip.py,
// InvokeAI's compel, NovelAI's documentation).
const syntax = {
	a1111: /(?<!\\)[([][^()[\]]{1,200}[)\]]|\bBREAK\b|\bAND\b/, comfy: /(?<!\\)\([^()]{1,200}\)|\bembedding:\S{1,60}/, invoke: /\)[+-]|\)\d|\w\+{1,9}(?=[\s,.]|$)/,
	novelai: /[{[][^{}[\]]{1,200}[}\]]|\d::/, draw: /(?<!\\)[([][^()[\]]{1,200}[)\]]/,
};

// What of it the engine does not read either, where it reads weights
// (engine/diffusion/weights.go).
const undone = { a1111: /(?<!\\)\[[^[\]]{0,200}:\s{0,9}[\d.]{1,9}\s{0,9}\]|(?<!\\)\[[^[\]|]{0,200}\|[^[\]]{0,200}\]|\bAND\b/, comfy: /\bembedding:\S{1,60}/ };

// emphasisIn lists what a tool reads in its prompts and the model draws as it is
// written; fields are the generator's.
export function emphasisIn(tool, { prompt = "", negativePrompt = "" }, fields) {
	const table = fields.weights && promptSyntax[tool] ? undone : syntax;
	const found = [prompt, negativePrompt].map((words) => table[nameTable[tool]]?.exec(words)?.[0]).find(Boolean);
	return found ? [brief(found, 40)] : [];
}
