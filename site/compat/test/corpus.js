// Made-up pictures in the form of each program, ten of each, from a seed: what
// goes in, and what must come out.
import { readFileSync } from "node:fs";
import { app1, avif, commentSegment, exif, iTXt, jpeg, png, tEXt, webp, xmpSegment } from "./files.js";

const words = ["a red heart", "рука 手 😀", "a cat,\nsoft light", "kettle: copper, \"shiny\"", "ein Übergang", "50 % grey <b>"];
const pick = (random, list) => list[random(list.length)];

// A model to draw with, as the generator describes it.
export const generator = {
	names: JSON.parse(readFileSync(new URL("../../../engine/sampler/names.json", import.meta.url), "utf8")),
	name: "emoji", settings: { styles: ["flat", "clay"] }, defaults: { steps: 4, guidance: 1, schedule: "trailing", width: 128, height: 128 },
	fields: { prompt: true, negativePrompt: true, secondPrompt: false, weights: true, guidance: true, clipSkip: 12, classes: 0, multiple: 8, largest: 0 },
	samplers: [["euler", "Euler"], ["euler_a", "Euler a"], ["heun", "Heun"], ["ddim", "DDIM"], ["dpmpp_2m", "DPM++ 2M"], ["dpmpp_2m_sde", "DPM++ 2M SDE"], ["unipc", "UniPC"], ["lcm", "LCM"], ["lcm_levels", "LCM, any schedule"]].map(([name, label]) => ({ name, label })),
	schedules: [["karras", "Karras"], ["exponential", "Exponential"], ["leading", "Leading"], ["trailing", "Trailing"], ["linspace", "Evenly spaced"], ["normal", "Normal"], ["simple", "Simple"], ["sgm_uniform", "SGM Uniform"], ["ddim_uniform", "DDIM Uniform"]].map(([name, label]) => ({ name, label })),
};

// request is what a picture was made with, in wisp's names.
function request(random) {
	return {
		prompt: pick(random, words), negativePrompt: pick(random, ["", "fog", "fog\nrain"]), seed: random(2) ? random(1e9) : 1005433322112233, steps: 1 + random(50), guidance: pick(random, [1, 5.5, 7]),
		width: 64 * (1 + random(16)), height: 64 * (1 + random(16)),
	};
}

// The methods of a tool: its names, and what wisp calls them; undefined is the
// model's own, and then the name is among what is lost.
const a1111 = [
	["Euler", undefined, "euler", "trailing"], ["Euler a", "Karras", "euler_a", "karras"], ["DPM++ 2M Karras", undefined, "dpmpp_2m", "karras"], ["DPM++ 2M", "Automatic", "dpmpp_2m", "karras"],
	["DPM++ 2M SDE", "Automatic", "dpmpp_2m_sde", "exponential"], ["DPM++ SDE Karras", undefined, undefined, "karras"], ["Heun", "SGM Uniform", "heun", "sgm_uniform"], ["DDIM", "Normal", "ddim", "leading"], ["UniPC", "Simple", undefined, "leading"], ["Euler", "KL Optimal", "euler", undefined],
];
const comfy = [
	["euler", "normal", "euler", "normal"], ["euler_ancestral", "karras", "euler_a", "karras"], ["dpmpp_2m", "sgm_uniform", "dpmpp_2m", "sgm_uniform"], ["dpmpp_2m_sde_gpu", "exponential", "dpmpp_2m_sde", "exponential"], ["uni_pc", "simple", undefined, "simple"],
	["uni_pc_bh2", "simple", "unipc", "simple"], ["ddim", "ddim_uniform", "euler", "ddim_uniform"], ["lcm", "sgm_uniform", "lcm_levels", "sgm_uniform"], ["heunpp2", "normal", undefined, "normal"], ["euler", "beta", "euler", undefined],
];
const invoke = [["euler", "euler"], ["euler_k", "euler", "karras"], ["euler_a", "euler_a"], ["dpmpp_2m", "dpmpp_2m"], ["dpmpp_2m_k", "dpmpp_2m", "karras"], ["dpmpp_2m_sde_k", "dpmpp_2m_sde", "karras"], ["unipc", "unipc"], ["deis"], ["ddim", "ddim"], ["lms_k", undefined, "karras"]]
	.map(([name, sampler, schedule]) => [name, undefined, sampler, schedule]);
