// The words that a model knows, as its wisp.json lists them: concepts, each
// {name, emoji, words, de}, its styles, and the names of styles in other
// languages. A model that lists none is taken to know everything.

// Words that stand between others, and mean nothing by themselves.
const small = new Set("a an the and or with without of in on at to from for by is are my your his her its our their one two three four five small little big large".split(" "));
const colours = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey", "gray"];

// The same in other languages, and the colours; articles are left out.
const others = {
	de: "rot red,orange orange,gelb yellow,grün green,blau blue,lila purple,violett purple,rosa pink,braun brown,schwarz black,weiß white,weiss white,grau gray,klein small,groß big,gross big,und and,oder or,mit with,ohne without,auf on,von of,ein ,der ,die ,das ,dem ,den ,des ",
};

// stem is a word without umlauts and what declines it, as in German.
const stem = (word) => word.normalize("NFD").replace(/\u0308/g, "").replace(/^(.{3,}?)(e?[mnrs]|e)+$/, "$1");

const lower = (text) => text.toLowerCase().normalize("NFC");
const split = (text) => lower(text).match(/[\p{L}\p{N}]+/gu) ?? [];
const plain = (emoji) => emoji.replace(/[\u{fe0f}\u{fe0e}\u{1f3fb}-\u{1f3ff}]/gu, ""); // without forms and skins
const pictogram = /\p{Extended_Pictographic}(?:[\u{fe0f}\u{fe0e}\u{1f3fb}-\u{1f3ff}]|\u{200d}\p{Extended_Pictographic})*/gu;

export class Words {
	#concepts = [];
	#names = {}; // of styles, by language
	#byEmoji = new Map();
	#stems = new Map(); // by language: the model's word by the stem of another
	#known = new Set([...small, ...colours]);

	constructor({ concepts, styles, names } = {}) {
		for (const c of Array.isArray(concepts) ? concepts.slice(0, 10_000) : []) {
			if (typeof c?.name !== "string") continue;
			const concept = { ...c, words: Array.isArray(c.words) ? c.words.filter((w) => typeof w === "string") : [] };
			this.#concepts.push(concept);
			if (typeof c.emoji === "string") this.#byEmoji.set(plain(c.emoji), c.name);
			for (const text of [c.name, ...concept.words]) for (const word of split(text)) this.#known.add(word);
		}
		for (const style of Array.isArray(styles) ? styles : []) for (const word of split(String(style))) this.#known.add(word);
		this.#names = Object(names);
	}

	// How many things the model knows; 0 where it does not say.
	get size() {
		return this.#concepts.length;
	}

