// What the parts of the page share: elements by id, and the places where the
// page says how far it is and what went wrong.
import { t } from "./strings.js";

export const $ = (id) => document.getElementById(id);

// create makes an element with properties and children; never from markup.
export function create(tag, properties = {}, ...children) {
	const element = Object.assign(document.createElement(tag), properties);
	element.append(...children);
	return element;
}

export const megabytes = (n) => (n / 1e6).toFixed(1);
export const duration = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
export const capital = (s) => s.charAt(0).toUpperCase() + s.slice(1);

// sentence makes a message of a program one for people.
export const sentence = (message) => `${capital(message)}${/[.)!?]$/.test(message) ? "" : "."}`;

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

// showNotice tells something; undo, where given, is offered beside it.
export function showNotice(text, undo) {
	$("told").hidden = !text;
	$("notice").textContent = text ?? "";
	$("undo").hidden = !undo;
	$("undo").onclick = () => {
		showNotice(null);
		undo();
	};
}

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

export { t };