const novelAI = [["k_euler", "native", "euler"], ["k_euler_ancestral", "karras", "euler_a", "karras"], ["k_dpmpp_2m", "exponential", "dpmpp_2m", "exponential"], ["ddim_v3", "native", "ddim"], ["k_dpmpp_sde", "karras", undefined, "karras"], ["k_dpm_fast", "native"]];
const draw = [["Euler A", undefined, "euler_a"], ["DPM++ 2M Karras", undefined, "dpmpp_2m", "karras"], ["UniPC", undefined, "unipc"], ["Euler A Trailing", undefined, "euler_a", "trailing"], ["DPM++ SDE Karras", undefined, undefined, "karras"], ["LCM", undefined, "lcm"], ["DPM++ 2M AYS", undefined, "dpmpp_2m"]];

const infotext = (r, [sampler, schedule], more = "") => `${r.prompt}${r.negativePrompt && `\nNegative prompt: ${r.negativePrompt}`}\nSteps: ${r.steps}, Sampler: ${sampler}${schedule ? `, Schedule type: ${schedule}` : ""}, CFG scale: ${r.guidance}, Seed: ${r.seed}, Size: ${r.width}x${r.height}, Model hash: 0123456789, Model: sd15${more}`;

export function workflowOf(r, [sampler, schedule], numbers = (n) => n) {
	const node = (class_type, inputs) => ({ class_type, inputs });
	return {
		3: node("KSampler", { seed: numbers(r.seed), steps: numbers(r.steps), cfg: numbers(r.guidance), sampler_name: sampler, scheduler: schedule, denoise: numbers(1), model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] }),
		4: node("CheckpointLoaderSimple", { ckpt_name: "sd15.safetensors" }), 5: node("EmptyLatentImage", { width: numbers(r.width), height: numbers(r.height), batch_size: numbers(1) }),
		6: node("CLIPTextEncode", { text: r.prompt, clip: ["4", 1] }), 7: node("CLIPTextEncode", { text: r.negativePrompt, clip: ["4", 1] }),
		8: node("VAEDecode", { samples: ["3", 0], vae: ["4", 2] }), 9: node("SaveImage", { filename_prefix: "x", images: ["8", 0] }), 10: node("PreviewImage", { images: ["8", 0] }), 11: node("Note", {}),
	};
}

const escaped = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const packet = (comment) => `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmp:CreatorTool="Draw Things"><exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">${escaped(comment)}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>`;

// inFiles puts a text into each format's place for "parameters", in turn.
const inFiles = [
	(text) => png(iTXt("parameters", text)), (text) => png(tEXt("parameters", text, "utf8")), (text) => png(iTXt("parameters", text, true)), (text) => png(tEXt("parameters", ""), chunkOf(text)),
	(text) => jpeg(app1(exif({ comment: text }))), (text) => jpeg(app1(exif({ comment: text, order: "le" }, true))), (text) => jpeg(commentSegment(text)),
	(text) => webp(["EXIF", exif({ comment: text }, true)]), (text) => avif([["Exif", exif({ comment: text })]]), (text) => avif([["mime", Buffer.from("<x/>")], ["Exif", exif({ comment: text, charset: "ASCII\0\0\0" })]], 1),
];
const chunkOf = (text) => iTXt("UserComment", text);

