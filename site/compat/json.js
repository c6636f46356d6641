// JSON from outside, and what Python writes for it: NaN and Infinity, which
// become null, and whole numbers of more than 15 digits, which JSON.parse would
// round: they become texts, digit for digit.
import { maxDepth } from "./limits.js";
import { refuse } from "./refusal.js";

// parseJSON reads a text, in one pass beside JSON.parse's own. what names it in
// the errors. Deeper nesting than maxDepth is refused before it is followed.
export function parseJSON(text, what) {
	try {
		return JSON.parse(plain(text, what));
	} catch (err) {
		if (err.code) throw err;
		refuse(`${what} is not JSON`);
	}
}

// plain replaces what JSON.parse cannot read, or not exactly.
function plain(text, what) {
	const parts = [];
	let kept = 0, depth = 0;
	const replace = (from, to, by) => {
		parts.push(text.slice(kept, from), by);
		kept = to;
	};
	for (let i = 0; i < text.length; i++) {
		const c = text[i];
		if (c === '"') i = endOfString(text, i);
		else if (c === "{" || c === "[") {
			if (++depth > maxDepth) refuse(`${what} is nested deeper than ${maxDepth}`);
		} else if (c === "}" || c === "]") depth--;
		else if (isDigit(c)) {
			const end = endOfNumber(text, i);
			const whole = text.slice(i, end);
			if (end - i > 15 && !/[.eE+-]/.test(whole)) replace(i - (text[i - 1] === "-" ? 1 : 0), end, `"${text[i - 1] === "-" ? "-" : ""}${whole}"`);
			i = end - 1;
		} else if (c === "N" || c === "I") {
			const word = c === "N" ? "NaN" : "Infinity";
			if (!text.startsWith(word, i)) continue;
			replace(i - (text[i - 1] === "-" ? 1 : 0), i + word.length, "null");
			i += word.length - 1;
		}
	}
	return parts.join("") + text.slice(kept);
}

const isDigit = (c) => c >= "0" && c <= "9";

function endOfNumber(text, i) {
	while (i < text.length && (isDigit(text[i]) || ".eE+-".includes(text[i]))) i++;
	return i;
}

// endOfString is the place of the quote that ends the string.
function endOfString(text, i) {
	for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === "\\") i++;
	return i;
}

// isObject tells an object from an array and null.
export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
