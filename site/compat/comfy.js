// ComfyUI's workflows in API format: a file, or what a picture holds under
// "prompt". They are trusted with nothing.
import { number } from "./fields.js";
import { isObject } from "./json.js";
import { maxNodes } from "./limits.js";
import { brief, refuse } from "./refusal.js";

// The inputs of the nodes that wisp runs (ComfyUI nodes.py and comfy_extras): what
// each becomes. "" is one that is followed, read where it is needed, or changes no
// picture; an input that is not here is lost.
export const nodeInputs = {
	SaveImage: { images: "", filename_prefix: "" },
	PreviewImage: { images: "" },
	VAEDecode: { samples: "", vae: "" },
	VAEDecodeTiled: { samples: "", vae: "", tile_size: "", overlap: "", temporal_size: "", temporal_overlap: "" },
	KSampler: { model: "", positive: "", negative: "", latent_image: "", denoise: "", seed: "seed", steps: "", cfg: "guidance", sampler_name: "sampler", scheduler: "schedule" },
	KSamplerAdvanced: { model: "", positive: "", negative: "", latent_image: "", add_noise: "", noise_seed: "seed", steps: "", cfg: "guidance", sampler_name: "sampler", scheduler: "schedule", start_at_step: "", end_at_step: "", return_with_leftover_noise: "" },
	SamplerCustom: { model: "", positive: "", negative: "", latent_image: "", add_noise: "", noise_seed: "seed", cfg: "guidance", sampler: "", sigmas: "" },
	SamplerCustomAdvanced: { noise: "", guider: "", sampler: "", sigmas: "", latent_image: "" },
	RandomNoise: { noise_seed: "seed" },
	BasicGuider: { model: "", conditioning: "" },
	CFGGuider: { model: "", positive: "", negative: "", cfg: "guidance" },
	KSamplerSelect: { sampler_name: "sampler" },
	BasicScheduler: { model: "", scheduler: "schedule", steps: "", denoise: "" },
	CheckpointLoaderSimple: { ckpt_name: "" },
	UNETLoader: { unet_name: "", weight_dtype: "" },
	CLIPLoader: { clip_name: "", type: "", device: "" },
	DualCLIPLoader: { clip_name1: "", clip_name2: "", type: "", device: "" },
	TripleCLIPLoader: { clip_name1: "", clip_name2: "", clip_name3: "" },
	VAELoader: { vae_name: "" },
	LoraLoader: { model: "", clip: "", lora_name: "", strength_model: "", strength_clip: "" },
	LoraLoaderModelOnly: { model: "", lora_name: "", strength_model: "" },
	ModelSamplingFlux: { model: "", width: "", height: "" },
	ModelSamplingSD3: { model: "" },
	CLIPTextEncode: { clip: "", text: "" },
	CLIPTextEncodeFlux: { clip: "", clip_l: "", t5xxl: "", guidance: "guidance" },
	CLIPTextEncodeSDXL: { clip: "", text_g: "", text_l: "", width: "", height: "", target_width: "", target_height: "" },
	FluxGuidance: { conditioning: "", guidance: "guidance" },
	ConditioningZeroOut: { conditioning: "" },
	CLIPSetLastLayer: { clip: "", stop_at_clip_layer: "" },
	EmptyLatentImage: { width: "width", height: "height", batch_size: "count" },
	EmptySD3LatentImage: { width: "width", height: "height", batch_size: "count" },
	EmptyFlux2LatentImage: { width: "width", height: "height", batch_size: "count" },
	VAEEncode: { pixels: "", vae: "" },
	VAEEncodeForInpaint: { pixels: "", vae: "", mask: "" },
	SetLatentNoiseMask: { samples: "", mask: "" },
	LoadImage: { image: "", upload: "" },
	LoadImageMask: { image: "", channel: "", upload: "" },
	InvertMask: { mask: "" },
	ImageScale: { image: "", upscale_method: "", width: "width", height: "height", crop: "" },
};

const samplers = ["KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"];
const empty = ["EmptyLatentImage", "EmptySD3LatentImage", "EmptyFlux2LatentImage"];
const loaders = { model: ["CheckpointLoaderSimple", "UNETLoader"], clip: ["CheckpointLoaderSimple", "CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader"] };
const texts = { CLIPTextEncode: ["text"], CLIPTextEncodeFlux: ["clip_l", "t5xxl"], CLIPTextEncodeSDXL: ["text_l", "text_g"] };