	// name is what a concept, an example or a style of the model is called in a
	// language.
	name(text, language) {
		const own = Object(this.#names[language])[text] ?? this.#concepts.find((c) => c.name === text)?.[language];
		return typeof own === "string" && own ? own : text;
	}

	// translate makes a prompt of what was typed: emoji, and in another language
	// the names of concepts between commas, or else the words that are a concept
	// or a colour by themselves, become the model's own words.
	translate(prompt, language) {
		if (this.size === 0) return prompt;
		const words = prompt.replace(pictogram, (emoji) => (this.#byEmoji.has(plain(emoji)) ? ` ${this.#byEmoji.get(plain(emoji))} ` : emoji));
		const parts = (words === prompt ? prompt : words.replace(/ +/g, " ").trim()).split(",");
		return parts.map((part) => {
			const own = lower(part.trim());
			const found = own && this.#concepts.find((c) => typeof c[language] === "string" && lower(c[language]) === own);
			if (!found) return this.#byWords(part, language);
			return this.#concepts.some((c) => c.name === own) ? part : part.replace(part.trim(), () => found.name);
		}).join(",");
	}

	// #byWords replaces the words of another language, however they are declined:
	// all of them, but for articles, by a concept, or each by its own.
	#byWords(part, language) {
		if (!others[language]) return part;
		if (!this.#stems.has(language)) {
			const pairs = [...this.#concepts.map((c) => [String(c[language]), c.name]), ...others[language].split(",").map((pair) => pair.split(" "))];
			this.#stems.set(language, new Map(pairs.map(([words, own]) => [split(words).map(stem).join(" "), own])));
		}
		const stems = this.#stems.get(language);
		const own = (word) => stems.get(stem(lower(word)));
		const whole = stems.get(split(part).filter((word) => own(word) !== "").map(stem).join(" "));
		const words = whole ?? part.replace(/\p{L}+/gu, (word) => (own(word) && this.#known.has(lower(word)) ? word : own(word) ?? word)); // "die" is an article here
		return words === part ? part : part.match(/^\s*/)[0] + words.replace(/ +/g, " ").trim() + part.match(/\s*$/)[0];
	}

	// complete returns what the end of a prompt may become: {label, text}, text
	// being the whole prompt.
	complete(prompt, language, most = 5) {
		const typed = /(?:^|,|\band\b|\bund\b)\s*([^,]*)$/iu.exec(prompt)?.[1] ?? "";
		const begun = lower(typed);
		if (begun.length < 2) return [];
		const before = prompt.slice(0, prompt.length - typed.length);
		const ranked = [];
		for (const c of this.#concepts) {
			const name = this.name(c.name, language);
			const names = [name, c.name].map(lower);
			if (names.includes(begun)) return [];
			if (names.some((n) => n.startsWith(begun))) ranked.push([0, c, name]);
			else if (names.some((n) => n.includes(` ${begun}`))) ranked.push([1, c, name]);
			else if (c.words.some((w) => lower(w).startsWith(begun))) ranked.push([2, c, name]);
		}
		return ranked.sort((a, b) => a[0] - b[0] || a[2].length - b[2].length).slice(0, most)
			.map(([, c, name]) => ({ label: `${c.emoji ?? ""} ${name}`.trim(), text: before + name }));
	}

	// unknown lists the words of a prompt that the model does not know, with the
	// concepts that are nearest: {word, nearest: [{label, text}]}.
	unknown(prompt, language, most = 4) {
		if (this.size === 0) return [];
		const translated = this.translate(prompt, language);
		const strange = [...split(translated), ...(translated.match(pictogram) ?? [])];
		return [...new Set(strange)].filter((word) => !/^\d+$/.test(word) && !this.#knows(word)).slice(0, 8)
			.map((word) => ({ word, nearest: this.#nearest(word, language, most).map((c) => ({ label: `${c.emoji ?? ""} ${this.name(c.name, language)}`.trim(), text: this.name(c.name, language) })) }));
	}

	#knows(word) {
		return [word, word.replace(/e?s$/, ""), word.replace(/ies$/, "y"), `${word}s`].some((w) => this.#known.has(w));
	}

	#nearest(word, language, most) {
		const ranked = [];
		for (const c of this.#concepts) {
			const own = split(this.name(c.name, language));
			const far = Math.min(...[...own, ...split(c.name), ...c.words.flatMap(split)].map((w) => distance(word, w) + (own.includes(w) ? 0 : 0.25)));
			if (far <= Math.max(1, word.length / 3)) ranked.push([far, c]);
		}
		return ranked.sort((a, b) => a[0] - b[0] || a[1].name.length - b[1].name.length).slice(0, most).map(([, c]) => c);
	}
}

// distance is how many letters are to be added, taken away or changed to make
// one word the other; less where one begins with the other.
function distance(a, b) {
	if (a.length > 3 && b.length > 3 && (a.startsWith(b) || b.startsWith(a))) return 0.5;
	if (Math.abs(a.length - b.length) > 4 || a.length > 24) return Infinity;
	let row = Array.from({ length: b.length + 1 }, (_, i) => i);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
		row = next;
	}
	return row[b.length];
}
