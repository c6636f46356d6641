// The widget in an iframe, spoken to by postMessage:
//
//   <iframe src="https://…/embed.html?origin=https://host.example"></iframe>
//
// The address may also hold prompt, steps, seed, backend, live, lang (else it is
// the browser's), and a model (model=) of this site.
//
// The host sends:
//   {wisp: "generate", id, request}   id: a number or text, which every answer
//                                     repeats; request: as generate() takes it
//   {wisp: "cancel"}
// The frame sends:
//   {wisp: "hello"}                           it listens
//   {wisp: "ready", name, backend}            the model is loaded
//   {wisp: "progress", stage, loaded, total}
//   {wisp: "step", id, stage, step, steps}
//   {wisp: "image", id, blob, seed, parameters, settings}
//   {wisp: "error", id, code, message}
// An image without an id was drawn by the visitor.
//
// Only the origins named in the address (origin=, as often as need be) are
// listened and spoken to; without any, the frame works by itself and is deaf.
import { known } from "./strings.js";
import "./widget.js";
import { WispError } from "./wisp.js";

const given = new URLSearchParams(location.search);
const origins = new Set(given.getAll("origin").filter((o) => URL.canParse(o)).map((o) => new URL(o).origin).filter((o) => o !== "null"));
const widget = document.getElementById("widget");

for (const name of ["prompt", "steps", "seed", "backend", "live"]) if (given.has(name)) widget.setAttribute(name, given.get(name));
if (given.has("model") && URL.canParse(given.get("model"), location.href)) {
	const url = new URL(given.get("model"), location.href);
	if (url.origin === new URL(import.meta.url).origin) widget.setAttribute("model", url.href);
}

document.documentElement.lang = known([given.get("lang"), ...navigator.languages]) ?? "en";
widget.lang = document.documentElement.lang;

let current = {}; // {id} while a picture for the host is under way

// tell speaks to the host; the browser drops what is not for its origin.
function tell(message) {
	if (parent === window) return;
	for (const origin of origins) parent.postMessage(message, origin);
}

widget.addEventListener("wisp-ready", ({ detail }) => tell({ wisp: "ready", ...detail }));
widget.addEventListener("wisp-progress", ({ detail }) => tell({ wisp: "progress", ...detail }));
widget.addEventListener("wisp-step", ({ detail: { stage, step, steps } }) => tell({ wisp: "step", ...current, stage, step, steps }));
widget.addEventListener("wisp-image", ({ detail: { result, blob } }) => {
	tell({ wisp: "image", ...current, blob, seed: result.seed, parameters: result.parameters, settings: result.settings });
});

// What a host may set; anything else stays behind.
const fields = ["prompt", "negativePrompt", "secondPrompt", "promptSyntax", "clipSkip", "class", "seed", "steps", "guidance", "sampler", "schedule", "width", "height"];

addEventListener("message", async ({ data, origin, source }) => {
	if (source !== parent || !origins.has(origin)) return;
	if (data?.wisp === "cancel") return widget.cancel();
	if (data?.wisp !== "generate") return;
	const mine = ["string", "number"].includes(typeof data.id) ? { id: data.id } : {};
	current = mine;
	try {
		const asked = Object(data.request);
		await widget.generate(Object.fromEntries(fields.filter((f) => asked[f] !== undefined).map((f) => [f, asked[f]])));
	} catch (err) {
		tell({ wisp: "error", ...mine, code: err instanceof WispError ? err.code : "internal", message: err.message });
	} finally {
		if (current === mine) current = {};
	}
});

tell({ wisp: "hello" });
document.documentElement.dataset.started = ""; // for boot.js