// parseWorkflow returns {tool, settings, lost} of a workflow that is made of the
// nodes above. As ComfyUI does, it starts at the node that saves and goes by the
// links; a node on the way that is not one of them is refused by its name. It takes
// the body of a POST to ComfyUI's /prompt, too. Of pictures a workflow has the
// names only: settings.begins is {image, mask: {name, channel, inverted}, crop}
// where it begins with one; settings.loras lists {name, weight, text}.
export function parseWorkflow(workflow) {
	if (Array.isArray(workflow?.nodes)) refuse("this is a ComfyUI workflow as the editor saves it: export it in API format");
	return new Reader(isObject(workflow?.prompt) ? workflow.prompt : workflow).read();
}

class Reader {
	constructor(workflow) {
		this.nodes = new Map(Object.entries(workflow ?? {}).filter(([, node]) => typeof node?.class_type === "string"));
		this.settings = {};
		this.lost = [];
		this.seen = new Set(); // nodes whose inputs count
		this.loras = new Map(); // id -> {name, weight, text}
		if (this.nodes.size === 0) refuse("this is no ComfyUI workflow in API format: it has no nodes");
		if (this.nodes.size > maxNodes) refuse(`the workflow has ${this.nodes.size} nodes: the most are ${maxNodes}`);
	}

	read() {
		const decode = this.follow(this.end(), "images", "VAEDecode", "VAEDecodeTiled");
		const sampler = this.follow(decode, "samples", ...samplers);
		this.vae(decode);
		this[this.kind(sampler)](sampler);
		for (const id of this.seen) this.take(id);
		if (this.settings.count > 1) this.lose("batch_size", this.settings.count); // one noise for all there, a seed for each here
		this.settings.count ??= 1;
		if (this.loras.size > 0) this.settings.loras = [...this.loras.values()];
		return { tool: "comfy", settings: this.settings, lost: this.lost };
	}

	// The samplers.
	KSampler(id) {
		this.conditioned(id, id);
		const steps = this.whole(id, "steps"), denoise = this.number(id, "denoise");
		if (!(denoise > 0 && denoise <= 1)) refuse(`${this.label(id)}: its input "denoise" is ${denoise}: it must be over 0 and at most 1`);
		this.walk(id, Math.max(steps, Math.floor(steps / denoise + 1e-9)), steps);
	}

	KSamplerAdvanced(id) {
		this.conditioned(id, id);
		const steps = this.whole(id, "steps"), from = this.whole(id, "start_at_step"), to = this.whole(id, "end_at_step");
		this.must(id, "add_noise", "enable");
		this.must(id, "return_with_leftover_noise", "disable");
		if (to < steps) refuse(`${this.label(id)}: its end_at_step is ${to}: wisp walks all ${steps} steps`);
		if (from >= steps) refuse(`${this.label(id)}: its start_at_step is ${from}: there are ${steps} steps`);
		this.walk(id, steps, steps - from);
	}

	SamplerCustom(id) {
		this.conditioned(id, id);
		if (this.value(id, "add_noise") !== true) refuse(`${this.label(id)}: its input "add_noise" must be true`);
		this.schedule(id);
	}

	SamplerCustomAdvanced(id) {
		this.follow(id, "noise", "RandomNoise");
		const guider = this.follow(id, "guider", "BasicGuider", "CFGGuider");
		if (this.kind(guider) === "CFGGuider") this.conditioned(guider, id);
		else {
			this.model(guider);
			this.settings.negativePrompt = "";
			this.settings.guidance ??= 1;
			this.positive(guider, "conditioning");
			this.latent(id, "latent_image");
		}
		this.schedule(id);
	}

	// schedule reads where a sampler's steps come from.
	schedule(id) {
		this.follow(id, "sampler", "KSamplerSelect");
		const sigmas = this.follow(id, "sigmas", "BasicScheduler");
		this.model(sigmas);
		const steps = this.whole(sigmas, "steps"), denoise = this.number(sigmas, "denoise");
		if (!(denoise > 0 && denoise <= 1)) refuse(`${this.label(sigmas)}: its input "denoise" is ${denoise}: it must be over 0 and at most 1`);
		this.walk(sigmas, Math.max(steps, Math.floor(steps / denoise + 1e-9)), steps);
	}

