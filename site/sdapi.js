// The part of AUTOMATIC1111's interface (/sdapi/v1) that wisp can answer, in
// its JSON. The service worker passes the calls on to a page that is open.
import { methodOf, parseParameters } from "./parameters.js";
import { readTexts } from "./png.js";
import { parametersOf, toPNG } from "./wisp.js";

// Requests wait for each other, as on AUTOMATIC1111's server.
const waiting = new Set(); // AbortControllers, the first is of the one under way
let last = Promise.resolve();
const idle = { step: 0, steps: 0, preview: null, prompt: "", began: 0 };
let progress = idle;

// busy tells whether a client waits for a picture.
export const busy = () => waiting.size > 0;

const calls = {
	"POST txt2img": txt2img,
	"GET options": ({ facts }) => ok({ sd_model_checkpoint: facts()?.name ?? null }),
	"POST options": setOptions,
	"GET sd-models": ({ facts }) => ok(facts() ? [model(facts())] : []),
	"GET samplers": ({ facts }) => ok((facts()?.samplers ?? []).map(({ name, label }) => ({ name: label, aliases: [name], options: {} }))),
	"GET schedulers": ({ facts }) => ok((facts()?.schedules ?? []).map(({ name, label }) => ({ name, label, aliases: null, default_rho: -1, need_inner_model: false }))),
	"GET prompt-styles": ({ facts }) => ok(styles(facts()).map((style) => ({ name: style, prompt: style, negative_prompt: "" }))),
	"GET upscalers": () => ok([{ name: "None", model_name: null, model_path: null, model_url: null, scale: 1 }]),
	"GET sd-vae": () => ok([]),
	"GET loras": () => ok([]),
	"GET hypernetworks": () => ok([]),
	"GET embeddings": () => ok({ loaded: {}, skipped: {} }),
	"POST png-info": pngInfo,
	"GET progress": showProgress,
	"POST interrupt": () => {
		const [first] = waiting;
		first?.abort();
		return ok({});
	},
};

const hash = (id) => id?.slice(0, 10) ?? null;
const model = ({ id, name }) => ({ title: name, model_name: name, filename: name, hash: hash(id), sha256: id ?? null, config: null });

const styles = (generator) => (Array.isArray(generator?.settings.styles) ? generator.settings.styles.filter((s) => typeof s === "string") : []);

const ok = (answer) => ({ status: 200, answer });

class Refusal extends Error {
	constructor(status, detail) {
		super(detail);
		this.status = status;
	}
}

const refuse = (detail) => {
	throw new Refusal(422, detail);
};

// What a client sent, short enough to repeat.
const brief = (value) => String(value).slice(0, 80);

// call returns {status, answer} for a call such as "txt2img". page is what
// offline.js has.
export async function call(name, method, body, page) {
	const key = `${method} ${name}`;
	try {
		if (!Object.hasOwn(calls, key)) throw new Refusal(404, `wisp does not answer ${brief(key)}`);
		if (typeof body !== "object" || body === null || Array.isArray(body)) refuse("the request is not an object");
		return await calls[key](page, body);
	} catch (err) {
		const status = err.status ?? (err.code === "bad-request" ? 422 : 500);
		return { status, answer: { error: err.code ?? "wisp", detail: err.message, body: "", errors: err.message } };
	}
}

// The model is the page's: naming it is right, changing it is not possible.
function setOptions({ facts }, body) {
	for (const [name, value] of Object.entries(body)) {
		if (name !== "sd_model_checkpoint") refuse(`wisp does not support the option ${brief(name)}`);
		if (facts() && value !== facts().name) refuse(`the model is ${facts().name}: choose another one on the page`);
	}
	return ok(null);
}

async function showProgress(page, { skip_current_image: skip }) {
	const { step, steps, preview, prompt, began } = progress;
	return ok({
		progress: steps ? step / steps : 0,
		eta_relative: step ? (Date.now() - began) / 1000 * (steps / step - 1) : 0,
		state: {
			skipped: false, interrupted: [...waiting][0]?.signal.aborted ?? false, stopping_generation: false, job: prompt, job_count: waiting.size,
			job_timestamp: began ? timestamp(began) : "0", job_no: 0, sampling_step: step, sampling_steps: steps,
		},
		current_image: preview && !/^true$/i.test(skip) ? await unfinished(preview) : null,
		textinfo: null,
	});
}

// timestamp is a time as AUTOMATIC1111 writes it, 20240131235959.
const timestamp = (time) => new Date(time).toISOString().replace(/\D/g, "").slice(0, 14);

// pngInfo reads the settings in a picture.
async function pngInfo(page, { image }) {
	if (typeof image !== "string") refuse("image is not a text");
	const texts = await readTexts(Uint8Array.from(decode64(image.replace(/^data:.*?,/, "")), (c) => c.charCodeAt(0)));
	const info = texts.get("parameters") ?? "";
	return ok({ info, items: Object.fromEntries(texts), parameters: info && parseParameters(info) || {} });
}

