// ComfyUI's workflows in API format: a file, or what a picture holds under
// "prompt". They are trusted with nothing.
import { number } from "./fields.js";
import { isObject } from "./json.js";
import { maxNodes } from "./limits.js";
import { brief, refuse } from "./refusal.js";

// The inputs of the nodes that wisp runs (ComfyUI nodes.py): what each becomes. ""
// is one that is followed or changes no picture; an input that is not here is
// lost.
export const nodeInputs = {
	SaveImage: { images: "", filename_prefix: "" },
	PreviewImage: { images: "" },
	VAEDecode: { samples: "", vae: "" },
	KSampler: { model: "", positive: "", negative: "", latent_image: "", denoise: "", seed: "seed", steps: "steps", cfg: "guidance", sampler_name: "sampler", scheduler: "schedule" },
	CheckpointLoaderSimple: { ckpt_name: "" },
	CLIPTextEncode: { clip: "", text: "" },
	CLIPSetLastLayer: { clip: "", stop_at_clip_layer: "" },
	EmptyLatentImage: { width: "width", height: "height", batch_size: "count" },
	EmptySD3LatentImage: { width: "width", height: "height", batch_size: "count" },
};

// parseWorkflow returns {tool, settings, lost} of a workflow that is made of the
// core text-to-image nodes. As ComfyUI does, it starts at the node that saves and
// goes by the links; a node on the way that is not one of them is refused by
// its name. It takes the body of a POST to ComfyUI's /prompt, too.
export function parseWorkflow(workflow) {
	if (Array.isArray(workflow?.nodes)) refuse("this is a ComfyUI workflow as the editor saves it: export it in API format");
	return new Reader(isObject(workflow?.prompt) ? workflow.prompt : workflow).read();
}

class Reader {
	constructor(workflow) {
		this.nodes = new Map(Object.entries(workflow ?? {}).filter(([, node]) => typeof node?.class_type === "string"));
		this.settings = {};
		this.lost = [];
		this.ways = new Set(); // of nodes that are on the way to others
		if (this.nodes.size === 0) refuse("this is no ComfyUI workflow in API format: it has no nodes");
		if (this.nodes.size > maxNodes) refuse(`the workflow has ${this.nodes.size} nodes: the most are ${maxNodes}`);
	}

	read() {
		const decode = this.follow(this.end(), "images", "VAEDecode");
		const sampler = this.follow(decode, "samples", "KSampler");
		const vae = this.follow(decode, "vae", "CheckpointLoaderSimple", "VAELoader");
		if (this.kind(vae) === "VAELoader") this.lose("vae_name", this.nodes.get(vae).inputs?.vae_name);
		const model = this.follow(sampler, "model", "CheckpointLoaderSimple");
		const positive = this.follow(sampler, "positive", "CLIPTextEncode");
		const negative = this.follow(sampler, "negative", "CLIPTextEncode");
		const latent = this.follow(sampler, "latent_image", "EmptyLatentImage", "EmptySD3LatentImage");
		const [skip, other] = [positive, negative].map((text) => this.clipSkip(text));
		if (skip !== other) refuse(`${this.label(negative)}: its stop_at_clip_layer is not that of ${this.label(positive)}: wisp takes one for both`);
		if (skip !== undefined) this.settings.clipSkip = skip;
		if (this.number(sampler, "denoise") !== 1) refuse(`${this.label(sampler)}: denoise must be 1`);
		this.take(sampler);
		this.take(latent);
		if (this.settings.count > 1) this.lose("batch_size", this.settings.count); // one noise for all there, a seed for each here
		for (const id of new Set([decode, positive, negative, model, ...this.ways])) this.rest(id);
		const { ckpt_name: name } = this.nodes.get(model).inputs ?? {};
		Object.assign(this.settings, { prompt: this.text(positive, "text"), negativePrompt: this.text(negative, "text"), model: typeof name === "string" ? name : undefined });
		return { tool: "comfy", settings: this.settings, lost: this.lost };
	}

