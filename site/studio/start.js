// The picture that drawing begins with: its card below the prompt, how much of it
// may change, the part that is painted over, what is added around it.
import { compare } from "./compare.js";
import { edit } from "./editor.js";
import { bitmapOf } from "./photo.js";
import { does, fromPage, scaled, slide } from "./parts.js";
import { $, create } from "./ui.js";

const ownStrength = 0.6;
const largest = 2048; // pixels of a side that are kept of a picture

let host = null;
let start = null; // {bitmap, mask, outpaint, strength, crop, card, slide}

export function install(page) {
	host = page;
}

export const current = () => start;

// begin shows a file, or a picture of the page, as what drawing begins with.
export async function begin(file, name, { strength = ownStrength, mask = null, channel = "red", inverted = false, outpaint = null, crop = true } = {}) {
	const bitmap = await reduced(await bitmapOf(file, name));
	end();
	start = { bitmap, mask: mask && await paintedOf(mask, bitmap, ["red", "green", "blue", "alpha"].indexOf(channel), inverted), outpaint, strength, crop, card: null };
	start.card = card();
	$("studio").prepend(start.card);
	show();
}

// end draws from nothing again.
export function end() {
	if (!start) return;
	start.card.remove(); // its bitmap may still be on the way into the history
	start = null;
}

// reduced is a bitmap that is no larger than anybody draws.
async function reduced(bitmap) {
	const factor = largest / Math.max(bitmap.width, bitmap.height);
	if (factor >= 1) return bitmap;
	const size = (n) => Math.max(1, Math.round(n * factor));
	const smaller = await createImageBitmap(bitmap, { resizeWidth: size(bitmap.width), resizeHeight: size(bitmap.height), resizeQuality: "high" });
	bitmap.close();
	return smaller;
}

// paintedOf makes of a mask's file, of which a channel tells where it counts, what a
// Brush paints on.
async function paintedOf(file, { width, height }, channel, inverted) {
	const mask = await bitmapOf(file, "mask");
	const canvas = create("canvas", { width, height });
	const c = canvas.getContext("2d", { willReadFrequently: true });
	c.drawImage(mask, 0, 0, width, height);
	mask.close();
	const pixels = c.getImageData(0, 0, width, height);
	for (let i = 0; i < pixels.data.length; i += 4) {
		pixels.data[i + 3] = inverted ? 255 - pixels.data[i + channel] : pixels.data[i + channel];
		pixels.data.set([97, 102, 255], i);
	}
	c.putImageData(pixels, 0, 0);
	return canvas;
}

function card() {
	const box = fromPage("start-card");
	start.slide = slide(box, "strength", start.strength, (value) => {
		start.strength = value;
		host.changed(250);
	});
	does(box, {
		off() {
			end();
			host.changed(0);
			$("prompt").focus();
		},
		paint: open,
		against: async () => compare((await kept()()).start),
	});
	return box;
}

// open paints over the picture, or makes it larger.
function open() {
	const fields = host.generator()?.fields;
	const step = fields?.multiple ?? 8;
	edit({ ...start, outpaint: start.outpaint ?? {} }, { step, most: Math.min(fields?.largest || largest, largest) }, ({ mask, outpaint }) => {
		if (!start) return;
		Object.assign(start, { mask, outpaint });
		show();
		host.changed(0);
	});
}

// refers tells that the model reads the picture beside the words, which say what to
// make of it.
const refers = () => host.generator()?.fields.references === true && !start.mask && !start.outpaint;

// show paints the card's small picture, with what is painted over.
function show() {
	const { bitmap, mask, outpaint } = start;
	start.card.querySelector(".slide").hidden = refers();
	const { left = 0, top = 0, right = 0, bottom = 0 } = outpaint ?? {};
	const width = bitmap.width + left + right, height = bitmap.height + top + bottom;
	const factor = Math.min(1, 240 / Math.max(width, height));
	const canvas = start.card.querySelector(".look");
	canvas.width = Math.max(1, Math.round(width * factor));
	canvas.height = Math.max(1, Math.round(height * factor));
	const c = canvas.getContext("2d");
	c.scale(factor, factor);
	c.fillStyle = "rgb(97 102 255 / .35)";
	if (outpaint) c.fillRect(0, 0, width, height);
	c.imageSmoothingQuality = "high";
	c.drawImage(bitmap, left, top);
	c.globalAlpha = 0.6;
	if (mask) c.drawImage(mask, left, top);
}

// request is what a request says of it, for a picture of about width × height
// pixels and so many steps, which the form has. At least one step is walked.
export function request({ width, height, steps }) {
	if (!start) return {};
	const { fields } = host.generator() ?? { fields: { multiple: 8, largest: 0 } };
	if (start.strength * steps < 1) {
		start.strength = Math.ceil(20 / steps) / 20;
		start.slide(start.strength);
	}
	const { bitmap, mask, outpaint, strength, crop } = start;
	const added = outpaint ?? { left: 0, top: 0, right: 0, bottom: 0 };
	const full = { width: bitmap.width + added.left + added.right, height: bitmap.height + added.top + added.bottom };
	const factor = outpaint ? 1 : Math.sqrt(width * height / (full.width * full.height));
	const size = (n) => Math.min(fields.largest || largest, Math.max(fields.multiple, Math.round(n * factor / fields.multiple) * fields.multiple));
	const inner = outpaint ? { width: size(bitmap.width), height: size(bitmap.height) } : { width: size(full.width), height: size(full.height) };
	if (refers()) return { references: [bitmap] }; // it is told what to make of it
	return {
		width: inner.width + added.left + added.right, height: inner.height + added.top + added.bottom,
		image: scaled(bitmap, inner, crop), strength,
		...(mask && { mask: whitened(scaled(mask, inner, crop)) }),
		...(outpaint && { outpaint }),
	};
}

// whitened makes a mask of what is painted: white there, black elsewhere.
function whitened(pixels) {
	const { data } = pixels;
	for (let i = 0; i < data.length; i += 4) data.fill(data[i + 3], i, i + 3).fill(255, i + 3, i + 4);
	return pixels;
}

// kept returns what makes what the history keeps of it as it is now.
export function kept() {
	if (!start) return undefined;
	const { bitmap, mask, outpaint } = start;
	const blob = (picture, white) => {
		const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
		const c = canvas.getContext("2d");
		c.drawImage(picture, 0, 0);
		if (white) c.putImageData(whitened(c.getImageData(0, 0, bitmap.width, bitmap.height)), 0, 0);
		return canvas.convertToBlob({ type: "image/png" });
	};
	return async () => ({ start: await blob(bitmap), ...(mask && { mask: await blob(mask, true) }), ...(outpaint && { outpaint }) });
}
