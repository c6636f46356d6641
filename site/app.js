// The page: it reads the form, calls wisp.js and shows what happens. All the
// work is done in wisp.js's worker.
import { createGenerator, toPNG, WispError } from "./wisp.js";

const $ = (id) => document.getElementById(id);
const form = $("form"), prompt = $("prompt"), go = $("go"), error = $("error"), notice = $("notice");
const steps = $("steps"), guidance = $("guidance"), seed = $("seed"), lock = $("lock");

// A model may be named in the address, but only one of this site.
function modelURL() {
	const name = new URLSearchParams(location.search).get("model");
	if (!name) return undefined;
	const url = new URL(name, location.href);
	return url.origin === location.origin ? url.href : undefined;
}

let loading = null; // the promise of the generator
let run = null; // the AbortController of the picture under way
let shown = null; // the last object URL
let touched = false; // the visitor has moved a slider; else they follow the model

// ready loads the model once; after a failure the next call tries again.
function ready() {
	loading ??= createGenerator({
		model: modelURL(),
		onProgress: loadingProgress,
		onWarning: (message) => console.info("wisp:", message),
	}).then(introduce, (err) => {
		loading = null;
		throw err;
	});
	return loading;
}

const megabytes = (n) => (n / 1e6).toFixed(1);

function loadingProgress({ stage, loaded, total }) {
	if (stage === "download") work(`Downloading the model, once: ${megabytes(loaded)} of ${megabytes(total)} MB`, loaded, total);
	if (stage === "load" && loaded < total) work("Reading the model", loaded, total);
	if (stage === "compile") work("Getting ready", loaded, total);
}

// introduce fills the page with what the model offers.
function introduce(generator) {
	const { defaults, settings } = generator;
	if (!touched) {
		setRange(steps, defaults.steps);
		setRange(guidance, defaults.guidance);
	}
	fillStyles(texts(settings.styles));
	fillExamples(texts(settings.examples));
	$("model").textContent = [`Model: ${generator.name}`, generator.licence !== "unknown" && generator.licence, `runs on ${backendName(generator.backend)}`].filter(Boolean).join(" · ");
	if (!run) work(null);
	document.documentElement.dataset.state = "ready";
	performance.mark("wisp-ready");
	return generator;
}

const texts = (list) => (Array.isArray(list) ? list.filter((s) => typeof s === "string").slice(0, 24) : []);
const backendName = (name) => ({ simd: "the processor (WebAssembly SIMD)", webgpu: "the graphics card (WebGPU)", cpu: "the processor (plain WebAssembly)" })[name] ?? name;

function setRange(input, value) {
	input.max = Math.max(input.max, value);
	input.value = value;
	showRange(input);
}

const showRange = (input) => ($(`${input.id}-value`).textContent = input.value);

function fillStyles(styles) {
	const box = $("styles");
	for (const old of box.querySelectorAll("label")) old.remove();
	for (const style of ["", ...styles]) {
		const label = document.createElement("label");
		const radio = Object.assign(document.createElement("input"), { type: "radio", name: "style", value: style, checked: style === "" });
		label.append(radio, style === "" ? "Any" : capital(brief(style)));
		box.append(label);
	}
	box.hidden = styles.length === 0;
}

const brief = (style) => style.replace(/ style$/, "").replace(/^3d\b/, "3D");
const capital = (s) => s.charAt(0).toUpperCase() + s.slice(1);

function fillExamples(examples) {
	const box = $("examples");
	for (const old of box.querySelectorAll("button")) old.remove();
	for (const text of examples.slice(0, 6)) {
		const button = Object.assign(document.createElement("button"), { type: "button", textContent: text.replace(/ style$/, "") });
		button.addEventListener("click", () => {
			choose(text);
			draw();
		});
		box.append(button);
	}
	box.hidden = examples.length === 0;
	prompt.placeholder = examples[0] ?? "";
}

// choose puts an example into the form; a style at its end goes to the chips.
function choose(text) {
	const radios = [...form.elements].filter((e) => e.name === "style");
	const radio = radios.find((r) => r.value && text.endsWith(`, ${r.value}`));
	prompt.value = radio ? text.slice(0, -radio.value.length - 2) : text;
	(radio ?? radios[0]).checked = true;
}

// work shows what is being done and how far it is; null ends it.
function work(text, loaded, total) {
	$("work").hidden = text === null;
	if (text === null) return;
	$("doing").textContent = text;
	const bar = $("bar");
	if (total > 0) bar.value = loaded / total;
	else bar.removeAttribute("value");
}

// say speaks to screen readers: only what matters, never every step.
const say = (text) => ($("spoken").textContent = text);

function showError(err) {
	error.hidden = !err;
	if (!err) return;
	const message = err.message ?? String(err);
	error.textContent = `${capital(message)}${/[.)]$/.test(message) ? "" : "."}`;
	error.dataset.code = err.code ?? "internal";
	console.error("wisp:", err);
}

function showNotice(text) {
	notice.textContent = text;
	notice.hidden = !text;
}