	// clipSkip is how far before its end CLIP stops for a text; undefined is as the
	// checkpoint has it.
	clipSkip(text) {
		const clip = this.follow(text, "clip", "CheckpointLoaderSimple", "CLIPSetLastLayer");
		if (this.kind(clip) !== "CLIPSetLastLayer") return undefined;
		this.follow(clip, "clip", "CheckpointLoaderSimple");
		this.ways.add(clip);
		const layer = this.number(clip, "stop_at_clip_layer");
		return Number.isSafeInteger(layer) && layer < 0 ? -layer : refuse(`${this.label(clip)}: stop_at_clip_layer is ${brief(layer)}: it counts from the end, -1 is the last`);
	}

	// end is the node that saves the picture; one that shows it counts where
	// none saves.
	end() {
		const of = (kind) => [...this.nodes.keys()].filter((id) => this.kind(id) === kind);
		const ends = of("SaveImage").length > 0 ? of("SaveImage") : of("PreviewImage");
		const source = (id) => JSON.stringify(this.nodes.get(id).inputs?.images);
		if (new Set(ends.map(source)).size !== 1) refuse(`the workflow has ${ends.length} SaveImage nodes: wisp runs workflows with one`);
		for (const id of of("PreviewImage")) if (Array.isArray(this.nodes.get(id).inputs?.images) && source(id) !== source(ends[0])) this.lost.push(this.label(id));
		this.rest(ends[0]);
		return ends[0];
	}

	kind(id) {
		return this.nodes.get(id).class_type;
	}

	label(id) {
		return `node ${brief(id, 20)} (${brief(this.kind(id), 80)})`;
	}

	lose(input, value) {
		this.lost.push(`${brief(input, 40)}: ${brief(typeof value === "object" ? JSON.stringify(value) : value, 40)}`);
	}

	// follow returns the node that an input is linked to, which must be of one
	// of the kinds.
	follow(id, input, ...kinds) {
		const link = this.nodes.get(id).inputs?.[input];
		const to = Array.isArray(link) ? String(link[0]) : undefined;
		if (!this.nodes.has(to)) refuse(`${this.label(id)}: its input "${input}" is not linked to a node`);
		if (!kinds.includes(this.kind(to))) refuse(`${this.label(to)} is not supported here: wisp runs ${kinds.join(" or ")} in its place`);
		return to;
	}

	value(id, input) {
		const v = this.nodes.get(id).inputs?.[input];
		if (Array.isArray(v)) refuse(`${this.label(id)}: its input "${input}" is linked to node ${brief(v[0], 20)}: wisp takes a value only`);
		return v;
	}

	text(id, input) {
		const v = this.value(id, input);
		if (typeof v !== "string") refuse(`${this.label(id)}: its input "${input}" is not a string`);
		return v;
	}

	number(id, input) {
		const v = number(this.value(id, input));
		if (v === undefined) refuse(`${this.label(id)}: its input "${input}" is not a number`);
		return v;
	}

	// take turns a node's inputs into settings.
	take(id) {
		const known = nodeInputs[this.kind(id)];
		for (const [input, setting] of Object.entries(known)) {
			if (setting === "sampler" || setting === "schedule") this.settings[setting] = this.text(id, input);
			else if (setting === "seed") this.settings.seed = this.seed(id);
			else if (setting) this.settings[setting] = this.number(id, input);
		}
		this.rest(id);
	}

	// rest tells what of a node's inputs nobody reads.
	rest(id) {
		const known = nodeInputs[this.kind(id)];
		for (const [input, value] of Object.entries(this.nodes.get(id).inputs ?? {})) if (!Object.hasOwn(known, input)) this.lose(input, value);
	}

	// ComfyUI's seeds have 64 bits, a request's 53.
	seed(id) {
		const v = this.number(id, "seed");
		if (!Number.isSafeInteger(v) || v < 0) refuse(`${this.label(id)}: its seed ${brief(this.value(id, "seed"), 24)} is not a whole number below 2^53`);
		return v;
	}
}
