/** wisp: pictures from words, made on the visitor's own device. */

/** What git calls the checkout that this build is of; "" where it had none. */
export const version: string;

/**
 * What went wrong, for programs. The message says what to do about it.
 * - `unsupported`: this browser or device cannot run the backend
 * - `network`: a file could not be fetched
 * - `corrupt`: a file arrived, twice, with the wrong bytes
 * - `quota`: the browser will not keep the model
 * - `out-of-memory`, `device-lost`: the engine is gone; the next picture starts another
 * - `aborted`: cancelled, superseded, or disposed of
 * - `bad-request`: the message names the field
 * - `bad-model`: the address is no model, or one for another version
 * - `internal`: a fault in wisp; please report it
 */
export type WispErrorCode =
	| "unsupported" | "network" | "corrupt" | "quota" | "out-of-memory" | "device-lost"
	| "aborted" | "bad-request" | "bad-model" | "internal";

export class WispError extends Error {
	readonly code: WispErrorCode;
}

export interface Capabilities {
	/** Whether a backend runs here. */
	runs: boolean;
	/** The one that "auto" would take. */
	backend: "webgpu" | "simd" | "cpu" | "";
	threads: number;
	/** Why it does not run, in plain words; otherwise empty. */
	reason: string;
	/** Bytes still to be downloaded. */
	downloadBytes: number;
	/** Bytes that an earlier visit left on this device. */
	cachedBytes: number;
	/** An estimate of the memory that the loaded model takes. */
	peakBytes: number;
	/** Floating-point operations of a picture at the model's own size and settings. */
	flops: number;
	/** As measured of this device just now: flops / flopsPerSecond is about how many seconds a picture takes. 0 where it does not run. */
	flopsPerSecond: number;
}

/**
 * A model: the address of its directory, which may end in `#sha256=` and the
 * SHA-256 of its manifest; `stored:` and the id of a model that this browser
 * keeps; or all files of a model directory, as a file input or a drop gives them.
 */
export type Model = string | URL | Iterable<File>;

/** Tells what would run, and what it would cost, before any weights are downloaded. */
export function capabilities(model?: Model | Repository): Promise<Capabilities>;

export interface StoredModel {
	id: string;
	name: string;
	licence: string;
	/** Where it was opened last; empty for one that was opened from files. */
	location: string;
	/** When, in milliseconds since 1970. */
	opened: number;
	bytes: number;
	/** Less than bytes where a download was interrupted. */
	cachedBytes: number;
	/** Of the cached bytes, those that other models need, too. */
	sharedBytes: number;
}

/** A model of the catalogue that lies beside wisp.js. */
export interface CatalogueEntry {
	/** For createGenerator. */
	model: Repository;
	name: string;
	pipeline: string;
	/** As the hub has it. */
	licence: string;
	/** Whether that allows commercial use as it stands. */
	commercial: boolean;
	/** Whether its terms must be accepted on its page first. */
	gated?: boolean;
	/** Of all networks together. */
	parameters: number;
	/** What it is best packed in. */
	quantise: Quantisation;
	width: number;
	height: number;
	steps: number;
	/** What it is good for, in English. */
	good: string;
}

/** Lists some open models that wisp draws with. catalogue.json may be replaced. */
export function catalogue(): Promise<CatalogueEntry[]>;

/** Lists the models that this browser keeps, the one opened last first. */
export function models(): Promise<StoredModel[]>;

/** Deletes a model from this browser, but for what other models share. */
export function removeModel(id: string): Promise<void>;

/**
 * A model as diffusers saves it (or a single-file checkpoint with the folder of
 * a pipeline of its kind that has no weights), in safetensors: files with their
 * paths, from `<input type="file" webkitdirectory>` or as pairs.
 */
export type Checkpoint = Iterable<File | [path: string, file: Blob]>;

/**
 * How weights are stored: as they are, in 16 bits, or quantised in blocks to 8
 * or 4 bits.
 */
export type Quantisation = "f32" | "f16" | "q8" | "q4" | "ternary";

export interface Inspection {
	/** Of the folder or file. */
	name: string;
	/** diffusers' class, such as StableDiffusionPipeline. */
	pipeline: string;
	licence: string;
	/** In English: what a checkpoint without configs was taken for, and what of it is left out. */
	notes: string[];
	/** Bytes of weights that importModel will read. */
	inputBytes: number;
	/** Bytes that the imported model takes at most, by quantisation: compression may save a sixth of f16. */
	packedBytes: Record<Quantisation, number>;
	/** As in Capabilities, in 16 bits: with fewer it is less as packedBytes are. */
	peakBytes: number;
	/** As in Capabilities. */
	flops: number;
	/** Bytes that this browser has room for; Infinity where it does not tell. */
	freeBytes: number;
}

