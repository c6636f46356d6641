// The widget in an iframe, spoken to by postMessage:
//
//   <iframe src="https://…/embed.html?origin=https://host.example"></iframe>
//
// In:  {wisp: "generate", id, request}, {wisp: "cancel"}
// Out: {wisp: "ready" | "progress" | "step" | "image" | "error", id?, …}
//
// Only the origins named in the address (origin=, as often as need be) are
// listened and spoken to; without any, the frame works by itself and is deaf.
// A model may be named (model=), but only one of this site.
import "./widget.js";

const given = new URLSearchParams(location.search);
const origins = new Set(given.getAll("origin").filter((o) => URL.canParse(o)).map((o) => new URL(o).origin));
const widget = document.getElementById("widget");

for (const name of ["prompt", "steps", "seed", "backend", "live"]) if (given.has(name)) widget.setAttribute(name, given.get(name));
if (given.has("model")) {
	const url = new URL(given.get("model"), location.href);
	if (url.origin === location.origin) widget.setAttribute("model", url.href);
}

let id = null; // of the request under way

function tell(message) {
	for (const origin of origins) parent.postMessage({ ...message, ...(id !== null && { id }) }, origin);
}

widget.addEventListener("wisp-ready", ({ detail }) => tell({ wisp: "ready", ...detail }));
widget.addEventListener("wisp-progress", ({ detail }) => tell({ wisp: "progress", ...detail }));
widget.addEventListener("wisp-step", ({ detail: { stage, step, steps } }) => tell({ wisp: "step", stage, step, steps }));
widget.addEventListener("wisp-error", ({ detail }) => tell({ wisp: "error", ...detail }));
widget.addEventListener("wisp-image", ({ detail: { result, blob } }) => {
	tell({ wisp: "image", blob, seed: result.seed, parameters: result.parameters, settings: result.settings });
});

// What a host may set; functions and anything else stay behind.
const fields = ["prompt", "negativePrompt", "seed", "steps", "guidance", "sampler", "schedule", "width", "height"];

addEventListener("message", async ({ data, origin, source }) => {
	if (source !== parent || !origins.has(origin)) return;
	if (data?.wisp === "cancel") widget.cancel();
	if (data?.wisp !== "generate" || typeof data.request !== "object" || data.request === null) return;
	id = data.id ?? null;
	const request = Object.fromEntries(fields.filter((f) => data.request[f] !== undefined).map((f) => [f, data.request[f]]));
	await widget.generate(request).catch(() => {}); // told by wisp-error
});
