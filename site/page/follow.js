// Settings from outside: of a dropped file or a link.
import { draw, run } from "./draw.js";
import { restore, setPrompt } from "./form.js";
import * as session from "./session.js";
import { atStudio, studio } from "./tools.js";
import { showError, showNotice, t } from "./ui.js";
import { WispError } from "./wisp.js";

// drawSaid draws what a file or a link says, once the model is there that knows
// its samplers, and tells what cannot be had.
export async function drawSaid(said, name, always, files = new Map()) {
	const { settle } = await import("./compat.js");
	const { settings, lost, model: other, begins, controls, enlarge } = settle(said, await session.ready());
	if (begins) await beginAsSaid(begins, settings, files);
	else restore(settings);
	if (studio || controls) lost.push(...await (await atStudio()).steerAs(controls ?? [], files));
	const upscaler = enlarge?.replace(/\.safetensors$/i, "");
	const known = enlarge && (await (await atStudio()).programs.upscalers()).includes(upscaler);
	if (enlarge && !known) lost.push(`model_name: ${enlarge}`);
	draw();
	const drawing = run;
	if (known && drawing) drawing.larger = upscaler;
	const missing = [...lost, ...(other ? [t("otherModel", { name: other })] : [])];
	if (missing.length > mostLost) missing.splice(mostLost, Infinity, t("andMore", { n: missing.length - mostLost }));
	if (missing.length > 0) {
		const told = t("restoredBut", { name, lost: missing.join(", ") });
		showNotice(told, { stays: true });
		if (drawing) drawing.told = told; // with what the engine tells
	} else if (always) showNotice(t("restored", { name }));
}

// beginAsSaid begins with the picture that a workflow names: of the files that came
// with it, else with the one that is there.
async function beginAsSaid({ image, mask, crop, outpaint = null }, settings, files) {
	const there = studio?.kept();
	const pictures = files.has(image) ? { start: files.get(image) } : await there?.();
	if (!pictures) throw new WispError("bad-request", t("needsFile", { name: image }));
	if (mask && !files.has(mask.name) && !pictures.mask) throw new WispError("bad-request", t("needsFile", { name: mask.name }));
	restore(settings);
	const painted = mask && files.has(mask.name) ? { mask: files.get(mask.name), channel: mask.channel, inverted: mask.inverted } : { mask: pictures.mask };
	await (await atStudio()).begin(pictures.start, image, { strength: settings.strength, crop, outpaint, ...(mask && painted) });
}

const mostLost = 12; // of what is lost, named one by one

// inAddress names the model, where it is of this site: whoever follows the link
// may have another one in use.
export function inAddress() {
	const model = session.chosenModel();
	if (model === undefined) return { model: "models/default/" };
	if (typeof model !== "string") return {};
	const { origin, pathname } = new URL(model, location.href);
	return origin === location.origin ? { model: pathname } : {};
}
async function followLink() {
	if (!location.hash.includes("prompt=")) return;
	const said = (await import("./compat.js")).readLink(location.hash);
	if (!said) return;
	setPrompt(said.settings.prompt ?? ""); // to be seen while the model loads
	await drawSaid(said, t("theLink"), false);
}
export const follow = () => followLink().catch((err) => err.code === "aborted" || showError(err));