/**
 * Tells what importModel would make of files, reading no more than configs and
 * headers. Fails as importModel would: `bad-request` for files that are no
 * model, `bad-model` for one that wisp cannot draw with, with the reason and
 * what to do.
 */
export function inspectModel(files: Checkpoint | Repository, options?: HubOptions): Promise<Inspection>;

/**
 * A diffusers pipeline on the Hugging Face hub: `hf:owner/name`, or
 * `hf:owner/name@revision`. Where the repository is gated, private or not there,
 * that is a `bad-model` before anything large is fetched. What it cannot be held
 * to the hub's own hashes by is `corrupt`. Other pages need the hub's hosts in
 * their policy's connect-src: https://huggingface.co https://*.huggingface.co
 * https://*.hf.co https://*.xethub.hf.co.
 */
export type Repository = `hf:${string}`;

export interface HubOptions {
	/** Address of another hub with the same protocol; by default https://huggingface.co. */
	hub?: string;
	/** An access token, sent to the hub's own address alone. */
	token?: string;
}

export interface ImportOptions extends HubOptions {
	/** Default "f16". */
	quantise?: Quantisation;
	/** What the model is called; by default as its folder or file. */
	name?: string;
	/** Ends the import, which then leaves nothing behind; of a repository what came is kept for a week, to go on from. */
	signal?: AbortSignal;
	/** With stage "pack" and bytes of weights. */
	onProgress?: (progress: Progress) => void;
}

/**
 * Packs a model on this device and keeps it in this browser; nothing is
 * uploaded, and a tensor at a time is in memory. Returns its address for
 * createGenerator: `stored:` and the id that removeModel takes. The model
 * leaves the others alone: where there is no room for it, it fails with
 * `quota`. The program that packs is fetched with the first call.
 */
export function importModel(files: Checkpoint | Repository, options?: ImportOptions): Promise<string>;

export interface Progress {
	/** Bytes of the download, bytes handed to the engine, networks compiled, bytes of a checkpoint packed, or tiles enlarged. */
	stage: "download" | "load" | "compile" | "pack" | "upscale";
	loaded: number;
	total: number;
}

/**
 * What a request does while another is under way: wait, end the others with
 * `aborted`, or fail with `bad-request`.
 */
export type Busy = "queue" | "abort" | "reject";

export interface GeneratorOptions extends HubOptions {
	/**
	 * Without one, the default model beside wisp.js. A repository streams in, is
	 * quantised on the way, and is kept as any model; a download that was cut off
	 * is gone on with by the next call.
	 */
	model?: Model | Repository;
	/** How a repository's weights are stored; default "q8". */
	quantise?: Quantisation;
	backend?: "auto" | "webgpu" | "simd" | "cpu";
	/** Upper bound; 1 unless the page is cross-origin isolated. */
	threads?: number;
	/**
	 * Bytes that weights may take. A network that is larger runs by stages: what
	 * there is no room for is read from what the browser keeps, at every step.
	 */
	memory?: number;
	/** Time each kernel of the graphics card, where it can; pictures take longer. */
	profile?: boolean;
	/** Ends loading. */
	signal?: AbortSignal;
	onProgress?: (progress: Progress) => void;
	/** Trouble that is survived: a browser that keeps nothing, a graphics card that was lost. */
	onWarning?: (message: string) => void;
	/** Default "queue". */
	busy?: Busy;
}

/** As ImageData has them: four bytes each, red, green, blue and alpha, row by row from the top. */
export interface Pixels {
	width: number;
	height: number;
	data: Uint8ClampedArray | Uint8Array;
}

/**
 * A picture: a file that the browser can decode (at most 64 million pixels, turned
 * as its EXIF says), or what a page has in memory. What shows through is laid on
 * white.
 */
export type Picture = Blob | ImageData | ImageBitmap | HTMLCanvasElement | OffscreenCanvas | Pixels;

