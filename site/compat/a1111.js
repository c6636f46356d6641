// What AUTOMATIC1111's API takes, field by field (modules/api/models.py and the
// dataclass StableDiffusionProcessingTxt2Img in modules/processing.py): done,
// refused by its name, or listed in the answer's info.notices. Left out, or with
// the value that changes nothing, a field is as the model recommends.
import { number } from "./fields.js";
import { isObject } from "./json.js";
import { methodOf } from "./names.js";
import { brief, refuse } from "./refusal.js";
import { emphasisIn, wearing, withoutNetworks } from "./said.js";

const maxCount = 64;

// The fields that become a request, and how they are read.
const done = {
	prompt: words, negative_prompt: words, styles: any, seed: whole, steps: whole, cfg_scale: real, width: whole, height: whole, batch_size: whole, n_iter: whole,
	sampler_name: words, sampler_index: words, scheduler: words, send_images: any, override_settings: any,
};

// Fields without an effect on what txt2img draws here.
const facts = [
	"save_images", "do_not_save_samples", "do_not_save_grid", "force_task_id", "override_settings_restore_afterwards", "disable_extra_networks", "comments", "subseed",
	"denoising_strength", "firstphase_width", "firstphase_height", "hr_scale", "hr_upscaler", "hr_second_pass_steps", "hr_resize_x", "hr_resize_y", "hr_checkpoint_name",
	"hr_sampler_name", "hr_scheduler", "hr_prompt", "hr_negative_prompt", "hr_cfg", "hr_additional_modules", "hr_distilled_cfg", "refiner_switch_at", "script_args", "include_init_images", "save_to_dir", "return_grid",
];

// Fields that change the picture in a way that is not there, and the values with
// which they do not; null is always one.
const refused = {
	enable_hr: [false], tiling: [false], restore_faces: [false], subseed_strength: [0], seed_resize_from_h: [-1, 0], seed_resize_from_w: [-1, 0], init_images: [], mask: [],
	script_name: ["", "None"], refiner_checkpoint: ["", "None"], firstpass_image: [], infotext: [""], s_churn: [0], s_tmin: [0], s_tmax: [0], s_noise: [1], s_min_uncond: [0],
	distilled_cfg_scale: [], image_cfg_scale: [],
};

// The options (modules/shared_options.py) that override_settings and POST options
// may hold, likewise. Those that change no picture are told by their beginning.
const options = { sd_vae: ["Automatic", "None"], CLIP_stop_at_last_layers: [1], eta_noise_seed_delta: [0], randn_source: ["CPU"], sd_checkpoint_hash: [], face_restoration: [false], face_restoration_model: [], k_sched_type: ["Automatic"], eta_ancestral: [1], eta_ddim: [0] };
const harmless = /^(samples_|grid_|save_|jpeg_quality|webp_|img_|enable_pnginfo|show_|live_preview|return_|do_not_|directories_|outdir_|export_|use_original_name|multiple_tqdm|hide_|print_)/;

// txt2imgFields is the table, for the test that holds each field to it.
export const txt2imgFields = { done, facts, refused, options };

// optionsOf goes over options. The model is the page's: naming it is right,
// changing it is not possible.
export function optionsOf(body, generator) {
	for (const [name, value] of Object.entries(body)) {
		if (value === null || harmless.test(name)) continue;
		if (name === "sd_model_checkpoint") {
			if (generator && value !== "" && value !== generator.name) refuse(`the model is ${generator.name}: choose another one on the page`);
		} else if (!Object.hasOwn(options, name) || !off(value, options[name])) refuse(`wisp does not support the option ${brief(name)}`);
	}
}

// txt2imgOf returns {request, count, notices}; begins is what img2img begins with.
export function txt2imgOf(body, generator, styles, begins) {
	const read = {}, notices = [], controls = [];
	for (const [name, value] of Object.entries(body)) {
		if (value === null || value === undefined || facts.includes(name)) continue;
		if (Object.hasOwn(done, name)) read[name] = done[name](value, name);
		else if (Object.hasOwn(refused, name)) {
			if (!off(value, refused[name])) refuse(`wisp does not support ${name}`);
		} else if (name === "alwayson_scripts") controls.push(...scripts(value, generator, begins));
		else if (name !== "eta") notices.push(`${brief(name)}: not known here`);
	}
	const { CLIP_stop_at_last_layers: clip, ...others } = read.override_settings ?? {};
	optionsOf(others, generator);
	const { sampler, schedule, row } = method(read, generator, notices);
	const eta = ![undefined, null].includes(body.eta) && row?.eta !== undefined && number(body.eta) !== row.eta ? number(body.eta) : undefined;
	if (eta !== undefined && sampler === undefined) notices.push(`eta: ${brief(body.eta)}`);
	const count = (read.batch_size ?? 1) * (read.n_iter ?? 1);
	if (!(count >= 1 && count <= maxCount)) refuse(`batch_size times n_iter is ${count}: choose 1 to ${maxCount}`);
	const request = {
		prompt: promptOf(read, styles, notices, generator), negativePrompt: read.negative_prompt ?? "", seed: read.seed >= 0 ? read.seed : undefined,
		clipSkip: clipSkipOf(clip, generator.fields, notices), steps: read.steps, guidance: read.cfg_scale, width: read.width, height: read.height, sampler, schedule,
	};
	if (controls.length > 0) request.controls = controls;
	if (eta !== undefined && sampler !== undefined) request.eta = eta;
	// Of what it cannot do the engine tells; without any brackets there is nothing to tell.
	if (generator.fields.weights || emphasisIn("a1111", request, generator.fields).length > 0) request.promptSyntax = "a1111";
	return { request, count, notices };
}

