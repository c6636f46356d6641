// What the tools beside the prompt are made of.
import { create, press, t } from "./ui.js";

// named is an element that says a text of strings.js in whatever language.
export function named(tag, text, properties = {}, ...children) {
	const element = create(tag, { textContent: t(text), ...properties }, ...children);
	element.dataset.t = text;
	return element;
}

// about gives an element a name that is only read out.
export function about(element, text, title = false) {
	element.setAttribute("aria-label", t(text));
	element.dataset.tAriaLabel = text;
	if (title) {
		element.title = t(text);
		element.dataset.tTitle = text;
	}
	return element;
}

export function pill(text, onclick, className = "pill") {
	return named("button", text, { type: "button", className, onclick });
}

// icon is a button with a drawing, an SVG path in a square of 24.
export function icon(path, text, onclick) {
	const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
	svg.setAttribute("viewBox", "0 0 24 24");
	svg.setAttribute("aria-hidden", "true");
	const line = document.createElementNS(svg.namespaceURI, "path");
	line.setAttribute("d", path);
	svg.append(line);
	return about(create("button", { type: "button", className: "icon", onclick }, svg), text, true);
}

// toggle is an icon that is pressed or not; changed hears of it.
export function toggle(path, text, on, changed) {
	const button = icon(path, text, () => changed(button.getAttribute("aria-pressed") !== "true"));
	press(button, on);
	return button;
}

let last = 0;

// slider is a setting with a number that is moved: {box, input}; shown says how
// the number reads.
export function slider(text, { min, max, step, value, shown = String, changed }) {
	const id = `studio-${++last}`;
	const input = create("input", { type: "range", id, min, max, step, value });
	const output = create("output", { textContent: shown(value) });
	output.htmlFor = id;
	const show = () => (output.textContent = shown(input.valueAsNumber));
	input.addEventListener("input", () => {
		show();
		changed(input.valueAsNumber);
	});
	const set = (value) => {
		input.value = value;
		show();
	};
	return { box: create("div", { className: "slide" }, named("label", text, { htmlFor: id }), output, input), input, set };
}

export const percent = (n) => `${Math.round(100 * n)} %`;

// choice is a setting with a list, [value, label] each: {box, select}.
export function choice(text, options, value, changed) {
	const id = `studio-${++last}`;
	const select = create("select", { id }, ...options.map(([value, label]) => new Option(label, value)));
	select.value = value;
	select.addEventListener("change", () => changed(select.value));
	return { box: create("div", { className: "pick" }, named("label", text, { htmlFor: id }), select), select };
}

// dialogOf opens a dialog with a title and a button that closes it, and takes it
// away when it is closed; done is called then.
export function dialogOf(title, className, close, done, ...children) {
	const id = `studio-${++last}`;
	const box = create("dialog", { className });
	const end = pill(close, () => box.close(), "pill strong");
	box.append(create("div", { className: "bar" }, named("h2", title, { id }), end), ...children);
	box.setAttribute("aria-labelledby", id);
	box.addEventListener("close", () => {
		box.remove();
		done?.();
	});
	document.body.append(box);
	box.showModal();
	return box;
}