/** A field that is not among these is refused with `bad-request`. */
export interface Request {
	prompt: string;
	negativePrompt?: string;
	/** For the second text encoder of models that have one; left out, it reads the prompt, too. */
	secondPrompt?: string;
	/** How brackets are read, (more:1.2), [less] and BREAK; by default as they stand. A prompt may then be of any length. */
	promptSyntax?: "a1111" | "comfyui" | "none";
	/** Which of CLIP's layers to read, from the last: 2 is the last but one. 0 is as the model has it. */
	clipSkip?: number;
	/** For a model that draws classes: its number, from 0. */
	class?: number;
	/** Whole, 0 to 2^53. Left out: a random one, reported in the result. */
	seed?: number;
	/**
	 * Whose noise a seed stands for: "torch" (the default, diffusers'), "cuda" (AUTOMATIC1111's) or "comfyui" (a batch is drawn
	 * at once). The first two have AUTOMATIC1111's parameters: "cuda subseed=5 strength=0.3 width=512 height=512 ensd=31337".
	 */
	noise?: string;
	/** What is left out is as the model recommends. */
	steps?: number;
	/** 1 or less turns classifier-free guidance off. */
	guidance?: number;
	/** How far strong guidance's contrast is taken back to the prompt's own, 0 to 1. */
	guidanceRescale?: number;
	/** The shares of the steps after which guidance begins and ends, 0 to 1. */
	guidanceStart?: number;
	guidanceEnd?: number;
	/**
	 * How the negative prompt's prediction is used: "cfg" (the default), "cfg_zero", "apg", "perp_neg" or "dynamic",
	 * with parameters after it: "apg eta=0 threshold=15 momentum=-0.5", "cfg_zero zero_steps=1", "perp_neg scale=1",
	 * "dynamic mimic=7 percentile=1".
	 */
	guidanceMethod?: string;
	/** Skip-layer guidance, for Stable Diffusion 3.5: the layers left out, and where it counts: "7 8 9 scale=2.8 start=0.01 stop=0.2". */
	skipLayers?: string;
	/**
	 * A UNet's deep part serves several evaluations, which takes less time and loses a little: "deepcache interval=3
	 * branch=0" computes it in every third; the branch, 0 to `branches` - 1, is where it is cut off.
	 */
	reuse?: string;
	/** The share of fresh noise, 0 to 1, in samplers that have one; left out, the sampler's own. */
	eta?: number;
	/** Stochasticity of the samplers euler, heun and dpm_2 (EDM's S_churn): "20 min=0.05 max=50 noise=1.003". */
	churn?: string;
	sampler?: string;
	schedule?: string;
	width?: number;
	height?: number;
	/** To begin with in place of noise; where no size is named, its own counts. */
	image?: Picture;
	/** How far to leave the image behind: near 0 it stays as it is, at 1 nothing of it. Of the steps, this share is walked. */
	strength?: number;
	/** For a model that enlarges pictures, Stable Diffusion x4 upscaler: how much noise the image gets, 0 to 350. */
	noiseLevel?: number;
	/**
	 * What the picture shows before `prompt` changes it, for models with a UNet: "red heart" for "blue heart". It is drawn
	 * first, of the same noise, or is `image`, whose noise DDIM finds; its shape is kept. Prompt-to-Prompt, Hertz et al. 2022.
	 */
	sourcePrompt?: string;
	/**
	 * How much of it is kept: the shares of the steps that keep its attention to words and to pixels, and weights of
	 * words of the prompt: "cross=0.8 self=0.4 blue=2".
	 */
	kept?: string;
	/** For a model that changes pictures (`fields.image` is "needed"): how closely to keep to the image. */
	imageGuidance?: number;
	/** As large as the image: what is white is drawn anew, the rest stays. */
	mask?: Picture;
	/** Radius of the mask's soft edge, in pixels of the image. */
	maskBlur?: number;
	/** Draw the part around the mask at width and height, and put it into the image: the result is of the image's size. */
	onlyMasked?: boolean;
	/** Pixels around the mask that onlyMasked draws, too. */
	maskPadding?: number;
	/** Draw the picture again, so many times as large: the result is of that size. */
	upscaleBy?: number;
	/** What enlarges it: the latents (default) or the pixels. */
	upscaler?: "latent" | "lanczos";
	/** Steps of the second drawing; left out, as many. */
	upscaleSteps?: number;
	/** As strength, for the second drawing. */
	upscaleStrength?: number;
	/** How closely to keep to the pictures of an IP-Adapter; 1 is as it was trained. */
	referenceWeight?: number;
	/** Controls steer the prompt's row alone, as if there were no prompt. */
	guessMode?: boolean;
	/** Pixels to be drawn around the image. */
	outpaint?: { left?: number; top?: number; right?: number; bottom?: number };
	/** What addLora added, to wear; `<lora:name:0.8>` in the prompt does the same and counts in its place. */
	loras?: WornLora[];
	/** Pictures that steer, through what addControl added. */
	controls?: {
		/** Of addControl. */
		id: string;
		/** Edges, depths, a pose: what the network was trained on. */
		image: Request["image"];
		/** Of a union of ControlNets: which of them, from 0. */
		mode?: number;
		/** Makes that of an ordinary picture first; see preprocessors. */
		preprocess?: Preprocess;
		/** 1 is as it was trained. */
		weight?: number;
		/** The share of the steps between which it steers: 0 and 1 for all. */
		start?: number;
		end?: number;
	}[];
	/** Pictures that the drawing is made after, where `fields.references` says that the model reads them, such as FLUX.2-klein: up to four. Where no size is named, the first one's counts. */
	references?: Picture[];
	/** Picture i is drawn with seed + i. */
	count?: number;
	/** Decode each step's prediction for onStep. */
	previews?: boolean;
	signal?: AbortSignal;
	onStep?: (step: Step) => void;
	busy?: Busy;
}

