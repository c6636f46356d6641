// The page: it reads the form, calls wisp.js and shows what happens. All the
// work is done in wisp.js's worker. The parts beside it: session.js (the life of
// the generator), picture.js (the
// easel), past.js (the visitor's pictures), models.js, import.js and grid.js (dialogs),
// drop.js (files), offline.js (the service worker).
import { parametersOf, preprocess, preprocessors, toPNG, WispError } from "./wisp.js";
import * as session from "./session.js";
import { generator } from "./session.js";
import { recall, remember } from "./memory.js";
import { chooseLanguage, language, setLanguage } from "./language.js";
import { languages } from "./strings.js";
import { $, bytes, capital, create, fill, press, pressed, say, sentence, showError, showNotice, t, translated, work } from "./ui.js";
import { maxJobs } from "./limits.js";
import { Queue } from "./queue.js";
import * as easel from "./picture.js";
import * as past from "./past.js";
import * as modelDialog from "./models.js";
import * as gridDialog from "./grid.js";
import { importing } from "./import.js";
import { offer, plain, reads } from "./controls.js";
import { hint, learn, named, translate } from "./hints.js";
import { start as watchDrops } from "./drop.js";
import { start as goOffline } from "./offline.js";

const form = $("form"), prompt = $("prompt"), seed = $("seed"), lock = $("lock");
const root = document.documentElement.dataset; // state and pictures, for tests and style

const defaultModel = new URL("models/default/", location.href).href;
let run = null; // the AbortController of the picture under way
const touched = new Set(); // the settings that the visitor chose: the others follow the model

let elsewhere = null; // a model that the address names in vain

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
const profiling = new URLSearchParams(location.search).has("profile");

const first = modelInAddress() ?? recall("model") ?? undefined;
session.start(first === defaultModel ? undefined : first, {
	backend: () => $("backend").value,
	profile: profiling,
	onProgress: loadingProgress,
	onWarning: warn,
	onReady(g) {
		introduce(g);
		if (!run && prompt.value.trim() !== "") drawLive(0, { first: true }); // what was typed meanwhile
	},
});

// warn tells the visitor what the page has words for; the rest is for the console.
function warn(message) {
	console.info("wisp:", message);
	if (translated(message)) showNotice(sentence(message), { stays: true });
}

// choose takes another model, and remembers it for the next visit: undefined
// is the default one.
function choose(chosen) {
	touched.clear();
	run?.abort();
	session.use(chosen);
	load();
}

// reload begins anew, with another backend.
function reload() {
	run?.abort();
	session.restart();
	load();
}

