// The dialog of models: what this browser keeps, what another would cost.
import { capabilities, models, removeModel } from "./wisp.js";
import { allow } from "./offline.js";
import { $, create, dialog, megabytes, sentence, t } from "./ui.js";

let onUse = () => {};
let inUse = () => null;
let candidate = null; // the address that was checked

// start takes what to do with a chosen model, and which generator is in use.
export function start(use, generator) {
	onUse = use;
	inUse = generator;
	// Back from allowing an origin: the visitor still has to say "Use".
	const address = new URLSearchParams(location.search).get("address");
	if (!address) return;
	$("open-models").click();
	$("address").value = address;
	$("add").requestSubmit();
}

const box = dialog("models", async () => {
	const card = inUse()?.card ?? "";
	$("card").hidden = card === "";
	$("card-text").textContent = card;
	await list();
});

async function list() {
	let kept = [];
	try {
		kept = await models();
	} catch {
		// storage is refused: nothing is kept
	}
	$("kept").replaceChildren(...kept.map(row));
}

function row(model) {
	const size = model.cachedBytes < model.bytes
		? t("modelPart", { have: megabytes(model.cachedBytes), size: megabytes(model.bytes) })
		: t("modelKept", { size: megabytes(model.bytes) });
	const current = inUse()?.id === model.id;
	const facts = [size, model.licence !== "unknown" && model.licence, current && t("modelCurrent")].filter(Boolean).join(" · ");
	const item = create("li", {}, create("strong", { textContent: model.name, dir: "auto" }), create("small", { textContent: facts, dir: "auto" }));
	if (current) return item;
	const use = create("button", { type: "button", className: "pill", textContent: t("use") });
	use.addEventListener("click", () => choose(/^https?:/.test(model.location) ? model.location : `stored:${model.id}`));
	const remove = create("button", { type: "button", className: "pill", textContent: t("remove") });
	remove.addEventListener("click", async () => {
		await removeModel(model.id);
		await list();
	});
	item.append(create("span", { className: "tools" }, use, remove));
	return item;
}

function choose(model) {
	box.close();
	onUse(model);
}

// check says what a model would cost before any of it is downloaded.
$("add").addEventListener("submit", async (event) => {
	event.preventDefault();
	const address = $("address").value.trim();
	if (address === "") return;
	candidate = null;
	$("use").hidden = $("allow").hidden = true;
	try {
		if (await foreign(address)) return;
		const c = await capabilities(address);
		candidate = c.runs ? address : null;
		verdict(c.runs
			? t("verdict", { backend: c.backend, download: megabytes(c.downloadBytes), memory: Math.ceil(c.peakBytes / 1e6) })
			: t("verdictNot", { reason: c.reason }));
	} catch (err) {
		verdict(sentence(err.message));
	}
	$("use").hidden = candidate === null;
});

// foreign says so where the page's policy forbids to fetch from there.
async function foreign(address) {
	const { origin } = new URL(address, location.href);
	if (origin === location.origin || new URLSearchParams(location.search).get("allowed") === origin) return false;
	verdict(t("foreign", { origin }));
	$("allow").hidden = !navigator.serviceWorker?.controller;
	return true;
}

$("allow").addEventListener("click", async () => {
	const { origin } = new URL($("address").value.trim(), location.href);
	if (!await allow(origin)) return;
	const url = new URL(location.href);
	url.searchParams.set("allowed", origin);
	url.searchParams.set("address", $("address").value.trim());
	location.href = url.href;
});

function verdict(text) {
	$("verdict").textContent = text;
	$("verdict").hidden = false;
}

$("use").addEventListener("click", () => choose(candidate));
$("folder").addEventListener("change", () => {
	if ($("folder").files.length > 0) choose([...$("folder").files]);
});
