// The nodes of ComfyUI that are read, as tables.
// read makes objects of a table's lines.
function read(table) {
	const inputs = (line) => line.split(" ").map((input) => input.split(":")).map(([name, setting = ""]) => [name, setting]);
	return Object.fromEntries(Object.entries(table).map(([kind, line]) => [kind, Object.fromEntries(inputs(line))]));
}

// The inputs of the nodes that wisp runs (ComfyUI nodes.py and comfy_extras), each
// with the setting that it becomes. One without is followed, read where it is needed,
// or changes no picture; an input that is not here is lost.
export const nodeInputs = read({
	SaveImage: "images filename_prefix",
	PreviewImage: "images",
	VAEDecode: "samples vae",
	VAEDecodeTiled: "samples vae tile_size overlap temporal_size temporal_overlap",
	KSampler: "model positive negative latent_image denoise seed:seed steps cfg:guidance sampler_name:sampler scheduler:schedule",
	KSamplerAdvanced: "model positive negative latent_image add_noise noise_seed:seed steps cfg:guidance sampler_name:sampler scheduler:schedule start_at_step end_at_step return_with_leftover_noise",
	SamplerCustom: "model positive negative latent_image add_noise noise_seed:seed cfg:guidance sampler sigmas",
	SamplerCustomAdvanced: "noise guider sampler sigmas latent_image",
	RandomNoise: "noise_seed:seed",
	BasicGuider: "model conditioning",
	CFGGuider: "model positive negative cfg:guidance",
	KSamplerSelect: "sampler_name:sampler",
	BasicScheduler: "model scheduler:schedule steps denoise",
	CheckpointLoaderSimple: "ckpt_name",
	UNETLoader: "unet_name weight_dtype",
	CLIPLoader: "clip_name type device",
	DualCLIPLoader: "clip_name1 clip_name2 type device",
	TripleCLIPLoader: "clip_name1 clip_name2 clip_name3",
	VAELoader: "vae_name",
	LoraLoader: "model clip lora_name strength_model strength_clip",
	LoraLoaderModelOnly: "model lora_name strength_model",
	ModelSamplingFlux: "model width height",
	ModelSamplingSD3: "model",
	CLIPTextEncode: "clip text",
	CLIPTextEncodeFlux: "clip clip_l t5xxl guidance:guidance",
	CLIPTextEncodeSDXL: "clip text_g text_l width height target_width target_height",
	FluxGuidance: "conditioning guidance:guidance",
	ConditioningZeroOut: "conditioning",
	CLIPSetLastLayer: "clip stop_at_clip_layer",
	EmptyLatentImage: "width:width height:height batch_size:count",
	EmptySD3LatentImage: "width:width height:height batch_size:count",
	EmptyFlux2LatentImage: "width:width height:height batch_size:count",
	VAEEncode: "pixels vae",
	VAEEncodeForInpaint: "pixels vae mask",
	SetLatentNoiseMask: "samples mask",
	LoadImage: "image upload",
	LoadImageMask: "image channel upload",
	InvertMask: "mask",
	ImageScale: "image upscale_method width:width height:height crop",
	ImagePadForOutpaint: "image left top right bottom",
	ControlNetLoader: "control_net_name",
	ControlNetApply: "conditioning control_net image strength",
	ControlNetApplyAdvanced: "positive negative control_net image vae strength start_percent end_percent",
	Canny: "image low_threshold high_threshold",
	LatentUpscale: "samples upscale_method width height crop",
	LatentUpscaleBy: "samples upscale_method scale_by",
	UpscaleModelLoader: "model_name",
	ImageUpscaleWithModel: "upscale_model image",
	KarrasScheduler: "steps sigma_max sigma_min rho",
	ExponentialScheduler: "steps sigma_max sigma_min",
	PolyexponentialScheduler: "steps sigma_max sigma_min rho",
	AlignYourStepsScheduler: "model_type steps denoise",
	SDTurboScheduler: "model steps denoise",
	BetaSamplingScheduler: "model steps alpha beta",
});

// The nodes that make a schedule of their own, by its name as KSampler has it, and
// the numbers with which it is that.
export const sigmas = { KarrasScheduler: "karras", ExponentialScheduler: "exponential", PolyexponentialScheduler: "polyexponential", AlignYourStepsScheduler: "align_your_steps", SDTurboScheduler: "turbo", BetaSamplingScheduler: "beta" };
export const usual = { sigma_max: 14.614642, sigma_min: 0.0291675, rho: 7, alpha: 0.6, beta: 0.6 };

export const samplers = ["KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"];
export const empty = ["EmptyLatentImage", "EmptySD3LatentImage", "EmptyFlux2LatentImage"];
export const loaders = { model: ["CheckpointLoaderSimple", "UNETLoader"], clip: ["CheckpointLoaderSimple", "CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader"] };
export const texts = { CLIPTextEncode: ["text"], CLIPTextEncodeFlux: ["clip_l", "t5xxl"], CLIPTextEncodeSDXL: ["text_l", "text_g"] };
