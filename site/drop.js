// Files dropped on the page: a picture gives its settings back, or is what the
// next one begins with, a workflow of ComfyUI is drawn, the files of a model are
// opened.
import { maxFile } from "./limits.js";
import { isCheckpoint, isPacked } from "./import.js";
import { showError, showNotice, t } from "./ui.js";

// start watches the page; on.restore(said, name, files) with what a file says (see
// said.js), on.begin(file, name), on.open([[path, file]]).
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
	const file = (files.find(([path]) => /\.json$/i.test(path)) ?? files[0])[1];
	const said = file.size <= maxFile ? await read(file) : undefined;
	if (said === undefined) return showNotice(t("unknownFile", { name: file.name }));
	if (said === null) {
		await on.begin(file, file.name);
		return showNotice(t("noSettings", { name: file.name }));
	}
	await on.restore(said, file.name, new Map(files));
}

// read returns what a file says, null where it says nothing, undefined where it
// is no file of ours.
async function read(file) {
	const { parseJSON, parseWorkflow, readPicture } = await import("./compat.js");
	if (/\.json$/i.test(file.name)) return parseWorkflow(parseJSON(await file.text(), file.name));
	return readPicture(new Uint8Array(await file.arrayBuffer()));
}
