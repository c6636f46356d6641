// ComfyUI's workflows in API format: a JSON file, or the "prompt" text of a PNG
// file that ComfyUI wrote. They are trusted with nothing.
import { WispError } from "./wisp.js";

const refuse = (message) => {
	throw new WispError("bad-request", message);
};

// ComfyUI's names for what wisp has.
const comfySamplers = {
	euler: "euler", euler_ancestral: "euler_a", heun: "heun", ddim: "ddim", dpmpp_2m: "dpmpp_2m", dpmpp_2m_sde: "dpmpp_2m_sde",
	uni_pc: "unipc_bh1", uni_pc_bh2: "unipc", lcm: "lcm",
};
const comfySchedules = { normal: "", simple: "trailing", sgm_uniform: "trailing", karras: "karras", exponential: "exponential", ddim_uniform: "leading" };

// parseWorkflow returns the settings of a workflow that is made of the core
// text-to-image nodes. As ComfyUI does, it starts at the node that saves and
// goes by the links; a node on the way that is not one of them is refused by
// its name. The checkpoint's name is not looked at: the page's model draws.
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
		if (Array.isArray(v)) refuse(`${label(id)}: its input "${input}" is linked to node ${String(v[0]).slice(0, 20)}: wisp takes a value only`);
		if (typeof v !== kind) refuse(`${label(id)}: its input "${input}" is not a ${kind}`);
		return v;
	};
	// ComfyUI's seeds have 64 bits, JSON's numbers 53: a larger one has lost some.
	const seed = (id) => {
		const v = value(id, "seed", "number");
		if (!Number.isSafeInteger(v) || v < 0) refuse(`${label(id)}: its seed is not a whole number below 2^53`);
		return v;
	};
	const ends = [...nodes.keys()].filter((id) => ["SaveImage", "PreviewImage"].includes(nodes.get(id).class_type));
	if (nodes.size === 0) refuse("this is no ComfyUI workflow in API format: it has no nodes");
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
		seed: seed(sampler),
		steps: value(sampler, "steps", "number"),
		guidance: value(sampler, "cfg", "number"),
		sampler: named("sampler_name", comfySamplers),
		schedule: named("scheduler", comfySchedules),
		width: value(latent, "width", "number"),
		height: value(latent, "height", "number"),
		count: value(latent, "batch_size", "number"),
	};
}
