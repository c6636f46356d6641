// What the tools beside the prompt are made of.
import { $, create, sentence, showError, t, translate } from "./ui.js";

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

// Drawings that several tools have.
export const paths = {
	off: "M6 6l12 12M18 6 6 18",
	clear: "M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7",
};

// choose asks for a file, or several; use gets the list.
export function choose(accept, use, multiple = false) {
	const input = create("input", { type: "file", accept, multiple });
	input.addEventListener("change", () => Promise.resolve(use([...input.files])).catch(showError));
	input.click();
}

// scaled covers a size with a picture, in its middle, or stretches it.
export function scaled(picture, { width, height }, crop) {
	const canvas = new OffscreenCanvas(width, height);
	const c = canvas.getContext("2d", { willReadFrequently: true });
	const factor = Math.max(width / picture.width, height / picture.height);
	const w = crop ? picture.width * factor : width, h = crop ? picture.height * factor : height;
	c.imageSmoothingQuality = "high";
	c.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
	return c.getImageData(0, 0, width, height);
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

// fromPage is a copy of a template of the page, in its language.
export function fromPage(id) {
	const copy = $(id).content.cloneNode(true).firstElementChild;
	translate(copy);
	return copy;
}

// opened is a dialog of the page's templates, which goes when it is closed; done is
// called then.
export function opened(id, done) {
	const box = fromPage(id);
	box.querySelector("[data-do=close]").addEventListener("click", () => box.close());
	box.addEventListener("close", () => {
		box.remove();
		done?.();
	});
	document.body.append(box);
	box.showModal();
	return box;
}

// works has a dialog's button start what takes a while, and end it, with a bar;
// run(signal, told, bar) does it and returns what to tell. It returns what ends it.
export function works(box, run) {
	const go = box.querySelector("[data-do=go]"), bar = box.querySelector("progress"), told = box.querySelector("[role=status]"), text = go.dataset.t;
	let mine = null;
	const label = (name) => {
		go.dataset.t = name;
		go.textContent = t(name);
	};
	go.addEventListener("click", async () => {
		if (mine) return mine.abort();
		mine = new AbortController();
		label("cancel");
		bar.hidden = false;
		const cancelled = (err) => (mine.signal.aborted || err?.code === "aborted" ? t("cancelled") : undefined);
		try {
			const done = await run(mine.signal, told, bar);
			told.textContent = cancelled() ?? done;
		} catch (err) {
			told.textContent = cancelled(err) ?? sentence(err.message);
		} finally {
			mine = null;
			label(text);
			bar.hidden = true;
		}
	});
	box.addEventListener("close", () => mine?.abort());
	return told;
}
