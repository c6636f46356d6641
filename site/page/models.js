// The dialog of models: what this browser keeps, what another would cost.
import { capabilities, catalogue, models, removeModel } from "./wisp.js";
import * as importDialog from "./import.js";
import { allow, origins } from "./offline.js";
import { $, bytes, create, dialog, duration, place, sentence, t } from "./ui.js";

let onUse = () => {};
let inUse = () => null;
let candidate = null; // the address that was checked

// start takes what to do with a chosen model, and which generator is in use.
export function start(use, generator) {
	onUse = use;
	inUse = generator;
	importDialog.start(use);
	// Back from allowing an origin: the visitor still has to say "Use".
	const query = new URLSearchParams(location.search);
	const address = query.get("address") ?? /^hf:.+/.exec(query.get("model"))?.[0];
	if (!address) return;
	$("open-models").click();
	$("address").value = address;
	$("add").requestSubmit();
}

const box = dialog("models", async () => {
	verdict("");
	$("kept").replaceChildren(); // what it says may be old
	const card = (inUse()?.card ?? "").replace(/^---\n.*?\n---\s*/s, ""); // less the fields for machines
	$("card").hidden = card === "";
	$("card-text").replaceChildren(...paragraphs(card));
	await list();
});

// paragraphs shows Markdown as text: headings stand out, the rest is as written.
function paragraphs(text) {
	return text.trim().split(/^(#.*)\n+/m).filter(Boolean).map((part) => (part.startsWith("#")
		? create("h3", { textContent: part.replace(/^#+\s*/, "") })
		: create("p", { textContent: part.trim().replaceAll("`", "").replace(/\n(?![\n|>*-])/g, " ") })));
}

// The default model lies beside the page.
const defaultLocation = new URL("models/default/", import.meta.url).href;

async function list() {
	const kept = await models().catch(() => []); // storage is refused: nothing is kept
	const rows = kept.map(row);
	const current = inUse();
	if (current && !kept.some(({ id }) => id === current.id)) rows.unshift(entry(current.name, [t("modelMemory"), licence(current), t("modelCurrent")]));
	if (!kept.some(({ location }) => location === defaultLocation)) rows.push(entry(t("modelDefault"), [t("modelAbsent")], useButton(undefined)));
	$("kept").replaceChildren(...rows);
	const { usage = 0, quota = 0 } = await navigator.storage?.estimate?.() ?? {};
	$("space").textContent = quota ? t("space", { used: bytes(usage), free: bytes(quota - usage) }) : "";
}

const licence = (model) => model.licence !== "unknown" && model.licence;

function entry(name, facts, ...buttons) {
	const about = create("span", {}, create("strong", { textContent: name, dir: "auto" }), create("small", { textContent: facts.filter(Boolean).join(" · "), dir: "auto" }));
	return create("li", {}, about, create("span", { className: "tools" }, ...buttons));
}

function row(model) {
	const size = t("modelKept", { size: bytes(model.cachedBytes) });
	const current = inUse()?.id === model.id;
	const remove = create("button", { type: "button", className: "pill", textContent: t("remove") });
	remove.setAttribute("aria-label", `${t("remove")}: ${model.name}`);
	remove.addEventListener("click", async () => {
		if (model.location === "" && !confirm(t("removeSure", { name: model.name }))) return;
		await removeModel(model.id);
		if (current) verdict(t("modelGone"));
		await list();
	});
	return entry(model.name, [size, licence(model), current && t("modelCurrent")], ...(current ? [] : [useButton(address(model), model.name)]), remove);
}

// address is what a kept model is opened by.
function address({ id, location }) {
	if (location === defaultLocation) return undefined;
	return /^https?:/.test(location) ? location : `stored:${id}`;
}

function useButton(model, name = t("modelDefault")) {
	const use = create("button", { type: "button", className: "pill", textContent: t("use") });
	use.setAttribute("aria-label", `${t("use")}: ${name}`);
	use.addEventListener("click", () => choose(model));
	return use;
}

function choose(model) {
	box.close();
	onUse(model);
}

// Open models on the hub, with the bits that a weight takes in what each is best
// packed in, text encoders in four.
const bits = { f16: 16, q8: 8.5, q4: 4.5, ternary: 3.4 };
$("offers").addEventListener("toggle", async () => {
	const list = $("offers").open ? await catalogue() : [];
	$("offered").replaceChildren(...list.map(({ model, name, licence, commercial, gated, parameters, quantise, good }) => {
		const check = create("button", { type: "button", className: "pill", textContent: t("check") });
		check.setAttribute("aria-label", `${t("check")}: ${name}`);
		check.addEventListener("click", () => importDialog.open(model, quantise));
		return entry(name, [licence, !commercial && t("noCommerce"), gated && t("gated"), `≈ ${bytes(parameters * bits[quantise] / 8)}`, good], check);
	}));
});

// check says what a model would cost before any of it is downloaded.
$("add").addEventListener("submit", async (event) => {
	event.preventDefault();
	const address = $("address").value.trim();
	if (address === "") return;
	candidate = null;
	$("use").hidden = $("allow").hidden = true;
	if (address.startsWith("hf:")) return importDialog.open(address);
	try {
		if (await foreign(address)) return;
		const c = await capabilities(address);
		candidate = c.runs ? address : null;
		verdict(c.runs
			? t("verdict", { backend: place(c.backend), download: bytes(c.downloadBytes), memory: bytes(c.peakBytes), time: duration(1e3 * c.flops / c.flopsPerSecond) })
			: t("verdictNot", { reason: sentence(c.reason) }));
	} catch (err) {
		verdict(sentence(err.message));
	}
	$("use").hidden = candidate === null;
});

// foreign says so where the page's policy forbids to fetch from there.
async function foreign(address) {
	const { origin } = new URL(address, location.href);
	if (origin === location.origin) return false;
	const known = await origins(origin);
	if (known.origins.includes(origin)) return false;
	verdict(t(known.allowable ? "foreign" : "badOrigin", { origin }));
	$("allow").hidden = !known.allowable || !navigator.serviceWorker?.controller;
	return true;
}

$("allow").addEventListener("click", async () => {
	const address = $("address").value.trim();
	if (!await allow(new URL(address, location.href).origin)) return;
	const url = new URL(location.href);
	url.searchParams.set("address", address);
	location.href = url.href;
});

function verdict(text) {
	$("verdict").textContent = text;
}

$("use").addEventListener("click", () => choose(candidate));
for (const input of [$("folder"), $("file")]) {
	input.addEventListener("change", () => {
		const files = importDialog.pairs(input);
		input.value = ""; // so that the same may be chosen again
		if (files.length > 0) open(files);
	});
}

// open opens a model's files as they are, or packs them first.
export function open(files) {
	if (importDialog.isPacked(files)) choose(files.map(([, file]) => file));
	else importDialog.open(files);
}