/** A LoRA of a request. */
export interface WornLora {
	/** Of addLora, or a name. */
	id: string;
	/** Default 1; negative ones turn a slider the other way. */
	weight?: number;
	/** In the text encoders; by default as `weight`. */
	textWeight?: number;
	/** Factors of the denoiser's blocks by the beginning of their names: `{"down_blocks.1": 0.5, "mid_block": 0, "transformer_blocks.12": 0}`. */
	blocks?: Record<string, number>;
}

/** A LoRA, or another of LyCORIS's forms, that a generator has. */
export interface Lora {
	id: string;
	/** Its file's, without the extension: what prompts call it. */
	name: string;
	/** How many weights it changes in each of the model's networks. */
	networks: Record<string, number>;
	/** Keys of the file that mean nothing in this model. */
	unknown: string[];
	/** What the program that made it wrote into it, such as trigger words: text from a stranger. */
	metadata: Record<string, string>;
}

export interface Step {
	stage: "text" | "denoise" | "decode";
	/** Finished steps, over all pictures. */
	step: number;
	steps: number;
	preview: ImageData | null;
}

export interface Result {
	images: ImageData[];
	seed: number;
	backend: string;
	/** What the backend ran on: the graphics card and its precision, with the reason where that is not f16. */
	device: string;
	/** What went wrong on the way and was survived, such as a graphics card that was lost. */
	warnings: string[];
	/** With `profile`, what the graphics card's kernels took so far, the longest first. */
	profile: { kernel: string; dispatches: number; ms: number; flops: number; bytes: number }[];
	/** Settings that changed nothing, and why: a negative prompt without guidance. */
	notices: string[];
	/** The prompt was longer than the model reads; its end was left out. */
	truncated: boolean;
	/** Milliseconds. */
	timings: { text: number; denoise: number; decode: number; total: number };
	/** The settings, as AUTOMATIC1111 writes them into PNG files. */
	parameters: string;
	/** The settings, with the model's defaults filled in. */
	settings: Required<Omit<Request, "signal" | "onStep" | "busy" | "previews" | "image" | "mask" | "eta" | "loras" | "controls" | "references">> & Pick<Request, "eta">;
}

/** What the model reads of a request; the rest is refused or changes nothing. */
export interface Fields {
	prompt: boolean;
	negativePrompt: boolean;
	secondPrompt: boolean;
	/** Whether promptSyntax counts. */
	weights: boolean;
	guidance: boolean;
	/** The most that it may be; 0 for none. */
	clipSkip: number;
	/** How many classes there are; 0 for none. */
	classes: number;
	/** What it makes of an image: it may begin with one, changes one, or paints over a part of one. */
	image: "taken" | "needed" | "masked";
	/** Width and height are multiples of it. */
	multiple: number;
	/** The most that they may be; 0 for the engine's own bound. */
	largest: number;
	/** How many layers skipLayers may name, from 0; 0 for none. */
	layers: number;
	/** How many branches reuse may name, from 0; 0 for none. */
	branches: number;
	/** Whether it reads `references` by itself. */
	references: boolean;
}

