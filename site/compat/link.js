// A link to a picture: its settings behind the #, which browsers send to no
// server.
import { sorted } from "./fields.js";

// Those of the settings that the page's form has no place for.
export const further = "guidanceRescale guidanceStart guidanceEnd guidanceMethod skipLayers reuse sourcePrompt kept eta churn upscaleBy upscaler upscaleSteps upscaleStrength".split(" ");

// The settings in a link, under their own names. sampler and schedule are wisp's.
const done = Object.fromEntries(["prompt", "negativePrompt", "secondPrompt", "promptSyntax", "clipSkip", "class", "seed", "steps", "guidance", "sampler", "schedule", "width", "height", ...further].map((name) => [name, name]));

// writeLink returns what goes behind the #. An empty schedule is one, too: the
// model's file's, where the model recommends another; an empty prompt a model's that
// draws without words; 0 for a layer, a class, a part of guidance is as without one.
export function writeLink(settings) {
	const wanted = Object.keys(done).filter((name) => settings[name] !== undefined && (settings[name] !== "" || ["prompt", "schedule"].includes(name)) && (settings[name] !== 0 || !["clipSkip", "class", "guidanceRescale", "guidanceStart"].includes(name)));
	return new URLSearchParams(wanted.map((name) => [name, settings[name]])).toString();
}

// readLink returns what settle takes of a link's part behind the #, null for one
// without a prompt.
export function readLink(hash) {
	const given = new URLSearchParams(hash.replace(/^#/, ""));
	if (!given.has("prompt")) return null;
	return { tool: "link", ...sorted(given, { done, facts: [], off: {} }) };
}
