// The page: what the visitor does, and who answers. All the work is done in
// wisp.js's worker. The parts: session.js (the life of the generator), loading.js
// (until it is there), form.js (what is asked for), draw.js (pictures on their way),
// picture.js (the easel), past.js (the visitor's pictures), tools.js (what comes by
// need), follow.js (settings from outside), models.js, import.js and grid.js
// (dialogs), drop.js (files), offline.js (the service worker). What changes is
// changed by the part that declares it, alone.
import { busy, draw, drawLive, keep, pause, programs, run, stop } from "./draw.js";
import { start as watchDrops } from "./drop.js";
import { drawSaid, follow, inAddress } from "./follow.js";
import { anySeed, clearExtras, count, countChosen, form, inputs, lock, modelsOwn, prompt, radios, request, restore, seed, setForm, setPrompt, showRange, touched } from "./form.js";
import * as gridDialog from "./grid.js";
import { chooseLanguage, language, setLanguage } from "./language.js";
import { choose, defaultModel, elsewhere, first, introduce, load, loadingProgress, profiling, reload, root, showLoading, showModel, warn } from "./loading.js";
import { remember } from "./memory.js";
import * as modelDialog from "./models.js";
import * as past from "./past.js";
import * as easel from "./picture.js";
import { serving } from "./serving.js";
import { report } from "./report.js";
import * as session from "./session.js";
import { generator } from "./session.js";
import { languages } from "./strings.js";
import { atStudio, begin, studio } from "./tools.js";
import { $, bytes, fill, press, pressed, showError, showNotice, t } from "./ui.js";
import { version } from "./wisp.js";

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
$("programs-stop").addEventListener("click", () => programs.cancel(true));

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
		if (name === "count") countChosen();
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
	clearExtras();
	$("negative").value = "";
	drawLive(0);
});
$("extras-off").addEventListener("click", () => {
	clearExtras();
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
addEventListener("hashchange", follow);

$("report").onclick = () => report(generator);

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
serving();

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
$("version").textContent = version;
root.started = ""; // for boot.js
$("stuck").remove();
