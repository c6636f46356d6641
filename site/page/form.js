// The form: what it holds, what is put into it, and the request that it makes.
import { plain, reads } from "./controls.js";
import { draw } from "./draw.js";
import { hint, named, translate } from "./hints.js";
import * as easel from "./picture.js";
import * as session from "./session.js";
import { generator } from "./session.js";
import { studio } from "./tools.js";
import { $, capital, create, press, pressed, t } from "./ui.js";
import { WispError } from "./wisp.js";

export const form = $("form"), prompt = $("prompt"), seed = $("seed"), lock = $("lock");
export const touched = new Set(); // the settings that the visitor chose: the others follow the model

export const texts = (list) => (Array.isArray(list) ? list.filter((s) => typeof s === "string").slice(0, 24) : []);

const brief = (style) => style.replace(/ style$/, "").replace(/^3d\b/, "3D");

export function fillStyles(styles) {
	const before = chosenStyle();
	const box = $("styles");
	for (const old of box.querySelectorAll("label")) old.remove();
	for (const style of ["", ...styles]) {
		const radio = create("input", { type: "radio", name: "style", value: style, checked: style === (styles.includes(before) ? before : "") });
		box.append(create("label", {}, radio, create("span", { textContent: style === "" ? t("anyStyle") : capital(brief(named(style))) })));
	}
	box.hidden = styles.length === 0;
}

const chosenStyle = () => new FormData(form).get("style") ?? "";
export const radios = () => [...form.querySelectorAll("[name=style]")];

export function fillExamples(examples) {
	const box = $("examples");
	for (const old of box.querySelectorAll("button")) old.remove();
	for (const text of examples.slice(0, 6)) {
		const button = create("button", { type: "button", textContent: named(text).replace(/ style$/, "") });
		button.addEventListener("click", () => {
			setPrompt(named(text));
			draw({ fresh: true });
		});
		box.append(button);
	}
	prompt.placeholder = examples.length > 0 ? t("example", { text: named(examples[0]) }) : "";
}

// setPrompt puts words into the form; a style at their end goes to the chips.
export function setPrompt(text) {
	const radio = radios().find((r) => r.value && text.endsWith(`, ${r.value}`));
	prompt.value = radio ? text.slice(0, -radio.value.length - 2) : text;
	const chip = radio ?? radios()[0];
	if (chip) chip.checked = true;
	hint();
	count();
}

// count tells how long the words are to the model that reads so many.
let counting = 0;
export async function count() {
	const mine = ++counting, text = [translate(prompt.value.trim()), chosenStyle()].filter(Boolean).join(", ");
	const { tokens = 0, limit = 0 } = prompt.value.trim() && await generator?.countTokens(text, $("promptSyntax").value || undefined).catch(() => {}) || {};
	if (mine !== counting) return;
	$("tokens").textContent = limit ? `${tokens} / ${limit}` : "";
	$("tokens").classList.toggle("beyond", tokens > limit);
}

// The settings that are inputs of the same id, and how they read.
export const inputs = { secondPrompt: String, promptSyntax: String, clipSkip: Number, class: Number, steps: Number, guidance: Number, sampler: String, schedule: String, width: Number, height: Number, count: Number };

export const formSize = () => Object.fromEntries(["width", "height", "steps"].map((name) => [name, Number($(name).value)]));

// append adds words to the prompt.
export function append(word) {
	prompt.value = [prompt.value.trim().replace(/,$/, ""), word].filter(Boolean).join(", ");
	prompt.dispatchEvent(new Event("input", { bubbles: true }));
}

// setForm shows settings in the form, those of them that wanted says.
export function setForm(settings, wanted = () => true) {
	for (const name of Object.keys(inputs)) {
		if (settings[name] === undefined || !wanted(name)) continue;
		const input = $(name);
		const value = String(settings[name]);
		if (input.tagName === "SELECT" && ![...input.options].some((o) => o.value === value)) input.add(new Option(value, value));
		if (input.type === "range") input.max = Math.max(input.max, settings[name]);
		input.value = value;
		showRange(input);
	}
}

export function showRange(input) {
	if (input.type === "range") $(`${input.id}-value`).textContent = input.value;
}

// modelsOwn is what the form holds where nobody chose anything.
export const modelsOwn = () => ({ count: 1, negativePrompt: "", ...plain, ...generator?.defaults, sampler: generator?.samplers[0]?.name });

