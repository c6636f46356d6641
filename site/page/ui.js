// What the parts of the page share: elements by id, and the places where the
// page says how far it is and what went wrong.
import { language, sentence, t } from "./language.js";

export const $ = (id) => document.getElementById(id);

// create makes an element with properties and children; never from markup.
export function create(tag, properties = {}, ...children) {
	const element = Object.assign(document.createElement(tag), properties);
	element.append(...children);
	return element;
}

// number with at most so many decimals, as the page's language writes it.
const number = (n, decimals) => new Intl.NumberFormat(language(), { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).format(n);
const short = (n, unit) => `${number(n, n < 100 ? 1 : 0)} ${unit}`;

export const bytes = (n) => (n < 1e9 ? short(n / 1e6, "MB") : short(n / 1e9, "GB"));
export const duration = (ms) => (ms < 1000 ? `${number(ms, 0)} ms` : short(ms / 1000, "s"));

// place is what a backend runs on, as in "on the processor".
export const place = (backend) => t(`on${capital(backend)}`);
export const capital = (s) => s.charAt(0).toUpperCase() + s.slice(1);

// work shows what is being done and how far it is; null ends it.
export function work(text, loaded, total) {
	$("work").hidden = text === null;
	if (text === null) return;
	$("doing").textContent = text;
	const bar = $("bar");
	if (total > 0) bar.value = loaded / total;
	else bar.removeAttribute("value");
}

// say speaks to screen readers: only what matters, never every step.
export function say(text) {
	$("spoken").textContent = text;
}

export function showError(err) {
	const box = $("error");
	box.hidden = !err;
	if (!err) return;
	box.textContent = sentence(err.message ?? String(err));
	box.dataset.code = err.code ?? "internal";
	console.info("wisp:", err);
}

// showNotice tells something, wherever on the page the visitor is. It stays
// until the next picture where it matters for longer (stays), or where it
// offers to undo something; else it goes after a while.
export function showNotice(text, { undo, stays = Boolean(undo) } = {}) {
	clearTimeout(leaving);
	$("told").hidden = !text;
	$("notice").textContent = text ?? "";
	$("undo").hidden = !undo;
	$("undo").onclick = () => {
		showNotice(null);
		undo();
	};
	if (!text) return;
	say(text);
	if (!stays) leave();
}

let leaving = 0; // a timer
const patience = 6000; // milliseconds

function leave() {
	leaving = setTimeout(() => ($("told").matches(":hover, :focus-within") ? leave() : showNotice(null)), patience);
}

$("dismiss")?.addEventListener("click", () => showNotice(null)); // not on the page about privacy

// press sets a toggle button.
export const press = (button, on) => button.setAttribute("aria-pressed", String(on));
export const pressed = (button) => button.getAttribute("aria-pressed") === "true";

export function download(blob, name) {
	const url = URL.createObjectURL(blob);
	create("a", { href: url, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// fileName of a picture.
export function fileName({ prompt, seed }) {
	const words = prompt.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "wisp";
	return `${words}-${seed}.png`;
}

// Dialogs close by their button; Escape is the browser's.
export function dialog(name, onOpen) {
	const box = $(name);
	box.querySelector("[data-close]").addEventListener("click", () => box.close());
	$(`open-${name}`).addEventListener("click", () => {
		box.showModal();
		onOpen();
	});
	return box;
}

// fill puts options into a select, [value, label] each, and keeps the choice.
export function fill(select, options) {
	const before = select.value;
	select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
	if (options.some(([value]) => value === before)) select.value = before;
}

export * from "./language.js";
export * from "./memory.js";
