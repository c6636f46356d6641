// Files dropped on the page: a PNG gives its settings back, a workflow of
// ComfyUI is drawn, the files of a model are opened.
import { WispError } from "./wisp.js";
import { readTexts } from "./png.js";
import { parseWorkflow } from "./comfy.js";
import { parseParameters } from "./parameters.js";
import { isCheckpoint, isPacked } from "./import.js";
import { showError, showNotice, t } from "./ui.js";

const maxFile = 64 << 20; // bytes of a picture or workflow

// start watches the page; on.restore(settings, name), on.open([[path, file]]).
export function start(on) {
	const mark = (on) => document.body.classList.toggle("dragged", on);
	addEventListener("dragover", (event) => {
		if (!event.dataTransfer?.types.includes("Files")) return;
		event.preventDefault();
		mark(true);
	});
	addEventListener("dragleave", (event) => {
		if (!event.relatedTarget) mark(false); // it left the window
	});
	addEventListener("drop", async (event) => {
		mark(false);
		if (!event.dataTransfer?.types.includes("Files")) return;
		event.preventDefault();
		try {
			await take(await filesOf(event.dataTransfer), on);
		} catch (err) {
			showError(err);
		}
	});
	addEventListener("paste", async (event) => {
		const files = named(event.clipboardData?.files ?? []);
		if (files.length > 0) await take(files, on).catch(showError);
	});
}

const named = (files) => [...files].map((file) => [file.name, file]);

// filesOf lists what was dropped, with the files of dropped folders, by path.
async function filesOf(transfer) {
	const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
	if (!entries.some((entry) => entry.isDirectory)) return named(transfer.files);
	const files = [];
	for (const entry of entries) await walk(entry, files);
	return files;
}

async function walk(entry, files) {
	if (entry.isFile) {
		files.push([entry.fullPath.slice(1), await new Promise((resolve, reject) => entry.file(resolve, reject))]);
		return;
	}
	const reader = entry.createReader();
	for (;;) { // a reader hands out some at a time
		const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
		if (some.length === 0) return;
		for (const inner of some) await walk(inner, files);
	}
}

async function take(files, on) {
	if (files.length === 0) return;
	showError(null);
	const inFolder = files.some(([path]) => path.includes("/"));
	if (inFolder || isPacked(files) || isCheckpoint(files)) return on.open(files);
	const [[, file]] = files;
	const settings = file.size <= maxFile ? await settingsOf(file) : undefined;
	if (settings === undefined) return showNotice(t("unknownFile", { name: file.name }));
	if (settings === null) return showNotice(t("noSettings", { name: file.name }));
	await on.restore(settings, file.name);
}

// settingsOf returns the settings in a file, null where it has none, undefined
// where it is no file of ours.
async function settingsOf(file) {
	if (/\.json$/i.test(file.name)) return parseWorkflow(json(await file.text(), file.name));
	if (file.type !== "image/png" && !/\.png$/i.test(file.name)) return undefined;
	const texts = await readTexts(new Uint8Array(await file.arrayBuffer()));
	if (texts.has("parameters")) return parseParameters(texts.get("parameters"));
	if (texts.has("prompt")) return parseWorkflow(json(texts.get("prompt"), file.name));
	return null;
}

// json reads JSON, and what Python writes for it: ComfyUI's files hold NaN.
function json(text, name) {
	for (const candidate of [text, text.replace(/\bNaN\b/g, "null")]) {
		try {
			return JSON.parse(candidate);
		} catch {
			// the next one
		}
	}
	throw new WispError("bad-request", `${name} is not JSON`);
}
