// Workflows of core nodes as ComfyUI's own examples have them: each becomes what
// wisp draws, or names the node that is missing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWorkflow } from "../comfy.js";

const node = (class_type, inputs) => ({ class_type, inputs });

// default is the workflow that ComfyUI opens with; more replaces nodes by their ids.
const base = (more = {}) => ({
	3: node("KSampler", { seed: 156680208700286, steps: 20, cfg: 8, sampler_name: "euler", scheduler: "normal", denoise: 1, model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] }),
	4: node("CheckpointLoaderSimple", { ckpt_name: "v1-5-pruned-emaonly.safetensors" }),
	5: node("EmptyLatentImage", { width: 512, height: 512, batch_size: 1 }),
	6: node("CLIPTextEncode", { text: "beautiful scenery nature glass bottle landscape", clip: ["4", 1] }),
	7: node("CLIPTextEncode", { text: "text, watermark", clip: ["4", 1] }),
	8: node("VAEDecode", { samples: ["3", 0], vae: ["4", 2] }),
	9: node("SaveImage", { filename_prefix: "ComfyUI", images: ["8", 0] }),
	...more,
});
const sampler = (more) => node("KSampler", { ...base()[3].inputs, ...more });
const picture = { 10: node("LoadImage", { image: "example.png", upload: "image" }) };

// What each becomes beside this, and what of it is lost.
const plain = {
	prompt: "beautiful scenery nature glass bottle landscape", negativePrompt: "text, watermark", seed: 156680208700286, steps: 20, guidance: 8, sampler: "euler", schedule: "normal",
	width: 512, height: 512, count: 1, model: "v1-5-pruned-emaonly.safetensors",
};
const flows = {
	"text to image": [base()],
	"image to image": [base({ ...picture, 3: sampler({ denoise: 0.8, latent_image: ["12", 0] }), 12: node("VAEEncode", { pixels: ["10", 0], vae: ["4", 2] }) }), { steps: 25, strength: 0.8, begins: { image: "example.png" }, width: undefined, height: undefined }],
	inpainting: [base({ ...picture, 3: sampler({ latent_image: ["12", 0] }), 12: node("VAEEncodeForInpaint", { pixels: ["10", 0], vae: ["4", 2], mask: ["10", 1], grow_mask_by: 6 }) }), { strength: 1, begins: { image: "example.png", mask: { name: "example.png", channel: "alpha", inverted: true } }, width: undefined, height: undefined }, ["grow_mask_by: 6"]],
	outpainting: [base({ ...picture, 3: sampler({ latent_image: ["12", 0] }), 11: node("ImagePadForOutpaint", { image: ["10", 0], left: 0, top: 128, right: 0, bottom: 128, feathering: 40 }), 12: node("VAEEncodeForInpaint", { pixels: ["11", 0], vae: ["4", 2], mask: ["11", 1], grow_mask_by: 8 }) }), { strength: 1, begins: { image: "example.png", outpaint: { left: 0, top: 128, right: 0, bottom: 128 } }, width: undefined, height: undefined }, ["grow_mask_by: 8", "feathering: 40"]],
	LoRA: [base({ 10: node("LoraLoader", { model: ["4", 0], clip: ["4", 1], lora_name: "epiNoiseoffset_v2.safetensors", strength_model: 1, strength_clip: 1 }), 3: sampler({ model: ["10", 0] }), 6: node("CLIPTextEncode", { text: plain.prompt, clip: ["10", 1] }), 7: node("CLIPTextEncode", { text: plain.negativePrompt, clip: ["10", 1] }) }), { loras: [{ name: "epiNoiseoffset_v2.safetensors", weight: 1, text: 1 }] }],
	"several LoRAs": [base({
		10: node("LoraLoader", { model: ["11", 0], clip: ["11", 1], lora_name: "a.safetensors", strength_model: 0.9, strength_clip: 1 }), 11: node("LoraLoader", { model: ["4", 0], clip: ["4", 1], lora_name: "b.safetensors", strength_model: 0.8, strength_clip: 0.7 }),
		3: sampler({ model: ["10", 0] }), 6: node("CLIPTextEncode", { text: plain.prompt, clip: ["10", 1] }), 7: node("CLIPTextEncode", { text: plain.negativePrompt, clip: ["10", 1] }),
	}), { loras: [{ name: "a.safetensors", weight: 0.9, text: 1 }, { name: "b.safetensors", weight: 0.8, text: 0.7 }] }],
	"ControlNet, scribble": [base({ 3: sampler({ positive: ["10", 0] }), 10: node("ControlNetApply", { conditioning: ["6", 0], control_net: ["12", 0], image: ["11", 0], strength: 0.9 }), 11: node("LoadImage", { image: "input_scribble_example.png", upload: "image" }), 12: node("ControlNetLoader", { control_net_name: "control_v11p_sd15_scribble_fp16.safetensors" }) }), { controls: [{ name: "control_v11p_sd15_scribble_fp16.safetensors", image: "input_scribble_example.png", weight: 0.9, start: 0, end: 1 }] }],
	"ControlNet, edges of a part of the steps": [base({
		3: sampler({ positive: ["10", 0], negative: ["10", 1] }), 10: node("ControlNetApplyAdvanced", { positive: ["6", 0], negative: ["7", 0], control_net: ["12", 0], image: ["13", 0], strength: 1, start_percent: 0, end_percent: 0.5 }),
		11: node("LoadImage", { image: "a.png", upload: "image" }), 12: node("ControlNetLoader", { control_net_name: "canny.safetensors" }), 13: node("Canny", { image: ["11", 0], low_threshold: 0.4, high_threshold: 0.8 }),
	}), { controls: [{ name: "canny.safetensors", image: "a.png", preprocess: { name: "canny", low: 102, high: 204 }, weight: 1, start: 0, end: 0.5 }] }, ["Canny: OpenCV's"]],
	"hires fix, latents": [base({ 10: node("LatentUpscale", { samples: ["3", 0], upscale_method: "bilinear", width: 1024, height: 1024, crop: "disabled" }), 11: sampler({ latent_image: ["10", 0], steps: 14, denoise: 0.5, seed: 5 }), 8: node("VAEDecode", { samples: ["11", 0], vae: ["4", 2] }) }), { upscaleBy: 2, upscaler: "latent", upscaleSteps: 28, upscaleStrength: 0.5 }, ["seed: 5"]],
	"hires fix by a factor": [base({ 10: node("LatentUpscaleBy", { samples: ["3", 0], upscale_method: "nearest-exact", scale_by: 1.5 }), 11: sampler({ latent_image: ["10", 0], denoise: 0.5 }), 8: node("VAEDecode", { samples: ["11", 0], vae: ["4", 2] }) }), { upscaleBy: 1.5, upscaler: "latent", upscaleSteps: 40, upscaleStrength: 0.5 }, ["upscale_method: nearest-exact"]],
	"an upscaler": [base({ 9: node("SaveImage", { filename_prefix: "x", images: ["14", 0] }), 13: node("UpscaleModelLoader", { model_name: "RealESRGAN_x4plus.safetensors" }), 14: node("ImageUpscaleWithModel", { upscale_model: ["13", 0], image: ["8", 0] }) }), { enlarge: "RealESRGAN_x4plus.safetensors" }],
	"Karras's schedule by a node": [base({ 3: node("SamplerCustom", { model: ["4", 0], add_noise: true, noise_seed: 7, cfg: 8, positive: ["6", 0], negative: ["7", 0], sampler: ["15", 0], sigmas: ["16", 0], latent_image: ["5", 0] }), 15: node("KSamplerSelect", { sampler_name: "dpmpp_2m" }), 16: node("KarrasScheduler", { steps: 20, sigma_max: 14.614642, sigma_min: 0.0291675, rho: 6 }) }), { seed: 7, sampler: "dpmpp_2m", schedule: "karras" }, ["rho: 6"]],
};

