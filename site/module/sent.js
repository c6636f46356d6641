// A request as it goes to the engine.
import { WispError } from "./error.js";
import { preprocess } from "./packer.js";

// controlOf is one of a request's controls with its picture's pixels, as its
// preprocessor makes them.
export async function controlOf({ preprocess: name, image, ...one }) {
	return { ...one, ...await pixels({ image: name && name !== "none" ? await preprocess(image, name) : image }) };
}

export function checkBusy(busy) {
	if (!["queue", "abort", "reject"].includes(busy)) throw new WispError("bad-request", `busy is "${busy}": choose queue, abort or reject`);
}

export const imageData = ({ width, height, data }) => new ImageData(data, width, height);

// What of a request goes to the engine.
export const settings = [
	"prompt", "negativePrompt", "secondPrompt", "promptSyntax", "clipSkip", "class", "seed", "noise", "steps", "guidance", "guidanceRescale", "guidanceStart", "guidanceEnd", "guidanceMethod", "skipLayers", "reuse", "eta", "churn", "sampler", "schedule", "width", "height", "count", "previews",
	"image", "strength", "imageGuidance", "noiseLevel", "sourcePrompt", "kept", "mask", "maskBlur", "onlyMasked", "maskPadding", "outpaintLeft", "outpaintTop", "outpaintRight", "outpaintBottom", "guessMode", "referenceWeight", "upscaleBy", "upscaler", "upscaleSteps", "upscaleStrength",
];

// Those of them that are pictures.
const pictures = ["image", "mask"];

// sentOf is what goes to the engine of a request: pictures as their pixels.
export async function sentOf(request) {
	const { outpaint, ...rest } = request;
	const sent = Object.fromEntries(settings.map((name) => [name, rest[name]]));
	for (const side of outpaint ? ["Left", "Top", "Right", "Bottom"] : []) sent[`outpaint${side}`] = outpaint[side.toLowerCase()] ?? 0;
	return pixels(sent);
}

// each is what f makes of a list, where there is one.
export const each = (list, f) => list && Promise.all([...list].map(f));

// pixels has those of an object's fields that are pictures as their pixels.
export async function pixels(given) {
	const sent = { ...given };
	for (const name of pictures) {
		if (sent[name] === undefined || sent[name] === null) continue;
		const { pixelsOf } = await import("./photo.js");
		sent[name] = await pixelsOf(sent[name], name).catch((err) => Promise.reject(new WispError(err.code, err.message)));
	}
	return sent;
}