export interface Generator {
	readonly fields: Fields;
	/** As in StoredModel. */
	readonly id: string;
	readonly name: string;
	readonly licence: string;
	/** The model card's text; show it as text, never as markup. */
	readonly card: string;
	readonly backend: string;
	/** What it runs on, in words. */
	readonly device: string;
	readonly defaults: { steps: number; guidance: number; schedule: string; width: number; height: number };
	/** Those that fit the model, its own first. */
	readonly samplers: {
		name: string; label: string;
		/** What it is good for, in English; the paper, as arXiv numbers it, or empty; the file in engine/sampler. */
		good: string; paper: string; file: string;
	}[];
	/** Those that one of the samplers takes. */
	readonly schedules: { name: string; label: string }[];
	/** What samplers and schedules, whether this model has them or not, are called by other tools. */
	readonly names: { samplers: { name: string; a1111?: string[]; comfy?: string[] }[]; schedules: { name: string; a1111?: string[]; comfy?: string[] }[] };
	/** The model's wisp.json, such as `styles` and `examples`. */
	readonly settings: Record<string, unknown>;
	generate(request: Request): Promise<Result>;
	/**
	 * Reads a LoRA (.safetensors, as kohya's scripts, diffusers, PEFT, LyCORIS and ComfyUI write it) for requests to
	 * wear. Fails with `bad-model` and the key where it does not fit this model. `name` is what prompts call it.
	 */
	addLora(source: Blob | string | URL, options?: { name?: string }): Promise<Lora>;
	readonly loras: Lora[];
	removeLora(id: string): Promise<void>;
	/**
	 * Adds a ControlNet in safetensors, of diffusers' or CompVis' names, for Stable Diffusion 1, 2 and XL. The config is
	 * the config.json beside it, parsed; without one it is as the model's UNet.
	 */
	addControl(source: Blob | string | URL, options?: { name?: string; config?: object }): Promise<{ id: string; name: string; kind: string }>;
	readonly controls: { id: string; name: string; kind: string }[];
	removeControl(id: string): Promise<void>;
	/**
	 * How many tokens a prompt has for the text encoder, and how many that takes; where brackets are read, CLIP takes more
	 * in further chunks, and the limit is what those hold. It is 0 for a model that reads no words or all of them.
	 */
	countTokens(prompt: string, promptSyntax?: Request["promptSyntax"]): Promise<{ tokens: number; limit: number }>;
	/** Downloads what of the model no picture has needed so far, such as the encoder of pictures to begin with. */
	complete(): Promise<void>;
	/** Frees the model and ends what is under way. */
	dispose(): void;
}

/**
 * Downloads a model (once: it is kept on this device) and makes it ready.
 * Generators of the same model, backend, threads and profile share one engine and
 * take turns. An engine that dies, or does not answer within seconds, is replaced
 * when the next picture is asked for, and onProgress tells of that, too.
 */
export function createGenerator(options?: GeneratorOptions): Promise<Generator>;

/**
 * Enlarges a picture by a network of the ESRGAN family: its checkpoint (RRDBNet or SRVGGNetCompact in .safetensors), or
 * the files of a TensorFlow.js model, model.json first. Without one, by Lanczos's filter. `by` is the factor, 1 to 16; by
 * default the network's own, or 2.
 */
export function upscale(image: Picture, options?: {
	by?: number;
	model?: File | string | URL | (File | string | URL)[];
	backend?: "auto" | "webgpu" | "simd" | "cpu";
	signal?: AbortSignal;
	onProgress?: (progress: Progress) => void;
}): Promise<ImageData>;

/** What makes a picture for a ControlNet of an ordinary one, by arithmetic alone: its name, or that and its parameters. */
export type Preprocess = string | { name: string; [parameter: string]: string | number };

/** Lists them: canny, scribble, threshold and others, by the names that AUTOMATIC1111's extension has. */
export function preprocessors(): Promise<{ name: string; /** In English. */ label: string; parameters: { name: string; min: number; max: number; value: number }[] }[]>;

/** The picture that a ControlNet is fed. */
export function preprocess(image: Picture, preprocess: Preprocess): Promise<ImageData>;

/** Picture i as a PNG file that carries its settings in a `parameters` text chunk. */
export function toPNG(result: Result, i?: number): Promise<Blob>;

/** The settings of picture i, as toPNG writes them. */
export function parametersOf(result: Result, i?: number): string;
