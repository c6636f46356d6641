// A model on its way: which one, how far it is, and what the page shows of it.
import { offer } from "./controls.js";
import { run } from "./draw.js";
import { count, fillExamples, fillStyles, setForm, texts, touched } from "./form.js";
import { learn } from "./hints.js";
import { recall } from "./memory.js";
import * as session from "./session.js";
import { generator } from "./session.js";
import { $, bytes, fill, sentence, showError, showNotice, t, translated, work } from "./ui.js";

export const root = document.documentElement.dataset; // state and pictures, for tests and style

export const defaultModel = new URL("models/default/", location.href).href;

export let elsewhere = null; // a model that the address names in vain

// A model may be named in the address, but only one of this site.
function modelInAddress() {
	const name = new URLSearchParams(location.search).get("model");
	if (!name) return undefined;
	const url = URL.canParse(name, location.href) ? new URL(name, location.href) : null;
	if (url?.origin === location.origin) return url.href;
	if (!name.startsWith("hf:")) elsewhere = name; // which the dialog of models asks about
	return undefined;
}

// ?profile shows what the graphics card's kernels take.
export const profiling = new URLSearchParams(location.search).has("profile");

export const first = modelInAddress() ?? recall("model") ?? undefined;

// warn tells the visitor what the page has words for; the rest is for the console.
export function warn(message) {
	console.info("wisp:", message);
	if (translated(message)) showNotice(sentence(message), { stays: true });
}

// choose takes another model, and remembers it for the next visit: undefined
// is the default one.
export function choose(chosen) {
	touched.clear();
	run?.abort();
	session.use(chosen);
	load();
}

// reload begins anew, with another backend.
export function reload() {
	run?.abort();
	session.restart();
	load();
}

export function load() {
	showError(null);
	downloaded = at = null;
	showLoading();
	session.ready().catch((err) => {
		if (err.code === "aborted") return; // another model was chosen meanwhile
		if (!run) work(null);
		showError(err);
	});
}

let downloaded = null; // how far the download is
let at = null; // what loading was last heard of

// Parts of the model are read and compiled while others are still on their
// way: as long as that is so, it is what the visitor waits for.
export function loadingProgress(progress) {
	if (progress.stage === "download") downloaded = progress;
	at = downloaded?.loaded < downloaded?.total ? downloaded : progress;
	showLoading();
}

export function showLoading() {
	if (!at) return work(t("loading"));
	const { stage, loaded, total } = at;
	if (stage === "download") work(t("downloading", { loaded: bytes(loaded), total: bytes(total) }), loaded, total);
	if (stage === "load" && loaded < total) work(t("reading"), loaded, total);
	if (stage === "compile") work(t("preparing"), loaded, total);
}

// introduce fills the page with what the model offers.
export function introduce(g) {
	const { defaults, settings, samplers, schedules } = g;
	fill($("sampler"), samplers.map((s) => [s.name, s.label]));
	fill($("schedule"), [["", t("modelsOwn")], ...schedules.map((s) => [s.name, s.label])]);
	offer(g);
	setForm(defaults, (name) => !touched.has(name));
	learn(settings);
	fillStyles(texts(settings.styles));
	fillExamples(texts(settings.examples));
	showModel();
	if (!run) work(null);
	count();
	performance.mark("wisp-ready");
}

export function showModel() {
	if (!generator) return;
	const backend = $("backend").querySelector(`[value=${CSS.escape(generator.backend)}]`)?.textContent;
	$("model").textContent = [t("model", { name: generator.name }), generator.licence !== "unknown" && generator.licence, backend].filter(Boolean).join(" · ");
}
