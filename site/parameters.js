// Settings out of the "parameters" text that AUTOMATIC1111 writes into PNG files.

// parseParameters reads AUTOMATIC1111's text: the prompt, "Negative prompt:"
// and what follows, and a last line of "key: value" pairs. Settings that are
// not there are left out.
export function parseParameters(text) {
	const lines = text.trim().split("\n");
	let pairs = readPairs(lines.at(-1));
	if (pairs.size < 3) pairs = new Map(); // the last line belongs to the prompt
	else lines.pop();
	const at = lines.findIndex((line) => line.trimStart().startsWith("Negative prompt:"));
	const prompt = lines.slice(0, at < 0 ? undefined : at).join("\n").trim();
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
	});
}

function readPairs(line) {
	const pairs = new Map();
	for (const [, key, value] of line.matchAll(/\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g)) {
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

const number = (text) => (text !== undefined && text !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined);
const compact = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
