// What the page tells beside its inputs: below the prompt, what the words may
// become and which of them the model does not know; below the settings, what is
// best for it.
import { language, t } from "./language.js";
import { $, create } from "./ui.js";
import { Words } from "./words.js";

let words = new Words();

// learn takes the words of a model's settings.
export function learn(settings) {
	words = new Words(settings);
	$("hints").hidden = words.size === 0;
	hint();
	advise(settings);
}

// translate makes a prompt of what was typed; see words.js.
export const translate = (prompt) => words.translate(prompt, language());

// named is what an example or a style of the model is called here.
export const named = (text) => words.name(text, language());

const prompt = $("prompt");
const chip = ({ label, text }, use) => {
	const button = create("button", { type: "button", textContent: label });
	button.addEventListener("click", () => {
		prompt.value = use(text);
		prompt.dispatchEvent(new Event("input", { bubbles: true }));
		prompt.focus();
	});
	return button;
};

// hint tells what there is to tell of the prompt as it is; of its last word only
// when it is done.
export function hint(done = true) {
	const typed = prompt.value;
	const completions = words.complete(typed, language());
	const strange = completions.length > 0 ? [] : words.unknown(done ? typed : typed.replace(/[^\s,]+$/, ""), language());
	const chips = completions.map((c) => chip(c, (text) => text));
	for (const { word, nearest } of strange) chips.push(...nearest.map((c) => chip(c, (text) => replaced(prompt.value, word, text))));
	$("suggested").replaceChildren(...chips.slice(0, 6));
	$("hint").textContent = strange.length > 0
		? t(chips.length > 0 ? "unknownNear" : "unknown", { words: strange.map(({ word }) => t("quoted", { word })).join(", ") })
		: typed.trim() === "" && words.size > 0 ? t("knows", { count: words.size }) : "";
}

// replaced is a prompt with a word in another's place, in whatever case.
function replaced(typed, word, text) {
	const at = typed.toLowerCase().indexOf(word);
	return at < 0 ? text : typed.slice(0, at) + text + typed.slice(at + word.length);
}

let timers = [];
prompt.addEventListener("input", (event) => {
	for (const timer of timers) clearTimeout(timer);
	if (!event.isComposing) timers = [setTimeout(hint, 150, false), setTimeout(hint, 900)];
});

// Beside the settings: what is best for the model, and what has no effect.
let best = {};

// advise takes what a model's settings call best: [from, to] by name.
function advise(settings) {
	best = Object(settings.best);
	check();
}

function check() {
	$("negative-off").hidden = Number($("guidance").value) > 1;
	for (const [note, names] of Object.entries({ "steps-best": ["steps"], "guidance-best": ["guidance"], "size-best": ["width", "height"] })) {
		const [from, to] = Array.isArray(best[names[0]]) ? best[names[0]].map(Number) : [NaN, NaN];
		$(note).hidden = !(from <= to);
		$(note).textContent = from === to ? t("bestAt", { from }) : t("bestFrom", { from, to });
		$(note).classList.toggle("beyond", names.some((name) => Number($(name).value) < from || Number($(name).value) > to));
	}
}

for (const name of ["steps", "guidance", "width", "height"]) $(name).addEventListener("input", check);
