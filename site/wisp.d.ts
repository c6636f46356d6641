// The public module of wisp: pictures from words, on the visitor's device.

/** What went wrong; the message says what to do. */
export type WispErrorCode =
	| "unsupported" | "network" | "corrupt" | "quota" | "out-of-memory"
	| "device-lost" | "aborted" | "bad-request" | "bad-model" | "internal";

export class WispError extends Error {
	constructor(code: WispErrorCode, message: string);
	readonly code: WispErrorCode;
}

export interface Capabilities {
	/** Whether the model can run here. */
	runs: boolean;
	backend: "webgpu" | "simd" | "cpu" | "";
	threads: number;
	/** Why it does not run; empty where it does. */
	reason: string;
	/** Bytes that a visit would still have to download. */
	downloadBytes: number;
	/** Bytes of the model that this browser already keeps. */
	cachedBytes: number;
	/** An estimate of the memory that a loaded model takes at most. */
	peakBytes: number;
}

/** Asks about a model before any of its weights are downloaded. */
export function capabilities(model?: string | URL): Promise<Capabilities>;

export interface GeneratorOptions {
	/** URL of a model directory; left out: the default model beside this module. */
	model?: string | URL;
	backend?: "auto" | "webgpu" | "simd" | "cpu";
	threads?: number;
	signal?: AbortSignal;
	onProgress?(progress: { stage: "download" | "load" | "compile"; loaded: number; total: number }): void;
	/** Trouble that loading survives, such as a store without room. */
	onWarning?(message: string): void;
	/** What a generate does while another runs: wait, end it, or fail. */
	busy?: "queue" | "abort" | "reject";
}

export function createGenerator(options?: GeneratorOptions): Promise<Generator>;

export interface GenerateRequest {
	prompt: string;
	negativePrompt?: string;
	/** A whole number of 0 or more; left out: random. Picture i uses seed + i. */
	seed?: number;
	steps?: number;
	/** Classifier-free guidance scale; 1 turns it off. */
	guidance?: number;
	/** A name from Generator.samplers. */
	sampler?: string;
	schedule?: string;
	/** Pixels. */
	width?: number;
	height?: number;
	count?: number;
	/** Decode each step's prediction for onStep. */
	previews?: boolean;
	signal?: AbortSignal;
	onStep?(step: { stage: "text" | "denoise" | "decode"; step: number; steps: number; preview: ImageData | null }): void;
	busy?: "queue" | "abort" | "reject";
}

export interface GenerateResult {
	images: ImageData[];
	/** The seed of images[0]. */
	seed: number;
	backend: "webgpu" | "simd" | "cpu";
	/** The prompt was longer than the model reads. */
	truncated: boolean;
	/** Milliseconds. */
	timings: { text: number; denoise: number; decode: number; total: number };
	/** The settings as AUTOMATIC1111 writes them into PNG files. */
	parameters: string;
	/** The request with every default filled in. */
	settings: Required<Omit<GenerateRequest, "signal" | "onStep" | "busy" | "previews">>;
}

export interface Generator {
	readonly name: string;
	readonly licence: string;
	readonly backend: "webgpu" | "simd" | "cpu";
	readonly defaults: { steps: number; guidance: number; width: number; height: number };
	readonly samplers: { name: string; label: string }[];
	/** The model's wisp.json: styles, examples and whatever else its publisher wrote. */
	readonly settings: Record<string, unknown>;
	generate(request: GenerateRequest): Promise<GenerateResult>;
	/** Ends what is under way and frees the worker. */
	dispose(): void;
}

/** Encodes a picture of a result as PNG with its settings inside. */
export function toPNG(result: GenerateResult, index?: number): Promise<Blob>;