// clipSkipOf reads the layer, of which 1 is as the model has it.
function clipSkipOf(value, fields, notices) {
	if (value === undefined || value === null) return undefined;
	const layer = whole(value, "CLIP_stop_at_last_layers");
	if (layer >= 2 && layer <= fields.clipSkip) return layer;
	if (layer !== 1) notices.push(`CLIP_stop_at_last_layers: ${layer}`);
	return undefined;
}

// promptOf applies styles as AUTOMATIC1111 does, after it took the networks out.
function promptOf({ prompt = "", styles: asked = [] }, styles, notices, generator) {
	const { prompt: plain, networks } = withoutNetworks(prompt);
	const { tags, others } = wearing(networks, generator);
	notices.push(...others);
	const wanted = Array.isArray(asked) ? asked.map(String) : [];
	for (const name of wanted) if (!styles.includes(name)) notices.push(`styles: ${brief(name)}`);
	return [plain, ...wanted.filter((name) => styles.includes(name)), tags.join(" ")].filter(Boolean).join(", ");
}

// method reads the sampler and the schedule. A name that AUTOMATIC1111 has and the
// model has not is a notice: many clients send one whatever they draw with.
function method({ sampler_name: name, sampler_index: index, scheduler }, generator, notices) {
	const found = methodOf(generator, "a1111", name || index, scheduler);
	const list = (all) => all.map((s) => s.label).join(", ");
	if ((name || index) && !found.known) refuse(`sampler "${brief(name || index)}" is not one of ${list(generator.samplers)}`);
	if (!found.scheduleKnown) refuse(`scheduler "${brief(scheduler)}" is not one of ${list(generator.schedules)}`);
	notices.push(...found.lost);
	return found;
}

// scripts refuses those that are on, but for ControlNet's units, which it reads.
function scripts(value, generator, begins) {
	if (!isObject(value)) refuse("alwayson_scripts is not an object");
	const controls = [];
	for (const [name, script] of Object.entries(value)) {
		const args = Object.values(isObject(script) ? script.args ?? [] : []);
		if (/^controlnet$/i.test(name)) controls.push(...args.filter((unit) => !unused(unit)).map((unit) => controlOf(unit, generator, begins)));
		else if (args[0] !== false && !args.every(unused)) refuse(`wisp does not support the script ${brief(name)} of alwayson_scripts`);
	}
	return controls;
}

// controlOf is a unit of sd-webui-controlnet (external_code.ControlNetUnit), its
// picture in base64; without one the picture counts that drawing begins with.
function controlOf({ model = "None", module = "none", image, input_image: older, weight = 1, guidance_start: start = 0, guidance_end: end = 1, ...unit }, { controls = [] }, begins) {
	const name = controls.find((known) => known === String(model).replace(/ \[[0-9a-f]{8,10}\]$/, "")) ?? refuse(`there is no ControlNet ${brief(model)}`);
	if (![undefined, null, 0, "Balanced"].includes(unit.control_mode)) refuse(`wisp does not support the control_mode ${brief(unit.control_mode)}`);
	const picture = image?.image ?? image ?? older ?? begins?.[0] ?? refuse("a ControlNet has no image");
	return { id: name, image: picture, weight: real(weight, "weight"), start: real(start, "guidance_start"), end: real(end, "guidance_end"), preprocess: preprocessOf(module, unit.threshold_a, unit.threshold_b) };
}

// preprocessOf has a module with its thresholds, of which -1 is its own.
export function preprocessOf(name, a, b) {
	const of = { canny: ["low", "high"], threshold: ["threshold"], scribble_xdog: ["threshold"], blur_gaussian: ["sigma"] }[name] ?? [];
	return { name: { blur: "blur_gaussian", "invert (from white bg & black line)": "invert" }[name] ?? name, ...Object.fromEntries(of.map((number, i) => [number, [a, b][i]]).filter(([, n]) => n >= 0)) };
}

// unused tells an argument of a script that asks for nothing.
const unused = (arg) => !arg || arg === "None" || isObject(arg) && (Object.keys(arg).length === 0 || arg.enabled === false || arg.ad_model === "None");

const off = (value, values) => value === null || typeof value === "object" && Object.keys(value).length === 0 || values.includes(value)
	|| values.some((v) => (typeof v === "number" ? number(value) === v : typeof v === "boolean" && (value === 0 || /^false$/i.test(value))));

function words(value, name) {
	return typeof value === "string" ? value : refuse(`${name} is not a text`);
}

function real(value, name) {
	return number(value) ?? refuse(`${name} is not a number`);
}

function whole(value, name) {
	const n = real(value, name);
	return Number.isSafeInteger(n) ? n : refuse(`${name} is ${brief(value)}: choose a whole number up to 2^53`);
}

function any(value) {
	return value;
}
