// The easel: the pictures of the last result, one of which is chosen, and what
// can be done with it.
import { toPNG } from "./wisp.js";
import { $, create, duration, fileName, language, place, press, showNotice, t } from "./ui.js";

// What is on the easel: [{blob, url, settings, seed, id}] and which is chosen.
let shown = [];
let chosen = 0;
let describe = null; // what show was given for facts

export const current = () => shown[chosen] ?? null;

// fromResults makes pictures of results: {blob, settings, seed, image, result} each.
export async function fromResults(results) {
	return Promise.all(results.flatMap((result) => result.images.map(async (image, i) => ({
		blob: await toPNG(result, i),
		image,
		seed: result.seed + i,
		settings: { ...result.settings, seed: result.seed + i, count: 1 },
		result,
	}))));
}

// enlarged is a picture of a file made larger: it has the file's settings, where
// they are told, and says what it is.
export async function enlarged(blob, name, image, { by, name: how }) {
	const { readMetadata } = await import("./compat.js");
	const { settings = {}, seed = 0 } = current()?.blob === blob ? current() : {};
	const said = (await readMetadata(new Uint8Array(await blob.arrayBuffer())))?.get("parameters");
	const parameters = [said, `Postprocess upscale by: ${by}, Postprocess upscaler: ${how}`].filter(Boolean).join(", ");
	const file = await toPNG({ images: [image], seed, parameters: said ? parameters : `\n${parameters}` });
	return { blob: file, image, seed, time: Date.now(), settings: { prompt: name, ...settings } };
}

// lineOf tells of a picture that was there before.
export const lineOf = ({ settings, seed, image: { width, height }, time }) => ({ line: [settings.prompt, `${width} × ${height}`, `${t("seed").toLowerCase()} ${seed}`, new Date(time).toLocaleString(language(), { dateStyle: "medium", timeStyle: "short" })].join(" · ") });

let newest = 0; // counts calls of show: one that was overtaken shows nothing

// show puts pictures on the easel and returns them; facts(picture) is {line,
// more}: the line below, and what it says when pointed at.
export async function show(pictures, facts) {
	const mine = ++newest;
	const fresh = await Promise.all(pictures.map(async (p) => ({ ...p, url: URL.createObjectURL(p.blob), image: p.image ?? await pixels(p.blob) })));
	const frames = await Promise.all(fresh.map(frame));
	const old = mine === newest ? shown : fresh;
	for (const { url } of old) URL.revokeObjectURL(url);
	if (old === fresh) return fresh;
	shown = fresh;
	describe = facts;
	const { width, height } = fresh[0].image;
	const box = $("pictures");
	for (const canvas of box.querySelectorAll("canvas")) canvas.width = 0; // its memory need not wait for the collector
	box.replaceChildren(...frames);
	box.style.setProperty("--columns", Math.ceil(Math.sqrt(fresh.length)));
	box.classList.toggle("many", fresh.length > 1);
	$("easel").style.setProperty("--ratio", width / height);
	$("frame").classList.add("drawn");
	$("empty").hidden = true;
	choose(0);
	return fresh;
}

async function pixels(blob) {
	const bitmap = await createImageBitmap(blob);
	const canvas = create("canvas", { width: bitmap.width, height: bitmap.height });
	const context = canvas.getContext("2d");
	context.drawImage(bitmap, 0, 0);
	return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

// frame is one picture: its file, for the context menu, under an enlarged copy.
async function frame(picture, i, all) {
	const { prompt } = picture.settings;
	const img = create("img", { src: picture.url, alt: all.length > 1 ? t("pictureName", { prompt, seed: picture.seed }) : prompt });
	const canvas = create("canvas");
	canvas.setAttribute("aria-hidden", "true");
	await paint(picture.image, canvas);
	const button = create("button", { type: "button" }, img, canvas);
	button.addEventListener("click", () => choose(i));
	return button;
}

// paint enlarges a small picture with a better filter than the style sheet's,
// off this thread.
async function paint(image, canvas) {
	const factor = image.width <= 256 && image.height <= 256 ? 4 : 1;
	const bitmap = await createImageBitmap(image, {
		resizeWidth: image.width * factor, resizeHeight: image.height * factor, resizeQuality: "high",
	});
	canvas.width = bitmap.width;
	canvas.height = bitmap.height;
	canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
}

// preview shows a step as it is: the next one is near.
export function preview(image) {
	const canvas = $("preview");
	canvas.width = image.width;
	canvas.height = image.height;
	canvas.getContext("2d").putImageData(image, 0, 0);
	canvas.hidden = false;
	$("frame").classList.add("drawn");
	$("empty").hidden = true;
}

function choose(i) {
	chosen = i;
	const picture = shown[i];
	for (const [k, button] of [...$("pictures").children].entries()) {
		if (shown.length > 1) press(button, k === i);
		else button.removeAttribute("aria-pressed");
	}
	$("save").href = picture.url;
	$("save").download = fileName(picture.settings);
	press($("star"), picture.favourite === true);
	retell();
	onChoose(picture);
}

// retell says the facts of the chosen picture, in the page's language.
export function retell() {
	if (!current()) return;
	const { line, more = "" } = describe(current());
	$("facts").textContent = line;
	$("facts").title = more;
}

let onChoose = () => {};

export function whenChosen(listener) {
	onChoose = listener;
}

// factsOf says how a picture was made, and where the time went; of several that
// differ in their words, those too.
export function factsOf({ seed, result: { settings, backend, timings } }) {
	const { text, denoise, decode, total } = Object.fromEntries(Object.entries(timings).map(([part, ms]) => [part, duration(ms)]));
	const own = shown.some((p) => p.settings.prompt !== settings.prompt) ? `${settings.prompt} · ` : "";
	return { line: own + t("facts", { ...settings, seed, backend: place(backend), total }), more: t("timings", { text, denoise, decode }) };
}

$("copy").addEventListener("click", async () => {
	try {
		await navigator.clipboard.write([new ClipboardItem({ "image/png": current().blob })]);
		showNotice(t("copied"));
	} catch {
		showNotice(t("noCopy"));
	}
});

const asFile = (picture) => new File([picture.blob], fileName(picture.settings), { type: "image/png" });

$("share").hidden = !navigator.canShare?.({ files: [new File([], "a.png", { type: "image/png" })] });
$("share").addEventListener("click", () => {
	navigator.share({ files: [asFile(current())] }).catch(() => {}); // the visitor changed their mind
});
