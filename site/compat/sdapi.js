// The part of AUTOMATIC1111's interface (/sdapi/v1) that wisp can answer, in its
// JSON (modules/api/api.py and models.py there). The service worker passes the
// calls on to a page that is open. A page, as the calls have it, is {ready(),
// facts(), queue, encode(result, i), infotext(result, i), pixels(bytes, name),
// upscalers(), enlarge(pixels, {by, name}), preprocess(pixels, how)}: the promise of
// the generator, the generator or null, a Queue, a picture's file, its settings, the
// pixels of a file, the names of networks that enlarge, what they make, what
// preprocessors make or, without a picture, which there are.
import { optionsOf, preprocessOf, txt2imgOf } from "./a1111.js";
import { cropped, decode64, img2imgOf } from "./img2img.js";
import { number } from "./fields.js";
import { isObject, parseJSON } from "./json.js";
import { maxBody } from "./limits.js";
import { readMetadata } from "./metadata.js";
import { brief, refuse, Refusal } from "./refusal.js";
import { saidBy } from "./said.js";

const idle = { step: 0, steps: 0, preview: null, prompt: "", began: 0 };
let progress = idle;

const calls = {
	"POST txt2img": (page, body) => draw(page, body, txt2imgOf),
	"POST img2img": (page, body) => draw(page, body, (asked, generator, styles) => img2imgOf(asked, generator, styles, page.pixels)),
	"GET options": ({ facts }) => ({ sd_model_checkpoint: facts()?.name ?? null, sd_vae: "Automatic", CLIP_stop_at_last_layers: 1 }),
	"POST options": ({ facts }, body) => (optionsOf(body, facts()), null),
	"GET sd-models": ({ facts }) => (facts() ? [model(facts())] : []),
	"GET samplers": ({ facts }) => (facts()?.samplers ?? []).map(({ name, label }) => ({ name: label, aliases: [name], options: {} })),
	"GET schedulers": ({ facts }) => (facts()?.schedules ?? []).map(({ name, label }) => ({ name, label, aliases: null, default_rho: -1, need_inner_model: false })),
	"GET prompt-styles": ({ facts }) => stylesOf(facts()).map((style) => ({ name: style, prompt: style, negative_prompt: "" })),
	"GET upscalers": async ({ upscalers }) => ["None", "Lanczos", ...await upscalers()].map((name, i) => ({ name, model_name: i > 1 ? name : null, model_path: null, model_url: null, scale: i > 0 ? 4 : 1 })),
	"POST extra-single-image": extra,
	"GET controlnet/version": () => ({ version: 3 }),
	"GET controlnet/model_list": async ({ ready }) => ({ model_list: (await ready()).controls }),
	"GET controlnet/module_list": async ({ preprocess }) => ({ module_list: ["none", ...(await preprocess()).map(({ name }) => name)] }),
	"POST controlnet/detect": detect,
	"GET loras": ({ facts }) => (facts()?.loras ?? []).map(({ name, metadata }) => ({ name, alias: name, path: `${name}.safetensors`, metadata: metadata ?? {} })),
	"GET embeddings": () => ({ loaded: {}, skipped: {} }),
	"GET scripts": () => ({ txt2img: [], img2img: [] }),
	"GET cmd-flags": () => ({}),
	"GET memory": () => ({ ram: {}, cuda: {} }),
	"POST png-info": pngInfo,
	"GET progress": showProgress,
	"POST interrupt": ({ queue }) => (queue.cancel(false), {}),
	"POST skip": ({ queue }) => (queue.cancel(false), {}),
};

// What clients ask for at their start, and wisp has none of.
for (const name of ["sd-vae", "sd-modules", "hypernetworks", "face-restorers", "realesrgan-models", "latent-upscale-modes", "script-info"]) calls[`GET ${name}`] = () => [];
for (const name of ["refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings"]) calls[`POST ${name}`] = () => null;

const hash = (id) => id?.slice(0, 10) ?? null;
const model = ({ id, name }) => ({ title: name, model_name: name, filename: name, hash: hash(id), sha256: id ?? null, config: null });

