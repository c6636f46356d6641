// What the fields of other tools' texts are to wisp. Every field of a text is one
// of: done (it becomes a setting), a fact (it changes no picture), off (its value
// is the one that changes nothing), or lost, and then the visitor is told. A field
// that no table has is lost.
import { brief } from "./refusal.js";

// Each table: done names the setting, facts lists fields, off has the harmless
// values of the others, noise what the field says that the tool draws its noise
// with where it is not there.
export const tables = {
	// AUTOMATIC1111 modules/processing.py (create_infotext), shared_options.py (infotext=),
	// Forge backend; extensions' keys are lost by default.
	a1111: {
		done: { Steps: "steps", Sampler: "sampler", "Schedule type": "schedule", "CFG scale": "guidance", Seed: "seed", Size: "size", Model: "model", "Clip skip": "fromOne", Eta: "eta", "Skip Early CFG": "guidanceStart" },
		facts: ["Version", "Model hash", "VAE hash", "Hashes", "Lora hashes", "TI hashes", "User", "Batch size", "Batch pos", "Wildcard prompt", "Negative wildcard prompt", "Created Date", "Civitai resources", "Civitai metadata", "Time taken", "Postprocess upscale by", "Postprocess upscaler"],
		off: {
			"Variation seed strength": ["0"], "Face restoration": [""], Tiling: ["False"], ENSD: ["0"], Refiner: ["", "None"], RNG: ["CPU"],
			"Style Selector Enabled": ["False"], "Style Selector Randomize": ["False"], "Style Selector Style": ["base"], VAE: ["Automatic", "None"],
			"Token merging ratio": ["0"], NGMS: ["0", "0.0"], "FP8 weight": ["Disable"], "Diffusion in Low Bits": ["Automatic"], Emphasis: ["Original"],
			"Schedule max sigma": ["0"], "Schedule min sigma": ["0"], "Sigma churn": ["0"], "VAE Encoder": ["Full"], "VAE Decoder": ["Full"],
		},
	},
	// What wisp writes itself, by engine/diffusion/parameters.go.
	wisp: {
		done: {
			Steps: "steps", Sampler: "sampler", "Schedule type": "schedule", "CFG scale": "guidance", Seed: "seed", Size: "size", Model: "model",
			"Second prompt": "secondPrompt", "Prompt syntax": "promptSyntax", "Clip skip": "clipSkip", Class: "class",
			Eta: "eta", Churn: "churn", "Skip Early CFG": "guidanceStart", "Guidance end": "guidanceEnd", "Guidance rescale": "guidanceRescale", "Guidance method": "guidanceMethod", "Skip layers": "skipLayers", Reuse: "reuse", "Source prompt": "sourcePrompt", Kept: "kept",
			"Hires upscale": "upscaleBy", "Hires steps": "upscaleSteps", "Hires upscaler": "upscaler", "Hires strength": "upscaleStrength",
		},
		facts: ["Version", "Lora hashes", "Postprocess upscale by", "Postprocess upscaler"], off: {},
	},
	// Fooocus modules/meta_parser.py, its form "fooocus"; the form "a1111" has the labels.
	fooocus: {
		done: {
			prompt: "prompt", negative_prompt: "negativePrompt", steps: "steps", guidance_scale: "guidance", seed: "seed", resolution: "size", sampler: "sampler", scheduler: "schedule", base_model: "model", clip_skip: "clipSkip",
			"Raw prompt": "prompt", "Raw negative prompt": "negativePrompt", Steps: "steps", "CFG scale": "guidance", Seed: "seed", Size: "size", Sampler: "sampler", Scheduler: "schedule", Model: "model", "Clip skip": "clipSkip",
		},
		facts: ["version", "Version", "metadata_scheme", "created_by", "User", "base_model_hash", "refiner_model_hash", "lora_hashes", "Model hash", "Refiner hash", "Lora hashes", "Lora weights", "full_prompt", "full_negative_prompt", "refiner_swap_method", "Refiner Swap Method", "overwrite_switch", "Overwrite Switch", "refiner_switch", "loras"],
		off: {
			styles: ["[]", ""], Styles: ["[]", ""], performance: ["Quality", "Speed"], Performance: ["Quality", "Speed"], refiner_model: ["None", ""], Refiner: ["None", ""], vae: ["Default (model)", ""], VAE: ["Default (model)", "", "Default (model)"],
			prompt_expansion: [""], sharpness: ["0", "0.0"], Sharpness: ["0", "0.0"],
		},
	},
	// SwarmUI src/Text2Image/T2IParamTypes.cs, under sui_image_params.
	swarm: {
		done: {
			prompt: "prompt", negativeprompt: "negativePrompt", seed: "seed", steps: "steps", cfgscale: "guidance", width: "width", height: "height", model: "model",
			sampler: "sampler", comfyuisampler: "sampler", scheduler: "schedule", comfyuischeduler: "schedule", clipstopatlayer: "fromEnd",
		},
		facts: ["swarm_version", "date", "generation_time", "prep_time", "aspectratio", "sidelength", "nopreviews", "wildcardseed", "imageformat", "used_wildcards", "original_prompt", "original_negativeprompt", "personalnote", "donotsave", "images", "batchsize", "seamlesstileable_", "automaticvae", "presets", "used_embeddings", "modelspecificenhancements", "outpathbuilder", "outputformat"],
		off: { loras: ["", "[]"], vae: ["", "None", "Automatic"], variationseedstrength: ["0"], seamlesstileable: ["false", "False"], refinermodel: ["", "(Use Base)"], refinercontrolpercentage: ["0"], refinerupscale: ["1"] },
	},
	// InvokeAI app/invocations/metadata.py (CoreMetadataInvocation) and its UI's additions.
	invoke: {
		done: { positive_prompt: "prompt", negative_prompt: "negativePrompt", width: "width", height: "height", seed: "seed", cfg_scale: "guidance", steps: "steps", scheduler: "sampler", model: "model", clip_skip: "fromZero", cfg_rescale_multiplier: "rescale" },
		facts: ["app_version", "app_id", "model_weights", "model_hash", "canvas_v2_metadata", "qwen3_encoder", "qwen3_source"],
		off: {
			generation_mode: ["txt2img", "sdxl_txt2img", "sd3_txt2img", "flux_txt2img"], rand_device: ["cpu"], controlnets: ["[]"], ipAdapters: ["[]"], t2iAdapters: ["[]"], loras: ["[]"],
			ref_images: ["[]"], regions: ["[]"], seamless_x: ["false"], seamless_y: ["false"], hrf_enabled: ["false"], positive_style_prompt: [""], negative_style_prompt: [""],
			// of the older sd-metadata
			threshold: ["0"], perlin: ["0"], seamless: ["false"], hires_fix: ["false"], type: ["txt2img"], postprocessing: [""], variations: ["[]"],
		},
	},
	// NovelAI's "Comment".
	novelai: {
		done: { prompt: "prompt", uc: "negativePrompt", seed: "seed", steps: "steps", scale: "guidance", width: "width", height: "height", sampler: "sampler", noise_schedule: "schedule", cfg_rescale: "rescale" },
		facts: ["request_type", "signed_hash", "version", "n_samples", "uncond_per_vibe", "wonky_vibe_correlation", "legacy", "legacy_v3_extend", "legacy_uc", "hide_debug_overlay", "add_original_image", "dynamic_thresholding_percentile", "dynamic_thresholding_mimic_scale", "cfg_sched_eligibility", "qualityToggle", "ucPreset", "params_version", "prefer_brownian", "deliberate_euler_ancestral_bug", "stream"],
		off: {
			sm: ["false"], sm_dyn: ["false"], dynamic_thresholding: ["false"], uncond_scale: ["0", "1"], controlnet_strength: ["1"], skip_cfg_below_sigma: ["0"], explike_fine_detail: ["false"], minimize_sigma_inf: ["false"],
			reference_information_extracted_multiple: ["[]"], reference_strength_multiple: ["[]"], extra_noise_seed: ["0"], noise: ["0"], strength: ["1"],
		},
	},
	// Draw Things' UserComment.
	draw: {
		done: { c: "prompt", uc: "negativePrompt", seed: "seed", steps: "steps", scale: "guidance", size: "size", sampler: "sampler", model: "model", clip_skip: "fromOne" },
		facts: ["v2", "profile", "tiled_decoding", "tiled_diffusion", "batch_size", "guidance_embed"],
		off: {
			strength: ["1"], lora: ["[]"], control: ["[]"], seed_mode: ["Torch CPU Compatible"], hires_fix: ["false"], upscaler: [""], refiner: [""], mask_blur: ["0"], image_guidance: ["0"],
			sharpness: ["0"], stochastic_sampling_gamma: ["0"], aesthetic_score: ["6"], negative_aesthetic_score: ["2.5"], zero_negative_prompt: ["false"], preserve_original_after_inpaint: ["true", "false"], mask_blur_outset: ["0"], shift: ["1"],
		},
	},
};

