// The dialog that imports a model as diffusers saves it, from files or the hub:
// what it would take, then packing it on this device.
import { capabilities, importModel, inspectModel } from "./wisp.js";
import { $, bytes, create, duration, place, sentence, t } from "./ui.js";

let onUse = () => {};
let chosen = []; // [path, file] of what the visitor chose, or a repository's address
let wished = "q8"; // quantisation
let device = {}; // as capabilities has it
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

const has = (files, pattern) => Array.isArray(files) && files.some(([path]) => pattern.test(path));
const index = /(^|\/)model_index\.json$/;

// isCheckpoint tells what is to be packed, isPacked what was packed before.
export const isCheckpoint = (files) => has(files, index) || has(files, /\.(safetensors|gguf|ckpt|pt|pth|bin)$/i);
export const isPacked = (files) => has(files, /(^|\/)manifest\.json$/) && !has(files, index);

// open shows what an import of files or of a repository would make.
export async function open(files, quantise = "q8") {
	if (running) return; // one at a time
	for (const other of document.querySelectorAll("dialog[open]:not(#import)")) other.close();
	chosen = files;
	wished = quantise;
	facts = null;
	show({ text: t("reading") });
	if (!box.open) box.showModal();
	const [found, here] = await Promise.all([inspectModel(files).catch((error) => ({ error })), capabilities().catch(() => ({ runs: true }))]);
	if (chosen !== files) return; // others were chosen meanwhile
	if (found.error) return show(found);
	facts = found;
	device = here;
	show();
}

// show fills the dialog with what is known; text takes the verdict's place.
function show({ text, error } = {}) {
	const busy = running !== null;
	$("import-facts").textContent = facts ? [facts.name, facts.pipeline, facts.licence !== "unknown" && facts.licence, bytes(facts.inputBytes)].filter(Boolean).join(" · ") : "";
	$("import-notes").hidden = !facts?.notes.length;
	$("import-notes").replaceChildren(...(facts?.notes ?? []).map((note) => create("li", { textContent: note })));
	$("import-sizes").hidden = !facts;
	$("import-sizes").disabled = busy;
	if (facts && !busy) showSizes();
	$("import-verdict").textContent = text ?? (facts && !error ? verdict() : "");
	$("import-error").hidden = !error;
	$("import-error").textContent = error ? sentence(error.message) : "";
	$("import-error").dataset.code = error?.code ?? "";
	// A file without configs may lack what another file has, or a folder of its kind.
	$("import-add").hidden = $("import-more").hidden = !error || !has(chosen, /\.(safetensors|gguf)$/) || has(chosen, index);
	$("import-work").hidden = $("import-stop").hidden = !busy;
	$("import-go").hidden = !facts || busy;
	$("import-go").disabled = !choice() || !device.runs;
}

function verdict() {
	if (!device.runs) return t("verdictNot", { reason: sentence(device.reason) });
	const room = t(choice() ? "importFits" : "importNoRoom", { free: bytes(facts.freeBytes), memory: bytes(facts.peakBytes * facts.packedBytes[choice()] / facts.packedBytes.f16) });
	const time = facts.flops / device.flopsPerSecond;
	return choice() && time ? `${room} ${t("importTime", { time: duration(1e3 * time), backend: place(device.backend) })}` : room;
}

// Compression saves at most a fifth.
const fits = (quantise) => facts.packedBytes[quantise] * 0.8 <= facts.freeBytes;
const sizes = ["f16", "q8", "q4", "ternary"];
const choice = () => $("import-sizes").querySelector(":checked")?.value;

function showSizes() {
	const wish = choice() ?? wished;
	const checked = fits(wish) ? wish : sizes.find(fits);
	for (const old of $("import-sizes").querySelectorAll("label")) old.remove();
	for (const name of sizes) {
		const radio = create("input", { type: "radio", name: "quantise", value: name, disabled: !fits(name), checked: name === checked });
		$("import-sizes").append(create("label", {}, radio, create("span", { textContent: t(name) }), create("span", { textContent: `≤ ${bytes(facts.packedBytes[name])}` })));
	}
}

$("import-form").addEventListener("submit", async (event) => {
	event.preventDefault();
	if (!facts || running || !choice() || !device.runs) return;
	running = new AbortController();
	progress({ loaded: 0, total: facts.inputBytes });
	show({ text: t("importing") });
	$("import-stop").focus();
	try {
		const model = await importModel(chosen, { quantise: choice(), signal: running.signal, onProgress: progress });
		running = null;
		box.close();
		onUse(model);
	} catch (error) {
		running = null;
		show(error.code === "aborted" ? { text: t("importCancelled") } : { error });
		$("import-go").focus();
	}
});

function progress({ loaded, total }) {
	$("import-bar").value = loaded / total;
	$("import-doing").textContent = `${bytes(loaded)} / ${bytes(total)}`;
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
});
addEventListener("beforeunload", (event) => {
	if (running) event.preventDefault();
});
for (const id of ["import-file", "import-folder"]) $(id).addEventListener("change", () => open([...chosen, ...pairs($(id))]));