function request() {
	const style = new FormData(form).get("style");
	const words = prompt.value.trim();
	const typed = seed.value.trim();
	const keep = lock.getAttribute("aria-pressed") === "true";
	if (keep && typed !== "" && !/^\d{1,15}$/.test(typed)) throw new WispError("bad-request", "the seed is not a whole number of at most 15 digits");
	return {
		prompt: style && words ? `${words}, ${style}` : words,
		seed: keep && typed !== "" ? Number(typed) : undefined,
	};
}

// sliders is read once the model is there, which sets them.
const sliders = () => ({ steps: Number(steps.value), guidance: Number(guidance.value) });

async function draw() {
	if (run) return;
	run = new AbortController();
	busy(true);
	showError(null);
	showNotice("");
	const { signal } = run;
	try {
		const wanted = request();
		if (loading === null || document.documentElement.dataset.state !== "ready") work("Loading the model");
		const generator = await abortable(ready(), signal);
		work("Reading the words");
		say("Drawing");
		const r = await generator.generate({ ...wanted, ...sliders(), signal, previews: true, onStep });
		await show(r);
	} catch (err) {
		if (err.code !== "aborted") showError(err);
		else say("Cancelled");
		if (["internal", "out-of-memory", "device-lost"].includes(err.code)) loading = null;
	} finally {
		run = null;
		busy(false);
	}
}

// abortable lets the wait for the model be cancelled; loading itself goes on.
function abortable(promise, signal) {
	return new Promise((resolve, reject) => {
		signal.addEventListener("abort", () => reject(new WispError("aborted", "cancelled")), { once: true });
		promise.then(resolve, reject);
	});
}

function busy(on) {
	go.textContent = on ? "Cancel" : "Generate";
	go.classList.toggle("cancel", on);
	$("frame").classList.toggle("busy", on);
	if (on) return;
	$("preview").hidden = true;
	if (loading === null || document.documentElement.dataset.state === "ready") work(null);
}

function onStep({ stage, step, steps, preview }) {
	if (stage === "denoise") work(`Step ${step} of ${steps}`, step, steps);
	if (stage === "decode") work("Finishing the picture");
	if (preview) paint(preview);
}

function paint(image) {
	const canvas = $("preview");
	canvas.width = image.width;
	canvas.height = image.height;
	canvas.getContext("2d").putImageData(image, 0, 0);
	canvas.hidden = false;
	$("frame").classList.add("drawn");
	$("empty").hidden = true;
}

async function show(r) {
	const blob = await toPNG(r, 0);
	const picture = $("picture");
	const url = URL.createObjectURL(blob);
	if (shown) URL.revokeObjectURL(shown);
	shown = url;
	picture.src = url;
	picture.alt = r.settings.prompt;
	await picture.decode();
	picture.hidden = false;
	picture.classList.remove("fresh");
	void picture.offsetWidth; // lets the animation start again
	picture.classList.add("fresh");
	$("frame").classList.add("drawn");
	$("frame").style.aspectRatio = `${r.settings.width} / ${r.settings.height}`;
	$("empty").hidden = true;
	const save = $("save");
	save.href = url;
	save.download = `${r.settings.prompt.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "wisp"}-${r.seed}.png`;
	$("facts").textContent = facts(r);
	$("caption").hidden = false;
	if (lock.getAttribute("aria-pressed") !== "true") seed.value = r.seed;
	if (r.truncated) showNotice("The description is longer than the model can read, so its end was left out.");
	say(`The picture is ready: ${r.settings.prompt}`);
	document.documentElement.dataset.pictures = Number(document.documentElement.dataset.pictures ?? 0) + 1;
}

const time = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

function facts({ settings, seed, backend, timings }) {
	return `${settings.width} × ${settings.height} · seed ${seed} · ${settings.steps} steps · ${time(timings.total)} on ${backend}: ` +
		`words ${time(timings.text)}, steps ${time(timings.denoise)}, decoding ${time(timings.decode)}`;
}

form.addEventListener("submit", (event) => {
	event.preventDefault();
	if (run) run.abort();
	else draw();
});
prompt.addEventListener("keydown", (event) => {
	if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
	event.preventDefault();
	if (!run) draw();
});
document.addEventListener("keydown", (event) => {
	if (event.key === "Escape") run?.abort();
});
for (const range of [steps, guidance]) {
	range.addEventListener("input", () => {
		touched = true;
		showRange(range);
	});
}
seed.addEventListener("input", () => setLock(seed.value.trim() !== ""));
lock.addEventListener("click", () => setLock(lock.getAttribute("aria-pressed") !== "true"));
$("dice").addEventListener("click", () => (seed.value = crypto.getRandomValues(new Uint32Array(1))[0]));
$("again").addEventListener("click", () => {
	setLock(false);
	draw();
});

function setLock(on) {
	lock.setAttribute("aria-pressed", on);
}

// The model comes with the page, unless the visitor asked to save data: then
// it waits for the first picture.
if (navigator.connection?.saveData) {
	showNotice("To save data, the model is downloaded when you first press Generate.");
	document.documentElement.dataset.state = "waiting";
} else {
	work("Loading the model");
	ready().catch((err) => {
		if (!run) work(null);
		showError(err);
	});
}