	// walk sets how many steps there are and how many of them are walked, from the end.
	walk(id, steps, walked) {
		this.settings.steps = steps;
		if (this.settings.begins) this.settings.strength = walked / steps;
		else if (walked < steps) refuse(`${this.label(id)}: ${"denoise" in this.nodes.get(id).inputs ? "denoise must be 1" : "start_at_step must be 0"} where nothing is begun with`);
	}

	// conditioned reads the model and the words at a node, and the latents of the
	// sampler.
	conditioned(id, sampler) {
		this.model(id);
		const skip = this.positive(id, "positive");
		const negative = this.conditioning(id, "negative");
		if (skip !== negative.skip && !negative.zero) refuse(`${this.label(negative.id)}: its stop_at_clip_layer is not that of ${this.label(this.words)}: wisp takes one for both`);
		this.settings.negativePrompt = negative.zero ? "" : negative.texts[0];
		if (!negative.zero && negative.texts[1] !== undefined && negative.texts[1] !== negative.texts[0]) this.lose("negative", negative.texts[1]);
		this.latent(sampler, "latent_image");
	}

	positive(id, input) {
		const { id: words, texts: [first, second], skip, zero } = this.conditioning(id, input);
		this.words = words;
		this.settings.prompt = zero ? "" : first;
		if (second !== undefined && second !== first) this.settings.secondPrompt = second;
		if (skip !== undefined) this.settings.clipSkip = skip;
		return skip;
	}

	// conditioning is {id, texts, skip, zero} of the words behind an input.
	conditioning(id, input) {
		const to = this.follow(id, input, ...Object.keys(texts), "FluxGuidance", "ConditioningZeroOut");
		if (!texts[this.kind(to)]) {
			const inner = this.deeper(() => this.conditioning(to, "conditioning"));
			return this.kind(to) === "ConditioningZeroOut" ? { ...inner, zero: true } : inner;
		}
		return { id: to, texts: texts[this.kind(to)].map((name) => this.text(to, name)), skip: this.clip(to), zero: false };
	}

	// clip is how far before its end CLIP stops for a text; undefined is as the
	// checkpoint has it.
	clip(id) {
		let skip;
		for (let at = this.follow(id, "clip", ...loaders.clip, "CLIPSetLastLayer", "LoraLoader"); ; at = this.follow(at, "clip", ...loaders.clip, "CLIPSetLastLayer", "LoraLoader")) {
			if (this.kind(at) === "LoraLoader") this.lora(at).text = this.number(at, "strength_clip");
			else if (this.kind(at) !== "CLIPSetLastLayer") return skip;
			else if (skip === undefined) {
				const layer = this.number(at, "stop_at_clip_layer");
				skip = Number.isSafeInteger(layer) && layer < 0 ? -layer : refuse(`${this.label(at)}: stop_at_clip_layer is ${brief(layer)}: it counts from the end, -1 is the last`);
			}
			this.step();
		}
	}

	// model goes to where the model comes from.
	model(id) {
		const kinds = [...loaders.model, "LoraLoader", "LoraLoaderModelOnly", "ModelSamplingFlux", "ModelSamplingSD3"];
		for (let at = this.follow(id, "model", ...kinds); ; at = this.follow(at, "model", ...kinds)) {
			if (/^Lora/.test(this.kind(at))) this.lora(at).weight = this.number(at, "strength_model");
			else if (loaders.model.includes(this.kind(at))) {
				const { ckpt_name: name, unet_name: unet } = this.nodes.get(at).inputs ?? {};
				this.settings.model = [name, unet].find((n) => typeof n === "string");
				return;
			}
			this.step();
		}
	}

	lora(id) {
		if (!this.loras.has(id)) this.loras.set(id, { name: this.text(id, "lora_name"), weight: 0, text: 0 });
		return this.loras.get(id);
	}

	// latent reads what drawing begins with.
	latent(id, input) {
		const to = this.follow(id, input, ...empty, "VAEEncode", "VAEEncodeForInpaint", "SetLatentNoiseMask");
		if (empty.includes(this.kind(to))) return;
		const begins = this.settings.begins ??= {};
		if (this.kind(to) === "SetLatentNoiseMask") {
			this.deeper(() => this.latent(to, "samples"));
			if (begins.image === undefined) refuse(`${this.label(to)}: its latents are of no picture`);
		} else {
			this.vae(to);
			this.pixels(to);
		}
		if (this.kind(to) !== "VAEEncode") begins.mask ??= this.mask(to, false);
	}

