// The part of AUTOMATIC1111's interface (/sdapi/v1) that wisp can answer.
import { toPNG } from "./wisp.js";

let run = null; // AbortController of the request under way
let progress = { step: 0, steps: 0 };

const calls = {
	"POST txt2img": txt2img,
	"GET options": ({ facts }) => ok({ sd_model_checkpoint: facts()?.name ?? null }),
	"GET sd-models": ({ facts }) => ok(facts() ? [{ title: facts().name, model_name: facts().name, filename: facts().name, hash: facts().id?.slice(0, 10) ?? null, sha256: null, config: null }] : []),
	"GET samplers": ({ facts }) => ok((facts()?.samplers ?? []).map(({ name, label }) => ({ name: label, aliases: [name], options: {} }))),
	"GET progress": () => ok({
		progress: progress.steps ? progress.step / progress.steps : 0,
		eta_relative: 0,
		state: { skipped: false, interrupted: false, job: "", job_count: run ? 1 : 0, job_no: 0, sampling_step: progress.step, sampling_steps: progress.steps },
		current_image: null,
		textinfo: null,
	}),
	"POST interrupt": () => {
		run?.abort();
		return ok({});
	},
};

const ok = (answer) => ({ status: 200, answer });
const refused = (status, detail) => ({ status, answer: { error: "wisp", detail } });

// call returns {status, answer} for a call such as "txt2img". page is what
// offline.js has.
export async function call(name, method, body, page) {
	const answer = calls[`${method} ${name}`];
	if (!answer) return refused(404, `wisp does not answer ${method} ${String(name).slice(0, 80)}`);
	try {
		return await answer(page, body);
	} catch (err) {
		return refused(err.code === "bad-request" ? 422 : 500, err.message);
	}
}

// What of txt2img would change the picture and is not there: refused rather
// than ignored.
const unsupported = { enable_hr: false, tiling: false, init_images: null, script_name: null, subseed_strength: 0, refiner_checkpoint: null };

async function txt2img(page, body) {
	for (const [name, neutral] of Object.entries(unsupported)) {
		if (body[name] && body[name] !== neutral) return refused(422, `wisp does not support ${name}`);
	}
	const label = body.sampler_name ?? body.sampler_index;
	const samplers = page.facts()?.samplers ?? [];
	const sampler = samplers.find((s) => [s.name, s.label.toLowerCase()].includes(String(label).toLowerCase()));
	if (label && !sampler) return refused(422, `sampler "${String(label).slice(0, 80)}" is not one of ${samplers.map((s) => s.label).join(", ")}`);
	run = new AbortController();
	try {
		const result = await page.generate({
			prompt: [body.prompt, ...(body.styles ?? [])].filter(Boolean).join(", "),
			negativePrompt: body.negative_prompt,
			seed: body.seed >= 0 ? body.seed : undefined,
			steps: body.steps,
			guidance: body.cfg_scale,
			width: body.width,
			height: body.height,
			count: (body.batch_size ?? 1) * (body.n_iter ?? 1),
			sampler: sampler?.name,
			onStep: (step) => (progress = step),
		}, run.signal);
		const images = await Promise.all(result.images.map(async (_, i) => base64(await toPNG(result, i))));
		const seeds = result.images.map((_, i) => result.seed + i);
		const info = { ...result.settings, negative_prompt: result.settings.negativePrompt, cfg_scale: result.settings.guidance, seed: result.seed, all_seeds: seeds, infotexts: seeds.map(() => result.parameters) };
		return ok({ images, parameters: body, info: JSON.stringify(info) });
	} finally {
		run = null;
		progress = { step: 0, steps: 0 };
	}
}

async function base64(blob) {
	const bytes = new Uint8Array(await blob.arrayBuffer());
	let text = "";
	for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
	return btoa(text);
}
