// A picture from outside as pixels: of a file, turned as its EXIF says, or of what
// a page has in memory. What is too large is refused before it is decoded; the
// browser decodes beside the page.
import { maxFile, maxPixels, maxSide } from "./limits.js";
import { refuse } from "./refusal.js";
import { sizeOf } from "./size.js";

// pixelsOf returns {width, height, data} of a Blob, an ImageData, an ImageBitmap, a
// canvas or what is of that form already. name says in the errors whose it is.
export async function pixelsOf(picture, name) {
	if (picture?.data && !(picture instanceof ImageData)) return picture; // for the engine to check
	const data = picture instanceof ImageData && bounded(picture, name);
	if (data && picture.colorSpace === "srgb" && picture.data instanceof Uint8ClampedArray) return picture;
	if (data || picture instanceof Blob) {
		const bitmap = await (data ? createImageBitmap(picture) : bitmapOf(picture, name));
		try {
			return drawn(bitmap);
		} finally {
			bitmap.close();
		}
	}
	if (!(isCanvas(picture) || picture instanceof ImageBitmap)) refuse(`${name} is no picture: give a Blob, an ImageData, an ImageBitmap, a canvas, or width, height and data`);
	return bounded(picture, name) && drawn(picture, name);
}

const isCanvas = (what) => globalThis.HTMLCanvasElement && what instanceof HTMLCanvasElement || globalThis.OffscreenCanvas && what instanceof OffscreenCanvas;

// bitmapOf decodes a file.
export async function bitmapOf(file, name) {
	if (file.size > maxFile) refuse(`${name} has ${file.size} bytes: the most are ${maxFile}`);
	const size = sizeOf(new Uint8Array(await file.slice(0, 1 << 18).arrayBuffer()));
	if (!size) refuse(`${name} is no picture that wisp knows: choose a PNG, JPEG, WebP, AVIF, GIF or BMP file`);
	bounded(size, name);
	try {
		return await createImageBitmap(file);
	} catch {
		return refuse(`${name} cannot be decoded: its file is damaged, or of a kind that this browser does not read`);
	}
}

function bounded({ width, height }, name) {
	if (!(width >= 1 && height >= 1)) refuse(`${name} is ${width} × ${height} pixels: it has none`);
	if (width * height > maxPixels || Math.max(width, height) > maxSide) refuse(`${name} is ${width} × ${height} pixels: choose one of at most ${maxPixels / 2 ** 20} million, and ${maxSide} a side`);
	return true;
}

// drawn is what a bitmap or a canvas shows. A canvas that another site's picture
// was drawn on tells nobody.
function drawn(picture, name) {
	const canvas = globalThis.OffscreenCanvas ? new OffscreenCanvas(picture.width, picture.height) : Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
	const context = canvas.getContext("2d", { willReadFrequently: true });
	context.drawImage(picture, 0, 0);
	try {
		return context.getImageData(0, 0, picture.width, picture.height);
	} catch {
		return refuse(`${name} holds a picture of another site, which the browser does not let out`);
	}
}