// sorted goes over [field, value] pairs and returns {settings, lost}: settings are
// texts and numbers under wisp's names, but for size, sampler and schedule, which
// are the tool's.
export function sorted(pairs, table) {
	const settings = {}, lost = [];
	for (const [field, value] of pairs) {
		const setting = Object.hasOwn(table.done, field) ? table.done[field] : undefined;
		const harmless = value === null || value === undefined || table.facts.includes(field)
			|| Object.hasOwn(table.off, field) && table.off[field].includes(shown(value));
		if (setting ? !put(settings, setting, value) : !harmless) lost.push(`${brief(field, 40)}: ${brief(shown(value), 40)}`);
	}
	return { settings, lost };
}

const shown = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

// put sets a setting; false where the value is none.
function put(settings, name, value) {
	const read = readers[name](value);
	if (read !== undefined) Object.assign(settings, typeof read === "object" ? read : { [name]: read });
	return read !== undefined || value === null || name === "seed" && Number(value) === -1; // a random one
}

const text = (value) => (typeof value === "string" ? value : undefined);

// number reads one that may be a text, as many programs write it.
export function number(value) {
	if (typeof value === "string" && /^\s{0,9}[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:e[+-]?\d{1,3})?\s{0,9}$/i.test(value)) return Number(value);
	return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

const whole = (value) => (Number.isSafeInteger(number(value)) && number(value) >= 0 ? number(value) : undefined);

// skipped is the clip skip that a tool counts as n: below least it is as the model
// has it. AUTOMATIC1111's begins at 1, InvokeAI's at 0, ComfyUI's at -1, which there is
// the last layer whatever the model has.
const skipped = (n, least = 2) => (Number.isSafeInteger(n) && n >= 0 ? n < least ? {} : { clipSkip: n } : undefined);

const readers = {
	prompt: text, negativePrompt: text, sampler: text, schedule: text,
	secondPrompt: text, promptSyntax: (value) => (["a1111", "comfyui", "none"].includes(value) ? value : undefined),
	clipSkip: whole, class: whole, fromOne: (value) => skipped(whole(value)), fromZero: (value) => skipped(whole(value) + 1), fromEnd: (value) => skipped(-number(value), 1),
	seed: whole, steps: whole, width: whole, height: whole, count: whole, guidance: number,
	eta: number, guidanceStart: number, guidanceEnd: number, guidanceRescale: number, rescale: (value) => (number(value) === undefined ? undefined : number(value) === 0 ? {} : { guidanceRescale: number(value) }), guidanceMethod: text, skipLayers: text, reuse: text, sourcePrompt: text, kept: text, churn: text, upscaleBy: number, upscaleSteps: whole, upscaleStrength: number, upscaler: (value) => ["Latent", "Lanczos"].includes(value) ? value.toLowerCase() : undefined,
	model: (value) => (typeof value === "string" ? value : text(value?.model_name ?? value?.name)),
	size: (value) => {
		const [, width, height] = /^\(?\s{0,4}(\d{1,6})\s{0,4}[x×,*]\s{0,4}(\d{1,6})\s{0,4}\)?$/.exec(value) ?? [];
		return width && { width: Number(width), height: Number(height) };
	},
};
