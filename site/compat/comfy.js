// ComfyUI's workflows in API format: a file, or what a picture holds under
// "prompt". They are trusted with nothing.
import { number } from "./fields.js";
import { isObject } from "./json.js";
import { maxNodes } from "./limits.js";
import { empty, loaders, nodeInputs, samplers, sigmas, texts, usual } from "./nodes.js";
import { brief, refuse } from "./refusal.js";

// parseWorkflow returns {tool, settings, lost} of a workflow that is made of the
// nodes above. As ComfyUI does, it starts at the node that saves and goes by the
// links; a node on the way that is not one of them is refused by its name. It takes
// the body of a POST to ComfyUI's /prompt, too. Of pictures a workflow has the
// names only: settings.begins is {image, mask: {name, channel, inverted}, crop}
// where it begins with one; settings.loras lists {name, weight, text},
// settings.controls {name, image, weight, start, end, preprocess}; settings.enlarge
// names the network that enlarges the picture.
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
		this.controls = new Map(); // likewise
		if (this.nodes.size === 0) refuse("this is no ComfyUI workflow in API format: it has no nodes");
		if (this.nodes.size > maxNodes) refuse(`the workflow has ${this.nodes.size} nodes: the most are ${maxNodes}`);
	}

	read() {
		const ends = ["VAEDecode", "VAEDecodeTiled", "ImageUpscaleWithModel"];
		let decode = this.follow(this.end(), "images", ...ends);
		if (this.kind(decode) === ends[2]) {
			this.settings.enlarge = this.text(this.follow(decode, "upscale_model", "UpscaleModelLoader"), "model_name");
			decode = this.follow(decode, "image", ...ends.slice(0, 2));
		}
		const sampler = this.follow(decode, "samples", ...samplers);
		this.vae(decode);
		this[this.kind(sampler)](sampler);
		for (const id of this.seen) this.take(id);
		if (this.larger) this.enlarge(this.larger);
		if (this.settings.count > 1) this.lose("batch_size", this.settings.count); // one noise for all there, a seed for each here
		this.settings.count ??= 1;
		if (this.controls.size > 0) this.settings.controls = [...this.controls.values()];
		if (this.loras.size > 0) this.settings.loras = [...this.loras.values()];
		return { tool: "comfy", settings: this.settings, lost: this.lost };
	}

	// The samplers.
	KSampler(id) {
		this.conditioned(id, id);
		this.part(id);
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
		const to = this.follow(id, "sigmas", "BasicScheduler", ...Object.keys(sigmas)), { model, denoise } = nodeInputs[this.kind(to)];
		if (model === "") this.model(to);
		if (sigmas[this.kind(to)]) this.settings.schedule = sigmas[this.kind(to)];
		for (const [input, value] of Object.entries(usual)) if (input in nodeInputs[this.kind(to)] && this.number(to, input) !== value) this.lose(input, this.value(to, input));
		this.part(to, denoise === undefined ? 1 : this.number(to, "denoise"));
	}

	// part sets the steps of a node that walks a part of all.
	part(id, denoise = this.number(id, "denoise")) {
		const steps = this.whole(id, "steps");
		if (!(denoise > 0 && denoise <= 1)) refuse(`${this.label(id)}: its input "denoise" is ${denoise}: it must be over 0 and at most 1`);
		this.walk(id, Math.max(steps, Math.floor(steps / denoise + 1e-9)), steps);
	}

	// walk sets how many steps there are and how many of them are walked, from the end.
	walk(id, steps, walked) {
		if (this.larger?.sampler === id) Object.assign(this.settings, { upscaleSteps: steps, upscaleStrength: walked / steps });
		else this.settings.steps = steps;
		if (this.larger?.sampler === id) return;
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
		const to = this.follow(id, input, ...Object.keys(texts), "FluxGuidance", "ConditioningZeroOut", "ControlNetApply", "ControlNetApplyAdvanced");
		if (/^Control/.test(this.kind(to))) return this.control(to, this.kind(to) === "ControlNetApply" ? "conditioning" : this.nodes.get(id).inputs[input][1] === 1 ? "negative" : "positive");
		if (!texts[this.kind(to)]) {
			const inner = this.deeper(() => this.conditioning(to, "conditioning"));
			return this.kind(to) === "ConditioningZeroOut" ? { ...inner, zero: true } : inner;
		}
		return { id: to, texts: texts[this.kind(to)].map((name) => this.text(to, name)), skip: this.clip(to), zero: false };
	}

	// control reads what steers beside the words behind it.
	control(id, input) {
		const part = (name, least) => (name in nodeInputs[this.kind(id)] ? this.number(id, name) : least);
		if (!this.controls.has(id)) {
			this.controls.set(id, {
				name: this.text(this.follow(id, "control_net", "ControlNetLoader"), "control_net_name"), ...this.steering(id),
				weight: this.number(id, "strength"), start: part("start_percent", 0), end: part("end_percent", 1),
			});
		}
		return this.deeper(() => this.conditioning(id, input));
	}

	// steering is {image, preprocess} of a control's picture; ComfyUI's edges are
	// kornia's, which blurs otherwise.
	steering(id) {
		const to = this.follow(id, "image", "LoadImage", "Canny", "ImageScale");
		if (this.kind(to) === "LoadImage") return { image: this.text(to, "image") };
		const inner = this.deeper(() => this.steering(to));
		if (this.kind(to) === "ImageScale") return inner;
		this.lose("Canny", "OpenCV's");
		return { ...inner, preprocess: { name: "canny", low: 255 * this.number(to, "low_threshold"), high: 255 * this.number(to, "high_threshold") } };
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
		const to = this.follow(id, input, ...empty, "VAEEncode", "VAEEncodeForInpaint", "SetLatentNoiseMask", ...(this.larger ? [] : ["LatentUpscale", "LatentUpscaleBy"]));
		if (/^Latent/.test(this.kind(to))) return this.again(id, to);
		if (empty.includes(this.kind(to))) return;
		const begins = this.settings.begins ??= {};
		if (this.kind(to) === "SetLatentNoiseMask") {
			this.deeper(() => this.latent(to, "samples"));
			if (begins.image === undefined) refuse(`${this.label(to)}: its latents are of no picture`);
		} else {
			this.vae(to);
			this.pixels(to);
		}
		const mask = this.kind(to) !== "VAEEncode" && this.mask(to, false);
		if (mask) begins.mask ??= mask;
	}

	// again reads the sampler whose latents another one draws again, larger.
	again(sampler, id) {
		const first = this.follow(id, "samples", "KSampler"), { prompt, negativePrompt } = this.settings;
		this.larger = { sampler, id, first };
		this.KSampler(first);
		if (prompt !== this.settings.prompt || negativePrompt !== this.settings.negativePrompt) this.lose("positive", prompt);
		for (const input of ["seed", "cfg", "sampler_name", "scheduler"]) if (this.value(first, input) !== this.value(sampler, input)) this.lose(input, this.value(sampler, input));
		if (this.text(id, "upscale_method") !== "bilinear") this.lose("upscale_method", this.value(id, "upscale_method"));
	}

	// enlarge sets how much larger, once the first size is known.
	enlarge({ id }) {
		const by = this.kind(id) === "LatentUpscaleBy" ? this.number(id, "scale_by") : this.number(id, "width") / this.settings.width;
		if (this.kind(id) === "LatentUpscale" && Math.abs(this.number(id, "height") - by * this.settings.height) > 8) this.lose("height", this.value(id, "height"));
		Object.assign(this.settings, { upscaleBy: by, upscaler: "latent" });
	}

	pixels(id, input = "pixels") {
		const { begins } = this.settings;
		const to = this.follow(id, input, "LoadImage", "ImageScale", "ImagePadForOutpaint");
		if (this.kind(to) === "LoadImage") begins.image = this.text(to, "image");
		else if (this.kind(to) === "ImagePadForOutpaint") {
			begins.outpaint = Object.fromEntries(["left", "top", "right", "bottom"].map((side) => [side, this.whole(to, side)]));
			this.deeper(() => this.pixels(to, "image"));
		} else {
			const crop = this.value(to, "crop") ?? "disabled";
			if (!["disabled", "center"].includes(crop)) refuse(`${this.label(to)}: its crop is ${brief(crop)}: wisp knows disabled and center`);
			begins.crop = crop === "center";
			this.deeper(() => this.pixels(to, "image"));
		}
	}

	// mask is {name, channel, inverted} of a mask's picture. LoadImage's is what of
	// its picture shows through.
	mask(id, inverted) {
		const to = this.follow(id, "mask", "LoadImage", "LoadImageMask", "InvertMask", "ImagePadForOutpaint");
		if (this.kind(to) === "ImagePadForOutpaint") return undefined; // what it adds is drawn anew anyhow
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