const stylesOf = (generator) => (Array.isArray(generator?.settings.styles) ? generator.settings.styles.filter((s) => typeof s === "string") : []);

// call returns {status, answer, retryAfter} for a call such as "txt2img", whose
// body is a Blob and whose query is an object.
export async function call(name, method, body, query, page) {
	const key = `${method} ${name}`;
	try {
		if (!Object.hasOwn(calls, key)) throw new Refusal(`wisp does not answer ${brief(key)}`, "unknown");
		return { status: 200, answer: await calls[key](page, await read(body, query)) };
	} catch (err) {
		const status = statuses[err.code] ?? 500;
		return { status, answer: { error: err.code ?? "wisp", detail: err.message, body: "", errors: err.message }, retryAfter: err.retryAfter };
	}
}

const statuses = { "bad-request": 422, unknown: 404, busy: 429, large: 413, aborted: 503 };

// read returns the request's object: what a GET asks for, or the body.
async function read(body, query) {
	if (!body || body.size === 0) return query;
	if (body.size > maxBody) throw new Refusal(`the request has ${body.size} bytes: the most are ${maxBody}`, "large");
	const object = parseJSON(await body.text(), "the request");
	return isObject(object) ? object : refuse("the request is not an object");
}

async function showProgress(page, { skip_current_image: skip }) {
	const { step, steps, preview, prompt, began } = progress;
	return {
		progress: steps ? step / steps : 0,
		eta_relative: step ? (Date.now() - began) / 1000 * (steps / step - 1) : 0,
		state: {
			skipped: false, interrupted: page.queue.ending, stopping_generation: false, job: prompt, job_count: page.queue.length,
			job_timestamp: began ? timestamp(began) : "0", job_no: 0, sampling_step: step, sampling_steps: steps,
		},
		current_image: preview && !/^true$/i.test(skip) ? await unfinished(preview, page) : null,
		textinfo: null,
	};
}

// timestamp is a time as AUTOMATIC1111 writes it, 20240131235959.
const timestamp = (time) => new Date(time).toISOString().replace(/\D/g, "").slice(0, 14);

// pngInfo reads the settings in a picture of any format.
async function pngInfo(page, { image }) {
	const texts = await readMetadata(decode64(image, "image")) ?? new Map();
	const said = texts.size > 0 ? saidBy(texts) : null;
	return { info: texts.get("parameters") ?? texts.get("UserComment") ?? "", items: Object.fromEntries(texts), parameters: said ? { ...said.settings, lost: said.lost } : {} };
}

// extra enlarges a picture (api.py, extras_single_image_api).
async function extra(page, body) {
	const { upscaler_1: name = "None", upscaler_2: second = "None", resize_mode: mode = 0, upscaling_resize: times = 2, upscaling_resize_w: w = 512, upscaling_resize_h: h = 512 } = body;
	for (const field of ["gfpgan_visibility", "codeformer_visibility", "extras_upscaler_2_visibility"]) if (number(body[field] ?? 0) !== 0) refuse(`wisp does not support ${field}`);
	if (second !== "None") refuse("wisp does not support upscaler_2");
	if (!["None", "Lanczos", ...await page.upscalers()].includes(name)) refuse(`there is no upscaler ${brief(name)}`);
	const pixels = await page.pixels(decode64(body.image, "image"), "image");
	const size = { width: number(w), height: number(h) };
	const by = number(mode) === 1 ? Math.max(size.width / pixels.width, size.height / pixels.height) : number(times);
	if (!(by > 0 && by <= 16)) refuse("upscaling_resize is not a number from 1 to 16");
	const large = name === "None" ? pixels : await page.enlarge(pixels, { by, name });
	return { html_info: "", image: await unfinished(number(mode) === 1 && body.upscaling_crop !== false ? cropped(large, size) : large, page) };
}

// detect preprocesses pictures (sd-webui-controlnet's external_code/api).
async function detect(page, { controlnet_module: module = "none", controlnet_input_images: pictures, ...body }) {
	if (!Array.isArray(pictures) || pictures.length === 0) refuse("controlnet_input_images has no picture");
	const images = [];
	for (const picture of pictures) {
		const pixels = await page.pixels(decode64(picture, "controlnet_input_images"), "controlnet_input_images");
		images.push(await unfinished(await page.preprocess(pixels, preprocessOf(module, body.controlnet_threshold_a, body.controlnet_threshold_b)), page));
	}
	return { images, info: "Success" };
}