	pixels(id, input = "pixels") {
		const { begins } = this.settings;
		const to = this.follow(id, input, "LoadImage", "ImageScale");
		if (this.kind(to) === "LoadImage") begins.image = this.text(to, "image");
		else {
			const crop = this.value(to, "crop") ?? "disabled";
			if (!["disabled", "center"].includes(crop)) refuse(`${this.label(to)}: its crop is ${brief(crop)}: wisp knows disabled and center`);
			begins.crop = crop === "center";
			this.deeper(() => this.pixels(to, "image"));
		}
	}

	// mask is {name, channel, inverted} of a mask's picture. LoadImage's is what of
	// its picture shows through.
	mask(id, inverted) {
		const to = this.follow(id, "mask", "LoadImage", "LoadImageMask", "InvertMask");
		if (this.kind(to) === "InvertMask") return this.deeper(() => this.mask(to, !inverted));
		const channel = this.kind(to) === "LoadImage" ? "alpha" : this.text(to, "channel");
		if (!["alpha", "red", "green", "blue"].includes(channel)) refuse(`${this.label(to)}: its channel is ${brief(channel)}`);
		return { name: this.text(to, "image"), channel, inverted: inverted !== (channel === "alpha") };
	}

	vae(id) {
		const vae = this.follow(id, "vae", "CheckpointLoaderSimple", "VAELoader");
		if (this.kind(vae) === "VAELoader" && !this.told) this.lose("vae_name", this.nodes.get(vae).inputs?.vae_name);
		this.told ||= this.kind(vae) === "VAELoader";
	}

	// step counts what is followed, so that a circle ends.
	step() {
		this.steps = (this.steps ?? 0) + 1;
		if (this.steps > 10 * maxNodes) refuse("the workflow goes in a circle");
	}

	deeper(f) {
		this.depth = (this.depth ?? 0) + 1;
		if (this.depth > 100) refuse("the workflow goes in a circle");
		const found = f();
		this.depth--;
		return found;
	}

	// end is the node that saves the picture; one that shows it counts where
	// none saves.
	end() {
		const of = (kind) => [...this.nodes.keys()].filter((id) => this.kind(id) === kind);
		const ends = of("SaveImage").length > 0 ? of("SaveImage") : of("PreviewImage");
		const source = (id) => JSON.stringify(this.nodes.get(id).inputs?.images);
		if (new Set(ends.map(source)).size !== 1) refuse(`the workflow has ${ends.length} SaveImage nodes: wisp runs workflows with one`);
		for (const id of of("PreviewImage")) if (Array.isArray(this.nodes.get(id).inputs?.images) && source(id) !== source(ends[0])) this.lost.push(this.label(id));
		this.seen.add(ends[0]);
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
		this.seen.add(id);
		const link = this.nodes.get(id).inputs?.[input];
		const to = Array.isArray(link) ? String(link[0]) : undefined;
		if (!this.nodes.has(to)) refuse(`${this.label(id)}: its input "${input}" is not linked to a node`);
		if (!kinds.includes(this.kind(to))) refuse(`${this.label(to)} is not supported here: wisp runs ${kinds.join(" or ")} in its place`);
		this.seen.add(to);
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

	whole(id, input) {
		const v = this.number(id, input);
		return Number.isSafeInteger(v) && v >= 0 ? v : refuse(`${this.label(id)}: its input "${input}" is ${brief(v)}: it must be a whole number`);
	}

	must(id, input, wanted) {
		const v = this.value(id, input);
		if (v !== wanted) refuse(`${this.label(id)}: its input "${input}" is ${brief(v)}: wisp runs it with ${wanted} only`);
	}

	// take turns a node's inputs into settings, and tells what of them nobody reads.
	take(id) {
		const known = nodeInputs[this.kind(id)];
		for (const [input, setting] of Object.entries(known)) {
			if (setting === "sampler" || setting === "schedule") this.settings[setting] = this.text(id, input);
			else if (setting === "seed") this.settings.seed = this.seed(id, input);
			else if (setting) this.settings[setting] = this.number(id, input);
		}
		for (const [input, value] of Object.entries(this.nodes.get(id).inputs ?? {})) if (!Object.hasOwn(known, input)) this.lose(input, value);
	}

	// ComfyUI's seeds have 64 bits, a request's 53.
	seed(id, input) {
		const v = this.number(id, input);
		if (!Number.isSafeInteger(v) || v < 0) refuse(`${this.label(id)}: its seed ${brief(this.value(id, input), 24)} is not a whole number below 2^53`);
		return v;
	}
}
