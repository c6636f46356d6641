// The tools beside the prompt, which come when somebody wants them.
import { drawLive, drawOne, keepLarger } from "./draw.js";
import { append, formSize, prompt } from "./form.js";
import * as easel from "./picture.js";
import * as session from "./session.js";
import { generator } from "./session.js";

// The tools beside the prompt come when somebody wants them.
export let studio = null; // studio.js
let arriving = null; // the promise of it
export function atStudio() {
	return arriving ??= import("./studio.js").then((module) => {
		module.install({ generator: () => generator, ready: session.ready, changed: drawLive, say: append, words: () => prompt.value, drawOne, size: formSize, picture: easel.current, enlarged: keepLarger });
		return studio = module;
	}).catch((err) => {
		arriving = null;
		throw err;
	});
}

// begin draws from a picture: one of the page, or a file.
export async function begin(blob, name, options) {
	await (await atStudio()).begin(blob, name, options);
	drawLive(0);
}