// draw draws picture by picture, so that the visitor's may come between; of reads
// the body.
async function draw(page, body, of) {
	const results = [];
	let asked = null;
	return page.queue.run(async (signal, cancelled) => {
		try {
			const generator = await page.ready();
			asked ??= await of(body, generator, stylesOf(generator));
			for (const one of asked.request.controls ?? []) if (typeof one.image === "string") one.image = await page.pixels(decode64(one.image, "controlnet"), "controlnet");
			asked.request.seed ??= crypto.getRandomValues(new Uint32Array(1))[0];
			while (results.length < asked.count) results.push(await one(generator, asked, results.length, signal));
			return await answer(results, shown(body), asked, generator, page);
		} catch (err) {
			if (!cancelled()) throw err;
			const { preview } = progress; // an interrupted picture is answered as far as it came
			const images = await Promise.all(results.map((r) => page.encode(r, 0).then(base64)));
			return { images: preview ? [...images, await unfinished(preview, page)] : images, parameters: shown(body), info: JSON.stringify({ prompt: body.prompt ?? "", interrupted: true }) };
		} finally {
			progress = idle;
		}
	});
}

// shown is a body as it is sent back: without its pictures, unless it asks for them.
const shown = (body) => (body.include_init_images === true || !body.init_images ? body : { ...body, init_images: null, mask: null });

// one draws picture i of a request.
function one(generator, { request, count }, i, signal) {
	let began = 0;
	const onStep = ({ step, steps, preview }) => {
		progress = { step: i * steps + step, steps: count * steps, preview: preview ?? progress.preview, prompt: request.prompt, began: began ||= Date.now() };
	};
	return generator.generate({ ...request, seed: request.seed + i, count: 1, previews: true, signal, onStep, busy: "queue" });
}

async function answer(results, body, { notices }, { name, id, samplers }, page) {
	const each = (f) => results.map(f);
	const [{ settings, seed }] = results;
	const images = body.send_images === false ? [] : await Promise.all(each(async (r) => base64(await page.encode(r, 0))));
	const told = [...notices, ...results.flatMap((r) => [...r.warnings ?? [], ...r.notices ?? []]), ...(results.some((r) => r.truncated) ? ["prompt: its end was left out"] : [])];
	const info = {
		prompt: settings.prompt, all_prompts: each(() => settings.prompt),
		negative_prompt: settings.negativePrompt, all_negative_prompts: each(() => settings.negativePrompt),
		seed, all_seeds: each((r) => r.seed), subseed: seed, all_subseeds: each((r) => r.seed), subseed_strength: 0,
		width: settings.width, height: settings.height, sampler_name: (samplers.find((s) => s.name === settings.sampler) ?? samplers[0]).label,
		cfg_scale: settings.guidance, steps: settings.steps, batch_size: results.length, restore_faces: false, face_restoration_model: null,
		sd_model_name: name, sd_model_hash: hash(id), sd_vae_name: null, sd_vae_hash: null, seed_resize_from_w: -1, seed_resize_from_h: -1,
		denoising_strength: body.init_images === undefined ? null : settings.strength, extra_generation_params: settings.schedule ? { "Schedule type": settings.schedule } : {}, index_of_first_image: 0,
		infotexts: each((r) => page.infotext(r, 0)), styles: body.styles ?? [], job_timestamp: timestamp(Date.now()), clip_skip: settings.clipSkip || 1,
		is_using_inpainting_conditioning: false, version: "wisp", notices: [...new Set(told)],
	};
	return { images, parameters: body, info: JSON.stringify(info) };
}

// unfinished encodes a preview, which has no settings of its own yet.
const unfinished = async (preview, page) => base64(await page.encode({ images: [preview], seed: 0, parameters: "" }, 0));

async function base64(blob) {
	const bytes = new Uint8Array(await blob.arrayBuffer());
	let text = "";
	for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
	return btoa(text);
}
