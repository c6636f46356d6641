// Settings out of the "parameters" text that AUTOMATIC1111 writes into PNG files.

// parseParameters reads AUTOMATIC1111's text: the prompt, "Negative prompt:"
// and what follows, and a last line of "key: value" pairs. Settings that are
// not there are left out; lost names those that wisp has no counterpart for.
export function parseParameters(text) {
	const lines = text.trim().split(/\r\n?|\n/);
	let pairs = readPairs(lines.at(-1));
	if (pairs.size < 3) pairs = new Map(); // the last line belongs to the prompt
	else lines.pop();
	const at = lines.findIndex((line) => line.trimStart().startsWith("Negative prompt:"));
	const words = lines.slice(0, at < 0 ? undefined : at).join("\n").trim();
	const prompt = words.replace(network, "").replace(/^[\s,]+/, "");
	const negativePrompt = at < 0 ? "" : lines.slice(at).join("\n").trimStart().slice("Negative prompt:".length).trim();
	const [, width, height] = /^(\d+)x(\d+)$/.exec(pairs.get("Size") ?? "") ?? [];
	return compact({
		prompt,
		negativePrompt,
		seed: number(pairs.get("Seed")),
		steps: number(pairs.get("Steps")),
		guidance: number(pairs.get("CFG scale")),
		samplerLabel: pairs.get("Sampler"),
		scheduleLabel: pairs.get("Schedule type"),
		width: number(width),
		height: number(height),
		model: pairs.get("Model"),
		lost: [
			...[...words.matchAll(network)].map(([tag]) => tag.replace(/^[\s,]+/, "")),
			...Object.keys(without).filter((key) => pairs.has(key) && pairs.get(key) !== without[key]),
		],
	});
}

// Networks that AUTOMATIC1111 loads by a tag in the prompt.
const network = /[\s,]{0,9}<(?:lora|lyco|hypernet):[^<>]*>/gi;

// What changes a picture there and has no counterpart here, and the value with
// which it changes nothing.
const without = {
	"Clip skip": "1", "Variation seed strength": "0", "Denoising strength": "1", "Hires upscale": "1", "Face restoration": "", "Tiling": "False",
	"Eta": "0", "ENSD": "0", "Refiner": "", "Style Selector Enabled": "False",
};

// The lengths are bounded, or a long hostile text would take for ever.
function readPairs(line) {
	const pairs = new Map();
	for (const [, key, value] of line.matchAll(/\s*([\p{L}\p{N}_][\p{L}\p{N}_ \-/]{1,60}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/gu)) {
		pairs.set(key.trim(), value.startsWith('"') ? unquote(value) : value.trim());
	}
	return pairs;
}

function unquote(value) {
	try {
		return JSON.parse(value);
	} catch {
		return value;
	}
}

// AUTOMATIC1111's schedules, where wisp calls the same by another name.
const schedulesThere = new Map([["normal", ""], ["simple", "trailing"], ["sgm uniform", "trailing"], ["ddim", "leading"]]);

// methodOf finds the names of a sampler and a schedule, undefined where there
// is none such or the choice is left to the model ("Automatic"), by names or
// labels; older texts and clients write both in one, as "DPM++ 2M Karras".
export function methodOf({ samplers, schedules }, sampler, schedule) {
	const find = (list, text) => list.find(({ name, label }) => [name, label].some((n) => n.toLowerCase() === String(text).toLowerCase()))?.name;
	const findSchedule = (text) => find(schedules, text) ?? schedulesThere.get(String(text).toLowerCase());
	const [, first, second] = /^(.*) (\S+)$/.exec(sampler ?? "") ?? [];
	if (find(samplers, sampler) === undefined && find(schedules, second)) return { sampler: find(samplers, first), schedule: find(schedules, second) };
	return { sampler: find(samplers, sampler), schedule: findSchedule(schedule) };
}

const number = (text) => (text !== undefined && text !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined);
const compact = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