// Each form returns {bytes, want: settings, lost: what must be among the lost}.
export const forms = {
	AUTOMATIC1111: (random, i) => a1111Form(random, i, ", RNG: CPU, Version: v1.10.1", []),
	"AUTOMATIC1111 with extensions": (random, i) => a1111Form(random, i, ', Clip skip: 2, ControlNet 0: "Module: canny, Model: x", ADetailer model: face.pt, RP Active: True, Lora hashes: "a: 1b", Version: v1.9.4', ["ControlNet 0: Module: canny, Model: x", "ADetailer model: face.pt", "RP Active: True", "RNG: GPU"], { clipSkip: 2 }),
	Forge: (random, i) => a1111Form(random, i, ", Distilled CFG Scale: 3.5, RNG: NV, Diffusion in Low Bits: Automatic, Version: f2.0.1v1.10.1", ["Distilled CFG Scale: 3.5", "RNG: NV"]),
	ComfyUI: (random, i) => {
		const r = request(random), method = comfy[i], graph = workflowOf(r, method, random(2) ? String : Number);
		const text = JSON.stringify(random(2) ? graph : { prompt: graph, client_id: "x" });
		const bytes = i % 2 ? png(iTXt("workflow", '{"nodes": []}'), iTXt("prompt", text)) : webp(["EXIF", exif({ 0x010f: 'workflow:{"nodes": []}', 0x0110: `prompt:${text}` }, i % 4 === 0)]);
		return { bytes, want: { ...r, count: 1, ...named(method), promptSyntax: "comfyui" }, lost: unnamed(method) };
	},
	"Fooocus, JSON": (random, i) => {
		const r = request(random), method = comfy[i];
		const text = JSON.stringify({ prompt: r.prompt, negative_prompt: r.negativePrompt, styles: "['Fooocus V2']", performance: "Speed", steps: r.steps, resolution: `(${r.width}, ${r.height})`, guidance_scale: r.guidance, sharpness: 2.0, adm_guidance: "(1.5, 0.8, 0.3)", base_model: "sd15", refiner_model: "None", sampler: method[0], scheduler: method[1], seed: String(r.seed), metadata_scheme: true, version: "Fooocus v2.5.5" });
		return { bytes: i % 3 ? png(tEXt("fooocus_scheme", "fooocus"), iTXt("parameters", text)) : jpeg(app1(exif({ 0x0131: "Fooocus v2.5.5", 0x927c: "fooocus", comment: text }))), want: { ...r, ...named(method) }, lost: ["styles: ['Fooocus V2']", "sharpness: 2", ...unnamed(method)] };
	},
	"Fooocus, text": (random, i) => {
		const r = { ...request(random), prompt: "a red heart", negativePrompt: "fog" };
		const text = `a red heart, cinematic\nNegative prompt: fog, dull\nSteps: ${r.steps}, Sampler: ${["DPM++ 2M SDE", "Euler"][i % 2]}, Seed: ${r.seed}, Size: ${r.width}x${r.height}, CFG scale: ${r.guidance}, Sharpness: 2, ADM Guidance: "(1.5, 0.8, 0.3)", Model: sd15, Model hash: 1, Performance: Speed, Scheduler: karras, VAE: Default (model), Raw prompt: a red heart, Raw negative prompt: fog, Styles: "['Fooocus V2']", Version: Fooocus v2.5.5`;
		return { bytes: inFiles[i](text), want: { ...r, sampler: ["dpmpp_2m_sde", "euler"][i % 2], schedule: "karras" }, lost: ["Sharpness: 2", "Styles: ['Fooocus V2']"] };
	},
	SwarmUI: (random, i) => {
		const r = request(random), method = comfy[i];
		const text = JSON.stringify({ sui_image_params: { prompt: r.prompt, negativeprompt: r.negativePrompt, model: "sd15", seed: r.seed, steps: r.steps, cfgscale: r.guidance, aspectratio: "1:1", width: r.width, height: r.height, [i % 2 ? "sampler" : "comfyuisampler"]: method[0], [i % 2 ? "scheduler" : "comfyuischeduler"]: method[1], loras: ["detail"], clipstopatlayer: -2, swarm_version: "0.9.6.2" }, sui_extra_data: { date: "2025-01-01" } });
		return { bytes: inFiles[i](text), want: { ...r, ...named(method), clipSkip: 2, promptSyntax: "comfyui" }, lost: ['loras: ["detail"]', ...unnamed(method)] };
	},
	"InvokeAI 3 and later": (random, i) => {
		const r = request(random), method = invoke[i];
		const text = JSON.stringify({ app_version: "5.6.0", generation_mode: "txt2img", positive_prompt: r.prompt, negative_prompt: r.negativePrompt, width: r.width, height: r.height, seed: r.seed, rand_device: "cpu", cfg_scale: r.guidance, steps: r.steps, scheduler: method[0], clip_skip: i % 2, model: { model_name: "sd15" }, controlnets: [], loras: i % 2 ? [] : [{ weight: 1 }], vae: null });
		return { bytes: png(iTXt("invokeai_metadata", text)), want: { ...r, ...named(method), clipSkip: i % 2 ? 2 : undefined }, lost: [...i % 2 ? [] : ['loras: [{"weight":1}]'], ...unnamed(method, "scheduler")] };
	},
	"InvokeAI 2": (random, i) => {
		const r = { ...request(random), prompt: "a red heart", negativePrompt: "fog" }, [name, , sampler, schedule] = [["k_euler", "", "euler"], ["k_euler_a", "", "euler_a"], ["k_lms", ""], ["ddim", "", "ddim"], ["plms", ""]][i % 5];
		const image = { prompt: [{ prompt: "a red heart [fog]", weight: 1 }], steps: r.steps, cfg_scale: r.guidance, threshold: 0, perlin: 0.2, height: r.height, width: r.width, seed: r.seed, seamless: false, hires_fix: false, type: "txt2img", postprocessing: null, sampler: name, variations: [] };
		const dream = `"a red heart [fog]" -s ${r.steps} -S ${r.seed} -W ${r.width} -H ${r.height} -C ${r.guidance} -A ${name} --perlin 0.2`;
		return { bytes: i % 2 ? png(tEXt("Dream", dream)) : png(tEXt("Dream", dream), tEXt("sd-metadata", JSON.stringify({ model: "stable diffusion", model_weights: "sd15", app_version: "2.3.5", image }))).slice(), want: { ...r, sampler, schedule }, lost: i % 2 ? [] : ["perlin: 0.2"] };
	},
	NovelAI: (random, i) => {
		const r = request(random), method = novelAI[i % novelAI.length];
		const comment = JSON.stringify({ prompt: r.prompt, steps: r.steps, height: r.height, width: r.width, scale: r.guidance, uncond_scale: 1, cfg_rescale: 0, seed: r.seed, n_samples: 1, noise_schedule: method[1], sm: i % 2 === 0, sm_dyn: false, sampler: method[0], controlnet_model: null, uc: r.negativePrompt, request_type: "PromptGenerateRequest" });
		const texts = { Title: "AI generated image", Description: r.prompt, Software: "NovelAI", Source: "Stable Diffusion XL 7BCCAA2C", Comment: comment };
		const bytes = i % 3 ? png(...Object.entries(texts).map(([key, text]) => iTXt(key, text))) : webp(["EXIF", exif({ comment: JSON.stringify(texts), charset: "ASCII\0\0\0" })]);
		return { bytes, want: { ...r, ...named(method) }, lost: [...i % 2 ? [] : ["sm: true"], "noise: GPU", ...unnamed(method)] };
	},
	"Draw Things": (random, i) => {
		const r = request(random), method = draw[i % draw.length];
		const comment = JSON.stringify({ c: r.prompt, uc: r.negativePrompt, seed: r.seed, seed_mode: "Scale Alike", steps: r.steps, scale: r.guidance, sampler: method[0], size: `${r.width}x${r.height}`, model: "sd15.ckpt", strength: 1, lora: [], v2: { steps: r.steps } });
		const bytes = [png(iTXt("XML:com.adobe.xmp", packet(comment))), jpeg(xmpSegment(packet(comment))), webp(["XMP ", Buffer.from(packet(comment))]), avif([["mime", Buffer.from(packet(comment))]])][i % 4];
		return { bytes, want: { ...r, ...named(method), promptSyntax: "a1111" }, lost: ["seed_mode: Scale Alike", ...unnamed(method)] };
	},
	wisp: (random, i) => {
		const r = request(random), schedule = ["karras", "trailing", ""][i % 3], label = { karras: "Karras", trailing: "Trailing" }[schedule];
		const text = infotext(r, ["UniPC", label], `${i % 2 ? ", Prompt syntax: comfyui, Clip skip: 1" : ""}, Version: wisp${i % 3 ? " v1.2-3-g0123abc" : ""}`).replace("Model hash: 0123456789, Model: sd15", "Model: emoji");
		return { bytes: png(iTXt("parameters", text)), want: { ...r, sampler: "unipc", schedule, ...(i % 2 && { promptSyntax: "comfyui", clipSkip: 1 }) }, lost: [], whole: true };
	},
};

const named = ([, , sampler, schedule]) => ({ sampler, schedule });
const unnamed = ([name, schedule, sampler, found]) => [...sampler ? [] : [`Sampler: ${name}`], ...found || !schedule || schedule === "native" ? [] : [`Schedule type: ${schedule}`]];

function a1111Form(random, i, more, lost, rest) {
	const r = request(random), method = a1111[i];
	const after = i === 3 ? "\nTemplate: somebody's" : "";
	return { bytes: inFiles[i](infotext(r, method, more) + after), want: { ...r, ...named(method), promptSyntax: "a1111", ...rest }, lost: [...lost, ...unnamed(method), ...after ? ["Template: somebody's"] : []] };
}
