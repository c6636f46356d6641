// The "parameters" text that AUTOMATIC1111 and Forge write into pictures, and
// Fooocus in its form "a1111": words, and a line of "key: value" pairs.
import { maxPairs } from "./limits.js";

// parseParameters reads the text: the prompt, "Negative prompt:" and what
// follows, a line of pairs that begins with "Steps:", and what lost cannot
// place. The work is linear in the text, whatever is in it.
export function parseParameters(text) {
	const lines = text.trim().split(/\r\n?|\n/);
	const { at: end, pairs } = settingsLine(lines);
	const after = lines.splice(end).slice(1).join("\n").trim();
	const at = lines.findIndex((line) => line.trimStart().startsWith("Negative prompt:"));
	const words = lines.slice(0, at < 0 ? undefined : at).join("\n").trim();
	const negativePrompt = at < 0 ? "" : lines.slice(at).join("\n").trimStart().slice("Negative prompt:".length).trim();
	return { prompt: words, negativePrompt, pairs, after };
}

// settingsLine finds the last line that is one of settings; without one, at is
// behind the last line.
function settingsLine(lines) {
	for (let at = lines.length - 1; at >= 0; at--) {
		if (at < lines.length - 1 && !/^\s{0,9}Steps: {0,9}\d/.test(lines[at])) continue; // the last may begin otherwise
		const pairs = readPairs(lines[at]);
		if (pairs.size >= 3) return { at, pairs };
	}
	return { at: lines.length, pairs: new Map() };
}

const inKey = /[\p{L}\p{N}_ \-/]/u;
const longestKey = 60;

// readPairs reads "key: value, key: value": a value ends at a comma, or is a
// JSON text in quotes.
export function readPairs(line) {
	const pairs = new Map();
	for (let i = 0, read = 0; read < maxPairs; ) {
		const colon = line.indexOf(":", i);
		if (colon < 0) break;
		const key = keyBefore(line, i, colon);
		i = colon + 1;
		if (key.length < 2) continue;
		const { value, next } = valueAt(line, i);
		pairs.set(key, value);
		i = next;
		if (++read === maxPairs && next < line.length) pairs.set("…", ""); // the rest is not read, and told so
	}
	return pairs;
}

// keyBefore is what stands before a colon, as far as it is a key.
function keyBefore(line, from, colon) {
	let start = colon;
	while (start > from && colon - start < longestKey && inKey.test(line[start - 1])) start--;
	return line.slice(start, colon).trim();
}

function valueAt(line, from) {
	let i = from;
	while (line[i] === " ") i++;
	if (line[i] === '"') {
		const end = closingQuote(line, i);
		if (end > i + 1 && (end + 1 === line.length || line[end + 1] === ",")) return { value: unquoted(line.slice(i, end + 1)), next: end + 2 };
	}
	const comma = line.indexOf(",", from);
	const end = comma < 0 ? line.length : comma;
	return { value: line.slice(from, end).trim(), next: end + 1 };
}

const longestValue = 1 << 16;

// closingQuote is -1 where there is none near enough.
function closingQuote(line, open) {
	for (let i = open + 1; i < Math.min(line.length, open + longestValue); i++) {
		if (line[i] === "\\") i++;
		else if (line[i] === '"') return i;
	}
	return -1;
}

function unquoted(value) {
	try {
		return JSON.parse(value);
	} catch {
		return value;
	}
}