function decode64(text) {
	try {
		return atob(text);
	} catch {
		refuse("image is not base64");
	}
}

// What of txt2img would change the picture and is not there: refused rather
// than ignored.
const unsupported = [
	"enable_hr", "tiling", "init_images", "script_name", "subseed_strength", "refiner_checkpoint", "restore_faces",
	"alwayson_scripts", "eta", "s_churn", "firstpass_image", "infotext",
];

const empty = (value) => !value || typeof value === "object" && Object.keys(value).length === 0;

// method reads the sampler and the schedule.
function method(body, generator) {
	const label = body.sampler_name ?? body.sampler_index;
	const { sampler, schedule } = methodOf(generator, label, body.scheduler);
	const refuseName = (kind, name, list) => refuse(`${kind} "${brief(name)}" is not one of ${list.map((s) => s.label).join(", ")}`);
	if (label && sampler === undefined) refuseName("sampler", label, generator.samplers);
	if (body.scheduler && schedule === undefined && !/^automatic$/i.test(body.scheduler)) refuseName("scheduler", body.scheduler, generator.schedules);
	return { sampler, schedule };
}

async function txt2img(page, body) {
	for (const name of unsupported) if (!empty(body[name])) refuse(`wisp does not support ${name}`);
	if (!empty(body.override_settings)) setOptions(page, body.override_settings);
	const styles = Array.isArray(body.styles) ? body.styles.filter((s) => typeof s === "string") : [];
	if (body.prompt !== undefined && typeof body.prompt !== "string") refuse("prompt is not a text");
	const mine = new AbortController();
	let began = 0;
	waiting.add(mine);
	const turn = last;
	let done;
	last = new Promise((resolve) => { done = resolve; });
	try {
		await turn;
		const generator = await page.ready();
		const request = {
			prompt: [body.prompt, ...styles].filter(Boolean).join(", "),
			negativePrompt: body.negative_prompt,
			seed: body.seed >= 0 ? body.seed : undefined,
			steps: body.steps,
			guidance: body.cfg_scale,
			width: body.width,
			height: body.height,
			count: (body.batch_size ?? 1) * (body.n_iter ?? 1),
			...method(body, generator),
			previews: true,
			onStep: ({ step, steps, preview }) => { progress = { step, steps, preview: preview ?? progress.preview, prompt: body.prompt, began: began ||= Date.now() }; },
			signal: mine.signal,
			busy: "queue",
		};
		return ok(await answer(await generator.generate(request), body, generator));
	} catch (err) {
		if (!mine.signal.aborted) throw err;
		const { preview } = progress; // an interrupted picture is answered as far as it came
		return ok({ images: preview ? [await unfinished(preview)] : [], parameters: body, info: JSON.stringify({ prompt: body.prompt ?? "", interrupted: true }) });
	} finally {
		waiting.delete(mine);
		progress = idle;
		done();
	}
}

async function answer(result, body, { name, id, samplers }) {
	const { settings, seed } = result;
	const each = (f) => result.images.map((_, i) => f(i));
	const images = body.send_images === false ? [] : await Promise.all(each(async (i) => base64(await toPNG(result, i))));
	const info = {
		prompt: settings.prompt, all_prompts: each(() => settings.prompt),
		negative_prompt: settings.negativePrompt, all_negative_prompts: each(() => settings.negativePrompt),
		seed, all_seeds: each((i) => seed + i), subseed: seed, all_subseeds: each((i) => seed + i), subseed_strength: 0,
		width: settings.width, height: settings.height, sampler_name: (samplers.find((s) => s.name === settings.sampler) ?? samplers[0]).label,
		cfg_scale: settings.guidance, steps: settings.steps, batch_size: result.images.length, restore_faces: false, face_restoration_model: null,
		sd_model_name: name, sd_model_hash: hash(id), sd_vae_name: null, sd_vae_hash: null, seed_resize_from_w: -1, seed_resize_from_h: -1,
		denoising_strength: null, extra_generation_params: settings.schedule ? { "Schedule type": settings.schedule } : {}, index_of_first_image: 0,
		infotexts: each((i) => parametersOf(result, i)), styles: body.styles ?? [], job_timestamp: timestamp(Date.now()), clip_skip: 1,
		is_using_inpainting_conditioning: false, version: "wisp",
	};
	return { images, parameters: body, info: JSON.stringify(info) };
}

// unfinished encodes a preview, which has no settings of its own yet.
const unfinished = async (preview) => base64(await toPNG({ images: [preview], seed: 0, parameters: "" }));

async function base64(blob) {
	const bytes = new Uint8Array(await blob.arrayBuffer());
	let text = "";
	for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
	return btoa(text);
}