for (const [name, [graph, more = {}, lost = []]] of Object.entries(flows)) {
	test(`${name} is drawn`, () => {
		const said = parseWorkflow({ prompt: graph });
		const want = Object.fromEntries(Object.entries({ ...plain, ...more }).filter(([, value]) => value !== undefined));
		assert.deepEqual([said.settings, said.lost], [want, lost]);
	});
}

const missing = {
	"two areas": [base({ 3: sampler({ positive: ["10", 0] }), 10: node("ConditioningCombine", { conditioning_1: ["6", 0], conditioning_2: ["11", 0] }), 11: node("ConditioningSetArea", { conditioning: ["6", 0], width: 512, height: 256, x: 0, y: 0, strength: 1 }) }), "node 10 (ConditioningCombine) is not supported here"],
	unCLIP: [base({ 4: node("unCLIPCheckpointLoader", { ckpt_name: "wd-1-5-beta2-aesthetic-unclip-h-fp16.safetensors" }) }), "node 4 (unCLIPCheckpointLoader) is not supported here"],
	"SDXL with its refiner": [base({
		3: node("KSamplerAdvanced", { add_noise: "enable", noise_seed: 7, steps: 25, cfg: 8, sampler_name: "euler", scheduler: "normal", start_at_step: 0, end_at_step: 20, return_with_leftover_noise: "enable", model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] }),
		11: node("KSamplerAdvanced", { add_noise: "disable", noise_seed: 0, steps: 25, cfg: 8, sampler_name: "euler", scheduler: "normal", start_at_step: 20, end_at_step: 10000, return_with_leftover_noise: "disable", model: ["12", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["3", 0] }),
		12: node("CheckpointLoaderSimple", { ckpt_name: "sd_xl_refiner_1.0.safetensors" }), 8: node("VAEDecode", { samples: ["11", 0], vae: ["4", 2] }),
	}), "node 3 (KSamplerAdvanced) is not supported here"],
	GLIGEN: [base({ 3: sampler({ positive: ["10", 0] }), 10: node("GLIGENTextBoxApply", { conditioning_to: ["6", 0], text: "a" }) }), "node 10 (GLIGENTextBoxApply) is not supported here"],
	"hires fix in pixels": [base({ 10: node("VAEEncode", { pixels: ["11", 0], vae: ["4", 2] }), 11: node("VAEDecode", { samples: ["3", 0], vae: ["4", 2] }), 12: sampler({ latent_image: ["10", 0], denoise: 0.5 }), 8: node("VAEDecode", { samples: ["12", 0], vae: ["4", 2] }) }), "node 11 (VAEDecode) is not supported here"],
	"drawn three times": [base({ 10: node("LatentUpscaleBy", { samples: ["3", 0], upscale_method: "bilinear", scale_by: 2 }), 3: sampler({ latent_image: ["12", 0] }), 11: sampler({ latent_image: ["10", 0], denoise: 0.5 }), 12: node("LatentUpscaleBy", { samples: ["11", 0], upscale_method: "bilinear", scale_by: 2 }), 8: node("VAEDecode", { samples: ["11", 0], vae: ["4", 2] }) }), "node 12 (LatentUpscaleBy) is not supported here"],
};

for (const [name, [graph, message]] of Object.entries(missing)) test(`${name} is refused by its node`, () => assert.throws(() => parseWorkflow(graph), (err) => err.code === "bad-request" && err.message.startsWith(message)));
