// Files dropped on the page: a picture gives its settings back, or is what the
// next one begins with, a workflow of ComfyUI is drawn, the files of a model are
// opened.
import { maxFile, maxText } from "./limits.js";
import { isCheckpoint, isPacked } from "./import.js";
import { showError, showNotice, t } from "./ui.js";

// start watches the page; on.restore(said, name, files) with what a file says (see
// said.js), on.begin(file, name), on.take(kind, files) with what
// kindOf knows and its config.json, on.learn(name, lines) with a wildcard file, on.open([[path, file]]).
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
	const { kindOf, linesOf, parseJSON, parseWorkflow, readPicture } = await import("./compat.js");
	const weights = files.filter(([path]) => !/(^|\/)config\.json$/i.test(path));
	const kind = weights.length === 1 && await kindOf(weights[0][1]);
	if (kind) return on.take(kind, files.map(([, file]) => file));
	if (files.every(([path]) => /\.txt$/i.test(path))) {
		for (const [path, file] of files) if (file.size <= maxText) await on.learn(path.replace(/\.txt$/i, ""), linesOf(await file.text()));
		return showNotice(t("wildcardsLearnt", { names: files.map(([path]) => `__${path.replace(/\.txt$/i, "")}__`).join(", ") }));
	}
	const inFolder = files.some(([path]) => path.includes("/"));
	if (inFolder || isPacked(files) || isCheckpoint(files)) return on.open(files);
	const file = (files.find(([path]) => /\.json$/i.test(path)) ?? files[0])[1];
	const read = async () => (/\.json$/i.test(file.name) ? parseWorkflow(parseJSON(await file.text(), file.name)) : readPicture(new Uint8Array(await file.arrayBuffer())));
	const said = file.size <= maxFile ? await read() : undefined;
	if (said === undefined) return showNotice(t("unknownFile", { name: file.name }));
	if (said === null) {
		await on.begin(file, file.name);
		return showNotice(t("noSettings", { name: file.name }));
	}
	await on.restore(said, file.name, new Map(files));
}
