// Settings out of what other programs write into PNG files: AUTOMATIC1111's
// "parameters" text and ComfyUI's workflow in API format.
import { WispError } from "./wisp.js";

const refuse = (message) => {
	throw new WispError("bad-request", message);
};

// parseParameters reads AUTOMATIC1111's text: the prompt, "Negative prompt:"
// and what follows, and a last line of "key: value" pairs. Settings that are
// not there are left out.
export function parseParameters(text) {
	const lines = text.trim().split("\n");
	let pairs = readPairs(lines.at(-1));
	if (pairs.size < 3) pairs = new Map(); // the last line belongs to the prompt
	else lines.pop();
	const at = lines.findIndex((line) => line.trimStart().startsWith("Negative prompt:"));
	const prompt = lines.slice(0, at < 0 ? undefined : at).join("\n").trim();
	const negativePrompt = at < 0 ? "" : lines.slice(at).join("\n").trimStart().slice("Negative prompt:".length).trim();
	const [, width, height] = /^(\d+)x(\d+)$/.exec(pairs.get("Size") ?? "") ?? [];
	return compact({
		prompt,
		negativePrompt,
		seed: number(pairs.get("Seed")),
		steps: number(pairs.get("Steps")),
		guidance: number(pairs.get("CFG scale")),
		samplerLabel: pairs.get("Sampler"),
		scheduleLabel: pairs.get("Schedule type"),
		width: number(width),
		height: number(height),
	});
}

function readPairs(line) {
	const pairs = new Map();
	for (const [, key, value] of line.matchAll(/\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g)) {
		pairs.set(key.trim(), value.startsWith('"') ? unquote(value) : value.trim());
	}
	return pairs;
}

function unquote(value) {
	try {
		return JSON.parse(value);
	} catch {
		return value;
	}
}

const number = (text) => (text !== undefined && text !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined);
const compact = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

// ComfyUI's names for what wisp has.
const comfySamplers = {
	euler: "euler", euler_ancestral: "euler_a", heun: "heun", ddim: "ddim", dpmpp_2m: "dpmpp_2m", dpmpp_2m_sde: "dpmpp_2m_sde",
	uni_pc: "unipc", lcm: "lcm",
};
const comfySchedules = { normal: "", simple: "trailing", sgm_uniform: "trailing", karras: "karras", exponential: "exponential", ddim_uniform: "leading" };

// parseWorkflow reads a ComfyUI workflow in API format that is made of the
// core text-to-image nodes. Anything else is refused with the node's name.
export function parseWorkflow(workflow) {
	if (Array.isArray(workflow?.nodes)) refuse("this is a ComfyUI workflow as the editor saves it: export it in API format");
	const nodes = new Map(Object.entries(workflow ?? {}).filter(([, node]) => typeof node?.class_type === "string"));
	const label = (id) => `node ${id} (${String(nodes.get(id)?.class_type).slice(0, 80)})`;
	// follow returns the node that an input is linked to, which must be of one
	// of the kinds.
	const follow = (id, input, ...kinds) => {
		const link = nodes.get(id).inputs?.[input];
		const to = Array.isArray(link) ? String(link[0]) : undefined;
		if (!nodes.has(to)) refuse(`${label(id)}: its input "${input}" is not linked to a node`);
		if (!kinds.includes(nodes.get(to).class_type)) refuse(`${label(to)} is not supported here: wisp runs ${kinds.join(" or ")} in its place`);
		return to;
	};
	const value = (id, input, kind) => {
		const v = nodes.get(id).inputs?.[input];
		if (typeof v !== kind) refuse(`${label(id)}: its input "${input}" is not a ${kind}`);
		return v;
	};
	const ends = [...nodes.keys()].filter((id) => ["SaveImage", "PreviewImage"].includes(nodes.get(id).class_type));
	if (ends.length !== 1) refuse(`the workflow has ${ends.length} SaveImage nodes: wisp runs workflows with one`);
	const decode = follow(ends[0], "images", "VAEDecode");
	const sampler = follow(decode, "samples", "KSampler");
	follow(decode, "vae", "CheckpointLoaderSimple", "VAELoader");
	follow(sampler, "model", "CheckpointLoaderSimple");
	const positive = follow(sampler, "positive", "CLIPTextEncode");
	const negative = follow(sampler, "negative", "CLIPTextEncode");
	const latent = follow(sampler, "latent_image", "EmptyLatentImage", "EmptySD3LatentImage");
	for (const text of [positive, negative]) follow(text, "clip", "CheckpointLoaderSimple");
	if (value(sampler, "denoise", "number") !== 1) refuse(`${label(sampler)}: denoise must be 1`);
	const named = (input, names) => {
		const name = value(sampler, input, "string");
		if (!Object.hasOwn(names, name)) refuse(`${label(sampler)}: ${input} "${name.slice(0, 40)}" is not one of ${Object.keys(names).join(", ")}`);
		return names[name];
	};
	return {
		prompt: value(positive, "text", "string"),
		negativePrompt: value(negative, "text", "string"),
		seed: value(sampler, "seed", "number"),
		steps: value(sampler, "steps", "number"),
		guidance: value(sampler, "cfg", "number"),
		sampler: named("sampler_name", comfySamplers),
		schedule: named("scheduler", comfySchedules),
		width: value(latent, "width", "number"),
		height: value(latent, "height", "number"),
		count: value(latent, "batch_size", "number"),
	};
}
