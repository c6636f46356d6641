// What the tools beside the prompt are made of.
import { $, create, sentence, showError, t, translate } from "./ui.js";

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

export const percent = (n) => `${Math.round(100 * n)} %`;

// slide sets a slider of a part of the page, by its name, and shows its share; changed
// hears of others. It returns what sets it again.
export function slide(box, name, value, changed) {
	const input = box.querySelector(`input[data-do=${name}]`), output = input.previousElementSibling;
	const show = () => (output.textContent = percent(input.valueAsNumber));
	const set = (value) => {
		input.value = value;
		show();
	};
	input.addEventListener("input", () => {
		show();
		changed(input.valueAsNumber);
	});
	set(value);
	return set;
}

// does has the buttons of a part of the page do something, by their names.
export function does(box, table) {
	for (const [name, f] of Object.entries(table)) box.querySelector(`[data-do=${name}]`).addEventListener("click", f);
}

// fromPage is a copy of a template of the page, in its language.
export function fromPage(id) {
	const copy = $(id).content.cloneNode(true);
	translate(copy);
	return copy.firstElementChild;
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
