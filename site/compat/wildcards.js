// Prompts that vary, as the Dynamic Prompts extension of AUTOMATIC1111 writes
// them (sd-dynamic-prompts, docs/SYNTAX.md): {red|blue} is one of them, {2$$a|b|c}
// two, {1-2$$ and $$a|b|c} one or two joined by " and ", {3::a|b} the first three
// times as often, __colours__ a line of the file colours.txt; # begins a comment
// line. They nest. A backslash before a bracket or a __ keeps it as it is.
import { maxDepth, maxPrompt, maxVaried } from "./limits.js";
import { brief, refuse } from "./refusal.js";

// plainly is what says a prompt as it stands.
export const plainly = (prompt) => prompt.replace(/[{}]|__/g, "\\$&");

// vary returns what a prompt says for a seed: always the same for the same. files
// are the lines of wildcard files by name.
export function vary(prompt, seed, files = new Map()) {
	const said = new Reader(prompt, { random: numbers(seed), files, left: maxVaried }).read();
	return said.length <= maxPrompt ? said : refuse(`the prompt becomes longer than ${maxPrompt} letters`);
}

// numbers is a stream of numbers from 0 to 1 from a seed (mulberry32).
function numbers(seed) {
	let state = (seed ^ Math.floor(seed / 2 ** 32)) | 0;
	return () => {
		state = state + 0x6d2b79f5 | 0;
		let t = Math.imul(state ^ state >>> 15, 1 | state);
		t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
		return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
	};
}

class Reader {
	constructor(text, shared, depth = 0) {
		Object.assign(this, { text, shared, depth, at: 0 });
		if (depth > maxDepth) refuse(`the prompt is nested deeper than ${maxDepth}`);
		this.spend(text.length);
	}

	spend(n) {
		if ((this.shared.left -= n) < 0) refuse("the prompt's wildcards take too much work");
	}

	read() {
		const said = this.until("");
		return said.length === 1 ? said[0] : refuse("the prompt has a } without its {");
	}

	// until reads to one of the marks and returns what each part between bars says.
	until(marks) {
		const parts = [""];
		const add = (text) => {
			parts[parts.length - 1] += text;
			if (parts.at(-1).length > maxPrompt) refuse(`the prompt becomes longer than ${maxPrompt} letters`);
		};
		while (this.at < this.text.length) {
			const c = this.text[this.at++];
			const name = c === "_" ? /^__([\w\-*/]{1,100}?)__/.exec(this.text.slice(this.at - 1, this.at + 104)) : null;
			if (c === "\\" && "{}|_".includes(this.text[this.at] ?? "-")) {
				const kept = this.text.startsWith("__", this.at) ? 2 : 1;
				add(this.text.slice(this.at, this.at += kept));
			}
			else if (c === "{") add(this.choice());
			else if (c === "}" && marks.includes("}")) return parts;
			else if (c === "|" && marks.includes("|")) parts.push("");
			else if (name) {
				this.at += name[0].length - 1;
				add(this.line(name[1]));
			} else add(c);
		}
		if (marks !== "") refuse("the prompt has a { without its }");
		return parts;
	}

	// choice reads what is in brackets. All of its parts are read, so that what
	// follows draws the same numbers whichever is taken.
	choice() {
		if (++this.depth > maxDepth) refuse(`the prompt is nested deeper than ${maxDepth}`);
		const [, few, many, joint] = /^(?:(\d{1,3})(?:-(\d{1,3}))?\$\$(?:([^{}|$]{0,20})\$\$)?)/.exec(this.text.slice(this.at, this.at + 40)) ?? [];
		if (few !== undefined) this.at = this.text.indexOf("$$", this.at) + 2 + (joint === undefined ? 0 : joint.length + 2);
		const left = this.until("|}").map(weighted);
		this.depth--;
		const from = few === undefined ? 1 : Number(few), to = many === undefined ? from : Number(many);
		const wanted = Math.min(left.length, Math.min(from, to) + Math.floor(this.shared.random() * (Math.abs(to - from) + 1)));
		const taken = [];
		while (taken.length < wanted) taken.push(...left.splice(pick(left, this.shared.random()), 1));
		return taken.map(({ text }) => text).join(joint ?? ", ");
	}

	// line is one of a wildcard file, whose own brackets count, too. With a star
	// it is of any file that matches.
	line(name) {
		const { files } = this.shared, parts = name.replace(/[-/]/g, "\\$&").split(/\*+/);
		if (parts.length > 3) refuse("a wildcard file's name has more than two stars"); // each multiplies what is tried
		const pattern = new RegExp(`^${parts.join("[^]{0,100}")}$`);
		const lines = parts.length > 1 ? [...files].filter(([file]) => pattern.test(file)).flatMap(([, l]) => l) : files.get(name);
		this.spend(lines?.length ?? 0);
		if (!lines?.length) refuse(`there is no wildcard file for __${brief(name)}__: drop ${brief(name)}.txt on the page`);
		const left = lines.map(weighted);
		return new Reader(left[pick(left, this.shared.random())].text, this.shared, this.depth + 1).read();
	}
}

// weighted takes the weight off "3::red".
function weighted(text) {
	const [, weight, rest] = /^\s{0,9}(\d{1,9}\.?\d{0,9})::([^]*)$/.exec(text) ?? [];
	return weight === undefined ? { weight: 1, text } : { weight: Number(weight), text: rest };
}

// pick is the place of one, by their weights.
function pick(left, number) {
	let at = number * left.reduce((sum, { weight }) => sum + weight, 0);
	const found = left.findIndex(({ weight }) => (at -= weight) < 0);
	return found < 0 ? left.length - 1 : found;
}

// linesOf reads a wildcard file.
export const linesOf = (text) => text.split(/\r\n?|\n/).map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