function load() {
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
function loadingProgress(progress) {
	if (progress.stage === "download") downloaded = progress;
	at = downloaded?.loaded < downloaded?.total ? downloaded : progress;
	showLoading();
}

function showLoading() {
	if (!at) return work(t("loading"));
	const { stage, loaded, total } = at;
	if (stage === "download") work(t("downloading", { loaded: bytes(loaded), total: bytes(total) }), loaded, total);
	if (stage === "load" && loaded < total) work(t("reading"), loaded, total);
	if (stage === "compile") work(t("preparing"), loaded, total);
}

// introduce fills the page with what the model offers.
function introduce(g) {
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

function showModel() {
	if (!generator) return;
	const backend = $("backend").querySelector(`[value=${CSS.escape(generator.backend)}]`)?.textContent;
	$("model").textContent = [t("model", { name: generator.name }), generator.licence !== "unknown" && generator.licence, backend].filter(Boolean).join(" · ");
}

const texts = (list) => (Array.isArray(list) ? list.filter((s) => typeof s === "string").slice(0, 24) : []);

const brief = (style) => style.replace(/ style$/, "").replace(/^3d\b/, "3D");

function fillStyles(styles) {
	const before = chosenStyle();
	const box = $("styles");
	for (const old of box.querySelectorAll("label")) old.remove();
	for (const style of ["", ...styles]) {
		const radio = create("input", { type: "radio", name: "style", value: style, checked: style === (styles.includes(before) ? before : "") });
		box.append(create("label", {}, radio, create("span", { textContent: style === "" ? t("anyStyle") : capital(brief(named(style))) })));
	}
	box.hidden = styles.length === 0;
}

const chosenStyle = () => new FormData(form).get("style") ?? "";
const radios = () => [...form.querySelectorAll("[name=style]")];

function fillExamples(examples) {
	const box = $("examples");
	for (const old of box.querySelectorAll("button")) old.remove();
	for (const text of examples.slice(0, 6)) {
		const button = create("button", { type: "button", textContent: named(text).replace(/ style$/, "") });
		button.addEventListener("click", () => {
			setPrompt(named(text));
			draw({ fresh: true });
		});
		box.append(button);
	}
	prompt.placeholder = examples.length > 0 ? t("example", { text: named(examples[0]) }) : "";
}

// setPrompt puts words into the form; a style at their end goes to the chips.
function setPrompt(text) {
	const radio = radios().find((r) => r.value && text.endsWith(`, ${r.value}`));
	prompt.value = radio ? text.slice(0, -radio.value.length - 2) : text;
	const chip = radio ?? radios()[0];
	if (chip) chip.checked = true;
	hint();
	count();
}

// count tells how long the words are to the model that reads so many.
let counting = 0;
async function count() {
	const mine = ++counting, text = [translate(prompt.value.trim()), chosenStyle()].filter(Boolean).join(", ");
	const { tokens = 0, limit = 0 } = prompt.value.trim() && await generator?.countTokens(text, $("promptSyntax").value || undefined).catch(() => {}) || {};
	if (mine !== counting) return;
	$("tokens").textContent = limit ? `${tokens} / ${limit}` : "";
	$("tokens").classList.toggle("beyond", tokens > limit);
}

// The settings that are inputs of the same id, and how they read.
const inputs = { secondPrompt: String, promptSyntax: String, clipSkip: Number, class: Number, steps: Number, guidance: Number, sampler: String, schedule: String, width: Number, height: Number, count: Number };

// The tools beside the prompt come when somebody wants them.
let studio = null; // studio.js
let arriving = null; // the promise of it
function atStudio() {
	return arriving ??= import("./studio.js").then((module) => {
		module.install({ generator: () => generator, ready: session.ready, changed: drawLive, say: append, words: () => prompt.value, drawOne, size: formSize, picture: easel.current, enlarged: keepLarger });
		return studio = module;
	}).catch((err) => {
		arriving = null;
		throw err;
	});
}

const formSize = () => Object.fromEntries(["width", "height", "steps"].map((name) => [name, Number($(name).value)]));

// append adds words to the prompt.
function append(word) {
	prompt.value = [prompt.value.trim().replace(/,$/, ""), word].filter(Boolean).join(", ");
	prompt.dispatchEvent(new Event("input", { bubbles: true }));
}

// drawOne draws a prompt with the form's settings, when it is its turn among what
// programs wait for, and keeps the picture.
function drawOne(words, signal) {
	return programs.run(async (turn) => {
		const both = AbortSignal.any([turn, signal]);
		const g = await session.ready();
		const beside = studio.kept();
		const result = await session.generate({ ...await request({ fresh: true, words }), signal: both });
		await keepAll(await easel.show(await easel.fromResults([result]), easel.factsOf), g.name, beside);
	});
}

// begin draws from a picture: one of the page, or a file.
async function begin(blob, name, options) {
	await (await atStudio()).begin(blob, name, options);
	drawLive(0);
}

// setForm shows settings in the form, those of them that wanted says.
function setForm(settings, wanted = () => true) {
	for (const name of Object.keys(inputs)) {
		if (settings[name] === undefined || !wanted(name)) continue;
		const input = $(name);
		const value = String(settings[name]);
		if (input.tagName === "SELECT" && ![...input.options].some((o) => o.value === value)) input.add(new Option(value, value));
		if (input.type === "range") input.max = Math.max(input.max, settings[name]);
		input.value = value;
		showRange(input);
	}
}

function showRange(input) {
	if (input.type === "range") $(`${input.id}-value`).textContent = input.value;
}

// modelsOwn is what the form holds where nobody chose anything.
const modelsOwn = () => ({ count: 1, negativePrompt: "", ...plain, ...generator?.defaults, sampler: generator?.samplers[0]?.name });

// Settings that came with a picture and have no place in the form: they are shown,
// and count until they are taken away.
const further = ["guidanceRescale", "guidanceStart", "guidanceEnd", "guidanceMethod", "skipLayers", "sourcePrompt", "kept", "eta", "churn", "upscaleBy", "upscaler", "upscaleSteps", "upscaleStrength"];
let extras = {};

function showExtras() {
	const list = Object.entries(extras).map(([name, value]) => `${name} ${value}`);
	$("extras").hidden = list.length === 0;
	$("extras-list").textContent = list.join(", ");
}
$("extras-off").addEventListener("click", () => {
	extras = {};
	showExtras();
	drawLive(0);
});

// restore puts the settings of a picture back into the form, seed included: the
// next picture has it, and Generate then rolls a new one. What they leave out is
// the model's own, never what the form had.
function restore(settings) {
	studio?.end();
	free = false;
	const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
	for (const name of Object.keys(inputs)) {
		if (given[name] === undefined) touched.delete(name);
		else touched.add(name);
	}
	const all = { prompt: "", ...modelsOwn(), ...given };
	setForm(all);
	setPrompt(all.prompt.replace(/[{}]|__/g, "\\$&")); // which is to be said as it stands
	$("negative").value = all.negativePrompt;
	extras = Object.fromEntries(further.filter((name) => ![undefined, "", 0].includes(given[name])).map((name) => [name, given[name]]));
	showExtras();
	seed.value = all.seed ?? "";
	press(lock, all.seed !== undefined && !session.started());
}

// drawSaid draws what a file or a link says, once the model is there that knows
// its samplers, and tells what cannot be had.
async function drawSaid(said, name, always, files = new Map()) {
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

// needsWords tells whether the model draws nothing without; of the default one
// that is known before it is there.
const needsWords = () => (generator ? generator.fields.prompt && generator.fields.classes === 0 : session.chosenModel() === undefined);

// The seed chooses the style, where the visitor left it open, of another picture and
// of several: those of a model that was distilled to few steps would look alike.
let free = false;
const looks = () => (chosenStyle() ? [""] : ["", ...texts(generator?.settings.anyStyle)]);
const look = (words, seed) => (texts(generator?.settings.styles).some((style) => words.includes(style)) ? "" : looks()[seed % looks().length]);
const anySeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
const varies = (words) => /[{}]|__/.test(words);

// requests are one, or as many as pictures where each has words of its own: settings
// tell them, so that each can be drawn again.
async function requests({ other, ...options }) {
	const count = options.count ?? Number($("count").value);
	if (options.fresh) free = other || count > 1;
	const next = (more) => request({ ...options, ...more, open: free });
	let one = await next();
	for (let n = 0; other && n < 9 && one.prompt === easel.current()?.settings.prompt; n++) one = await next();
	if (count < 2 || !(free && looks().length > 1 || varies(prompt.value))) return [one];
	return Promise.all(Array.from({ length: count }, (_, i) => next({ count: 1, given: one.seed + i })));
}

// request reads the form, as far as the model does. fresh rolls a new seed unless one is kept; otherwise
// the one that is shown is used again.
async function request({ fresh = false, count, given, open, words: typedWords = prompt.value } = {}) {
	if (typedWords.trim() === "" && needsWords()) throw new WispError("bad-request", "the prompt is empty: say what to draw");
	const typed = seed.value.trim();
	const keep = typed !== "" && (pressed(lock) || !fresh);
	if (keep && !(/^\d{1,16}$/.test(typed) && Number.isSafeInteger(Number(typed)))) throw new WispError("bad-request", t("badSeed"));
	let drawn = given ?? (keep ? Number(typed) : undefined);
	let words = typedWords.trim();
	if (varies(words)) {
		const { vary } = await import("./compat.js");
		words = vary(words, drawn ??= anySeed(), studio?.wildcards);
	}
	words = translate(words);
	const style = chosenStyle() || open && look(words, drawn ??= anySeed());
	const read = Object.entries(inputs).map(([name, kind]) => [name, !reads(name) || $(name).value === "" ? undefined : kind($(name).value)]);
	return {
		...Object.fromEntries(read),
		...extras,
		...await studio?.request(formSize()),
		...(count && { count }),
		prompt: style && words ? `${words}, ${style}` : words,
		negativePrompt: reads("negative") ? $("negative").value.trim() : "",
		seed: drawn,
	};
}

let typing = 0; // the timer of a live picture to come
let resting = 0; // the timer after which a live picture counts
let keep = null; // puts the pictures on the easel into the history, once
let pace = 0; // milliseconds that the last picture took

// draw makes a picture. A live one supersedes what is under way and is not
// remembered until the visitor rests.
async function draw(options = {}) {
	run?.abort();
	const mine = run = new AbortController();
	mine.live = options.live === true;
	const { signal } = mine;
	clearTimeout(resting);
	clearTimeout(typing);
	busy(true);
	showError(null);
	if (!options.first) showNotice(null); // what loading had to tell stays
	try {
		await request(options); // what is wrong with it is said before the model is there
		if (!generator && $("work").hidden) work(t("loading"));
		const g = await abortable(session.ready(), signal);
		work(t("words"));
		if (!options.live) say(t("drawing"));
		// A picture that is there in no time needs no previews, which take some.
		const previews = !options.live || pace > 800;
		mine.beside = studio?.kept();
		const all = await requests(options), results = [];
		for (const one of all) results.push(await session.generate({ ...one, signal, previews, onStep: (step) => onStep(step, mine, results.length, all.length) }));
		if (run === mine) await show(results, g, mine);
	} catch (err) {
		if (run !== mine) return; // a newer picture took its place
		if (err.code === "aborted") say(t("cancelled"));
		else showError(err);
		if (err.code === "bad-request" && needsWords() && prompt.value.trim() === "") prompt.focus();
	} finally {
		if (run === mine) {
			run = null;
			busy(false);
		}
	}
}

// abortable lets the wait for the model be cancelled; loading itself goes on.
function abortable(promise, signal) {
	return new Promise((resolve, reject) => {
		signal.addEventListener("abort", () => reject(new WispError("aborted", "cancelled")), { once: true });
		promise.then(resolve, reject);
	});
}

// What programs ask for by /sdapi: it is shown, and gives way to the visitor.
const programs = new Queue(maxJobs, () => {
	$("programs").hidden = programs.length === 0;
	$("programs-count").textContent = t("programsWait", { n: programs.length });
});
$("programs-stop").addEventListener("click", () => programs.cancel(true));

function busy(on) {
	programs.hold("page", on);
	// While a live picture is made, the button still asks for a proper one.
	const cancels = on && !run.live;
	$("go").textContent = t(cancels ? "cancel" : "generate");
	$("go").classList.toggle("cancel", cancels);
	$("frame").classList.toggle("busy", on);
	if (on) return;
	$("preview").hidden = true;
	if (generator || !session.started()) work(null);
}

function onStep({ stage, step, steps, preview }, mine, done, all) {
	if (run !== mine) return;
	if (stage === "denoise") work(t("step", { step, steps }), step + done * steps, steps * all);
	if (stage === "decode") work(t("finishing"));
	if (preview && Number($("count").value) === 1) easel.preview(preview);
}

const rest = 1500; // milliseconds

async function show(results, g, { live, told: before, beside, larger }) {
	const [result] = results;
	const pictures = await easel.show(await easel.fromResults(results), easel.factsOf);
	pace = results.reduce((sum, { timings }) => sum + timings.total, 0);
	if (!pressed(lock)) seed.value = result.seed;
	if (!live) say(t("ready", { prompt: result.settings.prompt }));
	const told = [results.some(({ truncated }) => truncated) && t("truncated"), ...new Set(results.flatMap(({ notices, warnings }) => [...notices, ...warnings]).map(sentence))].filter(Boolean);
	if (told.length > 0) showNotice([before, ...told].filter(Boolean).join(" "), { stays: true });
	showModel();
	if (profiling) (await atStudio()).profile(result);
	root.pictures = Number(root.pictures ?? 0) + 1;
	if (!completed.has(g)) complete(g);
	let kept = null;
	keep = () => (kept ??= keepAll(pictures, g.name, beside));
	if (live) resting = setTimeout(keep, rest);
	else keep();
	if (larger) await enlargeBy(larger);
}

// What of a model no picture has needed yet, such as the encoder of pictures to begin
// with, comes when there is nothing else to do, so that it is there without a network.
const completed = new WeakSet(); // generators
let completing = 0; // a timer
const calm = 3000; // milliseconds
function complete(g) {
	clearTimeout(completing);
	if (navigator.connection?.saveData) return;
	completing = setTimeout(() => {
		if (g !== generator) return;
		if (run) return complete(g);
		completed.add(g);
		g.complete().catch(() => completed.delete(g)); // the next picture tries again
	}, calm);
}

// keepLarger shows what a picture's file became when it was enlarged, and keeps it.
const keepLarger = async (...what) => keepAll(await easel.show([await easel.enlarged(...what)], easel.lineOf), generator?.name ?? "");

// enlargeBy has a network enlarge what was drawn.
async function enlargeBy(name) {
	const { blob, image, settings } = easel.current(), s = await atStudio();
	const large = await s.programs.enlarged(image, { name });
	await keepLarger(blob, settings.prompt, large, { by: large.width / image.width, name });
}

let keeping = 0; // pictures on their way into the history

// keepAll keeps pictures, and what beside returns of what they began with.
async function keepAll(pictures, model, beside) {
	keeping += pictures.length;
	for (const p of pictures) {
		try {
			p.id = await past.history.add({ time: Date.now(), blob: p.blob, settings: p.settings, seed: p.seed, model, favourite: p.favourite === true, ...await beside?.() });
		} catch (err) {
			showError(err);
		}
		keeping--;
	}
}

// stop ends the picture under way and those that programs wait for.
function stop() {
	programs.cancel(true);
	run?.abort();
}

form.addEventListener("submit", (event) => {
	event.preventDefault();
	if (run && !run.live) stop();
	else draw({ fresh: true });
});
prompt.addEventListener("keydown", (event) => {
	if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
	event.preventDefault();
	draw({ fresh: true });
});
document.addEventListener("keydown", (event) => {
	if (event.key === "Escape") stop();
});

// Live drawing: after a pause in typing, and at once when a setting changes.
const pause = 250; // milliseconds
function drawLive(wait, options = {}) {
	clearTimeout(typing);
	if (!$("live").checked || !generator || needsWords() && prompt.value.trim().length < 2) return;
	typing = setTimeout(() => draw({ ...options, live: true }), wait);
}
prompt.addEventListener("input", (event) => {
	if (!event.isComposing) drawLive(pause);
	count();
});
prompt.addEventListener("compositionend", () => drawLive(pause));
$("negative").addEventListener("input", () => drawLive(pause));
for (const name of Object.keys(inputs)) {
	$(name).addEventListener("input", () => {
		touched.add(name);
		showRange($(name));
		if (name === "count") free = $(name).value > 1;
		drawLive(pause);
	});
}
$("styles").addEventListener("change", () => drawLive(0));
seed.addEventListener("input", () => {
	press(lock, seed.value.trim() !== "");
	drawLive(pause);
});
lock.addEventListener("click", () => press(lock, !pressed(lock)));
$("dice").addEventListener("click", () => {
	seed.value = anySeed();
	drawLive(0);
});
$("again").addEventListener("click", () => {
	press(lock, false);
	draw({ fresh: true, other: true });
});
$("vary").addEventListener("click", () => {
	press(lock, false);
	draw({ fresh: true, count: 4 });
});
$("reset").addEventListener("click", () => {
	touched.clear();
	setForm(modelsOwn());
	extras = {};
	showExtras();
	$("negative").value = "";
	drawLive(0);
});
$("backend").addEventListener("change", reload);

easel.whenChosen((picture) => {
	if (!pressed(lock)) seed.value = picture.seed;
});
$("star").addEventListener("click", async () => {
	const picture = easel.current();
	if (picture.id === undefined) await keep();
	picture.favourite = !picture.favourite;
	press($("star"), picture.favourite);
	await past.history.setFavourite(picture.id, picture.favourite).catch(showError);
});
$("more-ways").addEventListener("click", () => atStudio().then((s) => s.toggle()).catch(showError));
$("edit").addEventListener("click", () => begin(easel.current().blob, easel.current().settings.prompt).catch(showError));
$("enlarge").addEventListener("click", () => atStudio().then((s) => s.larger(easel.current().blob, easel.current().settings.prompt)).catch(showError));
past.start(async (picture) => {
	restore(picture.settings);
	if (studio || picture.start) await (await atStudio()).restore(picture);
	await easel.show([picture], easel.lineOf);
	$("easel").scrollIntoView({ block: "nearest" });
}, async (picture) => {
	setPrompt(picture.settings.prompt);
	await begin(picture.blob, picture.settings.prompt);
	scrollTo({ top: 0 });
});

// A link carries the words and the settings behind the #, which browsers do
// not send to any server.
$("link").addEventListener("click", async () => {
	const { settings } = easel.current();
	const url = new URL(`?${new URLSearchParams(inAddress())}`, location.href);
	url.hash = (await import("./compat.js")).writeLink(settings);
	try {
		await navigator.clipboard.writeText(url.href);
		showNotice(t("linkCopied"));
	} catch {
		showNotice(url.href, { stays: true });
	}
});
// inAddress names the model, where it is of this site: whoever follows the link
// may have another one in use.
function inAddress() {
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
const follow = () => followLink().catch((err) => err.code === "aborted" || showError(err));
addEventListener("hashchange", follow);

modelDialog.start(choose, () => generator);
gridDialog.start(() => ({
	generator,
	ready: session.drawing,
	request: () => request({ fresh: true }),
	styles: radios().map((r) => r.value).filter(Boolean),
	hold: (on) => programs.hold("sheet", on),
}));
watchDrops({
	restore: (said, name, files) => drawSaid(said, name, true, files),
	begin,
	take: async (kind, files) => {
		const s = await atStudio(), file = files.find(({ name }) => name !== "config.json");
		if (kind === "lora") await s.wear(file);
		else if (kind === "control") await s.steer(files);
		else {
			await s.keepUpscaler([file]);
			if (easel.current()) $("enlarge").click();
			else showNotice(t("modelKept", { size: bytes(file.size) }));
		}
	},
	learn: async (name, lines) => (await atStudio()).wildcards.set(name, lines),
	open: modelDialog.open,
});
// apiGenerator is what programs draw with: they name ControlNets, which the engine
// has by ids.
async function apiGenerator() {
	const g = await session.drawing(), { programs: named } = await atStudio();
	const given = async (one) => ({ ...one, id: await named.control(one.id) });
	return { ...g, controls: await named.controls(), generate: async (r) => g.generate({ ...r, ...(r.controls && { controls: await Promise.all(r.controls.map(given)) }) }) };
}

goOffline({
	idle: () => run === null && keeping === 0 && !gridDialog.drawing() && !importing(),
	ready: apiGenerator, enlarge: async (pixels, how) => (await atStudio()).programs.enlarged(pixels, how), upscalers: async () => (await atStudio()).programs.upscalers(), facts: () => generator, queue: programs, encode: toPNG, infotext: parametersOf,
	preprocess: (pixels, how) => (pixels ? preprocess(pixels, how) : preprocessors()),
	pixels: async (bytes, name) => (await import("./photo.js")).pixelsOf(new Blob([bytes]), name),
});

chooseLanguage().then(() => {
	if (elsewhere) showNotice(t("elsewhere", { name: elsewhere.slice(0, 200) }), { stays: true });
	if (language() !== "en") retell();
});
fill($("language"), Object.entries(languages).map(([tag, { name }]) => [tag, name]));
$("language").value = language();
$("language").addEventListener("change", async (event) => {
	remember("language", event.target.value);
	await setLanguage(event.target.value);
	retell();
});

// retell says in the page's language what scripts have said.
function retell() {
	busy(run !== null);
	if (root.life === "loading") showLoading();
	showModel();
	if (generator) introduce(generator);
	easel.retell();
}

// A first visit that had no network goes on when there is one.
addEventListener("online", () => root.state === "loading" && !session.started() && load());

// The model comes with the page, unless the visitor asked to save data: then
// it waits for the first picture.
if (navigator.connection?.saveData) {
	showNotice(t("saver"), { stays: true });
} else {
	load();
}
follow();
root.started = ""; // for boot.js
$("stuck").remove();
