// Pictures on their way: the one under way, live ones, those of programs, and what becomes of them.
import { lock, needsWords, prompt, request, requests, seed } from "./form.js";
import { maxJobs } from "./limits.js";
import { profiling, root, showModel } from "./loading.js";
import * as past from "./past.js";
import * as easel from "./picture.js";
import { Queue } from "./queue.js";
import * as session from "./session.js";
import { generator } from "./session.js";
import { atStudio, studio } from "./tools.js";
import { $, pressed, say, sentence, showError, showNotice, t, work } from "./ui.js";
import { WispError } from "./wisp.js";

export let run = null; // the AbortController of the picture under way

// drawOne draws a prompt with the form's settings, when it is its turn among what
// programs wait for, and keeps the picture.
export function drawOne(words, signal) {
	return programs.run(async (turn) => {
		const both = AbortSignal.any([turn, signal]);
		const g = await session.ready();
		const beside = studio.kept();
		const result = await session.generate({ ...await request({ fresh: true, words }), signal: both });
		await keepAll(await easel.show(await easel.fromResults([result]), easel.factsOf), g.name, beside);
	});
}

let typing = 0; // the timer of a live picture to come
let resting = 0; // the timer after which a live picture counts
export let keep = null; // puts the pictures on the easel into the history, once
let pace = 0; // milliseconds that the last picture took

// draw makes a picture. A live one supersedes what is under way and is not
// remembered until the visitor rests.
export async function draw(options = {}) {
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
export const programs = new Queue(maxJobs, () => {
	$("programs").hidden = programs.length === 0;
	$("programs-count").textContent = t("programsWait", { n: programs.length });
});

export function busy(on) {
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
export const keepLarger = async (...what) => keepAll(await easel.show([await easel.enlarged(...what)], easel.lineOf), generator?.name ?? "");

// enlargeBy has a network enlarge what was drawn.
async function enlargeBy(name) {
	const { blob, image, settings } = easel.current(), s = await atStudio();
	const large = await s.programs.enlarged(image, { name });
	await keepLarger(blob, settings.prompt, large, { by: large.width / image.width, name });
}

export let keeping = 0; // pictures on their way into the history

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
export function stop() {
	programs.cancel(true);
	run?.abort();
}

// Live drawing: after a pause in typing, and at once when a setting changes.
export const pause = 250; // milliseconds
export function drawLive(wait, options = {}) {
	clearTimeout(typing);
	if (!$("live").checked || !generator || needsWords() && prompt.value.trim().length < 2) return;
	typing = setTimeout(() => draw({ ...options, live: true }), wait);
}