// Settings that came with a picture and have no place in the form: they are shown,
// and count until they are taken away.
const further = "guidanceRescale guidanceStart guidanceEnd guidanceMethod skipLayers reuse sourcePrompt kept eta churn upscaleBy upscaler upscaleSteps upscaleStrength".split(" ");
let extras = {};

function showExtras() {
	const list = Object.entries(extras).map(([name, value]) => `${name} ${value}`);
	$("extras").hidden = list.length === 0;
	$("extras-list").textContent = list.join(", ");
}

export function clearExtras() {
	extras = {};
	showExtras();
}

// restore puts the settings of a picture back into the form, seed included: the
// next picture has it, and Generate then rolls a new one. What they leave out is
// the model's own, never what the form had.
export function restore(settings) {
	studio?.end();
	free = false;
	const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
	for (const name of Object.keys(inputs)) {
		if (given[name] === undefined) touched.delete(name);
		else touched.add(name);
	}
	const all = { prompt: "", ...modelsOwn(), ...given };
	setForm(all);
	setPrompt(all.prompt.replace(/[{}]|__/g, "\\$&")); // which is to be said as it stands
	$("negative").value = all.negativePrompt;
	extras = Object.fromEntries(further.filter((name) => ![undefined, "", 0].includes(given[name])).map((name) => [name, given[name]]));
	showExtras();
	seed.value = all.seed ?? "";
	press(lock, all.seed !== undefined && !session.started());
}

// needsWords tells whether the model draws nothing without; of the default one
// that is known before it is there.
export const needsWords = () => (generator ? generator.fields.prompt && generator.fields.classes === 0 : session.chosenModel() === undefined);

// The seed chooses the style, where the visitor left it open, of another picture and
// of several: those of a model that was distilled to few steps would look alike.
let free = false;
export const countChosen = () => { free = $("count").value > 1; };
const looks = () => (chosenStyle() ? [""] : ["", ...texts(generator?.settings.anyStyle)]);
const look = (words, seed) => (texts(generator?.settings.styles).some((style) => words.includes(style)) ? "" : looks()[seed % looks().length]);
export const anySeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
const varies = (words) => /[{}]|__/.test(words);

// requests are one, or as many as pictures where each has words of its own: settings
// tell them, so that each can be drawn again.
export async function requests({ other, ...options }) {
	const count = options.count ?? Number($("count").value);
	if (options.fresh) free = other || count > 1;
	const next = (more) => request({ ...options, ...more, open: free });
	let one = await next();
	for (let n = 0; other && n < 9 && one.prompt === easel.current()?.settings.prompt; n++) one = await next();
	if (count < 2 || !(free && looks().length > 1 || varies(prompt.value))) return [one];
	return Promise.all(Array.from({ length: count }, (_, i) => next({ count: 1, given: one.seed + i })));
}

// request reads the form, as far as the model does. fresh rolls a new seed unless one is kept; otherwise
// the one that is shown is used again.
export async function request({ fresh = false, count, given, open, words: typedWords = prompt.value } = {}) {
	if (typedWords.trim() === "" && needsWords()) throw new WispError("bad-request", "the prompt is empty: say what to draw");
	const typed = seed.value.trim();
	const keep = typed !== "" && (pressed(lock) || !fresh);
	if (keep && !(/^\d{1,16}$/.test(typed) && Number.isSafeInteger(Number(typed)))) throw new WispError("bad-request", t("badSeed"));
	let drawn = given ?? (keep ? Number(typed) : undefined);
	let words = typedWords.trim();
	if (varies(words)) {
		const { vary } = await import("./compat.js");
		words = vary(words, drawn ??= anySeed(), studio?.wildcards);
	}
	words = translate(words);
	const style = chosenStyle() || open && look(words, drawn ??= anySeed());
	const read = Object.entries(inputs).map(([name, kind]) => [name, !reads(name) || $(name).value === "" ? undefined : kind($(name).value)]);
	return {
		...Object.fromEntries(read),
		...extras,
		...await studio?.request(formSize()),
		...(count && { count }),
		prompt: style && words ? `${words}, ${style}` : words,
		negativePrompt: reads("negative") ? $("negative").value.trim() : "",
		seed: drawn,
	};
}
