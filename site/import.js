// The dialog that imports a model as diffusers saves it: what it would take,
// then packing it on this device.
import { importModel, inspectModel } from "./wisp.js";
import { $, bytes, create, sentence, t } from "./ui.js";

let onUse = () => {};
let chosen = []; // [path, file] of what the visitor chose
let facts = null; // what inspectModel tells of them
let running = null; // the AbortController of the import under way

const box = $("import");

// start takes what to do with the model that was imported.
export function start(use) {
	onUse = use;
}

export const importing = () => running !== null;

// pairs lists the files of an input with their paths.
export const pairs = (input) => [...input.files].map((file) => [file.webkitRelativePath || file.name, file]);

const has = (files, pattern) => files.some(([path]) => pattern.test(path));

// isCheckpoint tells what is to be packed from what is no model.
export const isCheckpoint = (files) => has(files, /(^|\/)model_index\.json$|\.(safetensors|ckpt|pt|pth|bin)$/i);

// isPacked tells a model that needs no packing.
export const isPacked = (files) => has(files, /(^|\/)manifest\.json$/) && !has(files, /(^|\/)model_index\.json$/);

// open shows what an import of files would make.
export async function open(files) {
	if (running) return; // one at a time
	for (const other of document.querySelectorAll("dialog[open]:not(#import)")) other.close();
	chosen = files;
	facts = null;
	show({ verdict: t("importLooking") });
	if (!box.open) box.showModal();
	try {
		const found = await inspectModel(files);
		if (chosen !== files) return; // others were chosen meanwhile
		facts = found;
		show({});
	} catch (err) {
		if (chosen === files) show({ error: err });
	}
}

// show fills the dialog with what is known.
function show({ verdict, error = null }) {
	$("import-facts").textContent = facts ? [facts.pipeline, facts.licence !== "unknown" && facts.licence, t("importSize", { size: bytes(facts.inputBytes) })].filter(Boolean).join(" · ") : "";
	$("import-choices").hidden = !facts;
	$("import-choices").disabled = running !== null;
	if (facts && !running) showChoices();
	$("import-verdict").textContent = verdict ?? (facts && !error ? fitting() : "");
	$("import-error").hidden = !error;
	if (error) {
		$("import-error").textContent = sentence(error.message ?? String(error));
		$("import-error").dataset.code = error.code ?? "internal";
	}
	// A single file lacks what the folder of its kind has.
	$("import-more").hidden = !error || !has(chosen, /\.safetensors$/) || has(chosen, /(^|\/)model_index\.json$/);
	$("import-work").hidden = !running;
	$("import-go").hidden = !facts || running !== null;
	$("import-go").disabled = !choice();
	$("import-stop").hidden = !running;
}

// Compression saves at most a fifth.
const fits = (quantise) => facts.packedBytes[quantise] * 0.8 <= facts.freeBytes;

function showChoices() {
	const before = choice() ?? "q8";
	const first = ["f16", "q8", "q4"].find(fits);
	const rows = ["f16", "q8", "q4"].map((name) => {
		const radio = create("input", { type: "radio", name: "quantise", value: name, disabled: !fits(name), checked: fits(name) && name === (fits(before) ? before : first) });
		const size = t(fits(name) ? "importAtMost" : "importTooLarge", { size: bytes(facts.packedBytes[name]) });
		return create("label", {}, radio, create("span", {}, create("strong", { textContent: t(name) }), create("small", { textContent: t(`${name}Help`) })), create("span", { textContent: size }));
	});
	for (const old of $("import-sizes").querySelectorAll("label")) old.remove();
	$("import-sizes").append(...rows);
	if ($("import-name-of").value === "") $("import-name-of").value = facts.name;
}

const choice = () => $("import-sizes").querySelector(":checked")?.value;

function fitting() {
	const values = { free: facts.freeBytes < Infinity ? bytes(facts.freeBytes) : "–", memory: bytes(facts.peakBytes) };
	return t(choice() ? "importFits" : "importNoRoom", values);
}

$("import-form").addEventListener("submit", async (event) => {
	event.preventDefault();
	if (!facts || running || !choice()) return;
	running = new AbortController();
	const options = { quantise: choice(), name: $("import-name-of").value.trim() || facts.name, signal: running.signal, onProgress: progress };
	progress({ loaded: 0, total: facts.inputBytes });
	show({ verdict: t("importStarted") });
	$("import-stop").focus();
	const { model, error } = await importModel(chosen, options).then((model) => ({ model }), (error) => ({ error }));
	running = null;
	if (model) {
		box.close();
		onUse(model);
		return;
	}
	show(error.code === "aborted" ? { verdict: t("importCancelled") } : { error });
	$("import-go").focus();
});

function progress({ loaded, total }) {
	$("import-bar").value = total > 0 ? loaded / total : 0;
	$("import-doing").textContent = t("importing", { loaded: bytes(loaded), total: bytes(total) });
}

const stop = () => running?.abort();

$("import-stop").addEventListener("click", stop);
box.querySelector("[data-close]").addEventListener("click", () => box.close());
// Escape ends the import first, and closes the dialog when there is none.
box.addEventListener("cancel", (event) => {
	if (!running) return;
	event.preventDefault();
	stop();
});
box.addEventListener("close", () => {
	stop();
	chosen = [];
	facts = null;
	$("import-name-of").value = "";
});
addEventListener("beforeunload", (event) => {
	if (running) event.preventDefault();
});
$("import-folder").addEventListener("change", () => open([...chosen, ...pairs($("import-folder"))]));
