// wisp: pictures from words, on this device. The public module; its types and
// documentation are in wisp.d.ts. The work is done in a worker (worker.js), so
// that the page never waits. The parts within: generator.js (what createGenerator
// returns), shared.js and engine.js (the worker and who uses it), program.js (what
// it runs), packer.js (other models), source.js (where they are), sent.js (a request).
import { whole } from "./bytes.js";
import { ask, Engine, until } from "./engine.js";
import { WispError } from "./error.js";
import { inspectModel } from "./packer.js";
import { withText } from "./png.js";
import { here } from "./program.js";
import { imageData, sentOf } from "./sent.js";
import { defaultModel, fileOf, inHub, named } from "./source.js";

export async function capabilities(model) {
	if (!inHub(model)) return ask("capabilities", named(model));
	const { licence, inputBytes, peakBytes, flops } = await inspectModel(model);
	const device = await ask("capabilities", defaultModel).catch(() => ({ runs: true, backend: "simd", threads: 1, reason: "", flopsPerSecond: 0 }));
	return { ...device, cachedBytes: 0, downloadBytes: inputBytes, peakBytes, flops, licence };
}

export const catalogue = async () => JSON.parse(new TextDecoder().decode((await whole(new URL("catalogue.json", here).href)).body)).models;

export async function upscale(image, { by, model, backend, signal, onProgress } = {}) {
	const files = model && (await Promise.all([model].flat().map(fileOf))).map((file) => [file.name, file]);
	const sent = await sentOf({ image });
	const engine = new Engine();
	try {
		return imageData(await until(engine.call("upscale", { ...sent, by, files, backend }, onProgress), signal));
	} finally {
		engine.close();
	}
}

// toPNG encodes picture i of a result with its settings in a "parameters" text
// chunk, where AUTOMATIC1111 keeps them.
export async function toPNG(result, i = 0) {
	const image = result.images[i];
	if (!image) throw new WispError("bad-request", `the result has no picture ${i}`);
	const png = new Uint8Array(await (await encode(image)).arrayBuffer());
	return withText(png, "parameters", parametersOf(result, i));
}

// parametersOf returns the settings of picture i, which was drawn with the seed
// after the i-th. The last "Seed:" is meant: a prompt may hold the word.
export function parametersOf(result, i = 0) {
	return result.parameters.replace(/^(.*Seed: )\d+/s, (_, before) => before + (result.seed + i));
}

async function encode(image) {
	if (globalThis.OffscreenCanvas) {
		const canvas = new OffscreenCanvas(image.width, image.height);
		canvas.getContext("2d").putImageData(image, 0, 0);
		return canvas.convertToBlob({ type: "image/png" });
	}
	if (!globalThis.document) throw new WispError("unsupported", "wisp draws in browsers only: call it in a page");
	const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
	canvas.getContext("2d").putImageData(image, 0, 0);
	return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

export { createGenerator } from "./generator.js";
export { importModel, inspectModel, models, preprocess, preprocessors, removeModel } from "./packer.js";
export { providePacker } from "./program.js";
export { WispError } from "./error.js";
export { version } from "./version.js";
