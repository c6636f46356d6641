// The tools beside the prompt: nothing of them shows, or is loaded, until somebody
// wants it. The page asks request() for what they add to a request, and kept() for
// what the history keeps beside a picture.
import { open as openCamera } from "./camera.js";
import * as batch from "./batch.js";
import * as control from "./control.js";
import * as enlarge from "./enlarge.js";
import * as loras from "./loras.js";
import { keep } from "./shelf.js";
import * as start from "./start.js";
import { choose, fromPage } from "./parts.js";
import { $, showError, t } from "./ui.js";

let host = null;
let ways = null; // the list behind the plus

// install takes the page: {generator(), ready(), changed(wait), say(word), words(),
// drawOne(words, signal), size(), picture(), shown(image, …)}: size is that of the
// form, with its steps, picture what is on the easel.
export function install(page) {
	host = page;
	start.install(page);
	loras.install(page);
	control.install({ ...page, size: () => ({ ...page.size(), ...start.request(page.size()) }), picture: () => start.current()?.bitmap ?? page.picture()?.blob });
}

export const { begin, kept, end } = start;
export const { add: wear } = loras;
export { compare } from "./compare.js";
export { show as profile } from "./profile.js"; // too small to be served by itself

// wildcards are the lines of wildcard files, by their names.
export const wildcards = new Map();

// request is what the tools add to a request; see start.js.
export async function request(form) {
	const begun = start.request(form);
	return { ...begun, ...await loras.request(), ...await control.request({ ...form, ...begun }) };
}

// What programs name, and files that are dropped.
export const programs = { controls: control.names, control: control.giveNamed, upscalers: enlarge.names, enlarged: enlarge.enlarged };
export const keepUpscaler = (files) => keep("upscaler", files);
export const steerAs = control.replace;
export const steer = control.add;

// larger opens the dialog that enlarges a picture; host.enlarged keeps the result.
export const larger = (blob, name) => enlarge.open(blob, name, (image, how) => host.enlarged(blob, name, image, how));

// toggle opens and closes the list of ways to draw.
export function toggle() {
	if (ways) return close();
	ways = fromPage("ways-list");
	for (const button of ways.children) {
		button.hidden = button.dataset.do === "beginCamera" && !navigator.mediaDevices?.getUserMedia;
		button.addEventListener("click", () => {
			close();
			Promise.resolve(does[button.dataset.do]()).catch(showError);
		});
	}
	ways.addEventListener("keydown", (event) => {
		if (event.key !== "Escape") return;
		event.stopPropagation();
		close();
		$("more-ways").focus();
	});
	$("studio").prepend(ways);
	$("more-ways").setAttribute("aria-expanded", "true");
	ways.querySelector("button").focus();
}

function close() {
	ways?.remove();
	ways = null;
	$("more-ways").setAttribute("aria-expanded", "false");
}

const does = {
	beginFile: () => choose("image/*", ([file]) => begin(file, file.name).then(() => host.changed(0))),
	beginCamera: () => openCamera((blob) => begin(blob, t("photo")).then(() => host.changed(0))),
	addLora: () => choose(".safetensors", ([file]) => loras.add(file)),
	addControl: control.open,
	enlarge: () => choose("image/*", ([file]) => larger(file, file.name)),
	batchOpen: () => batch.open(host, host.words()),
};

// restore shows what a picture of the history was made of.
export async function restore({ start: file, mask, outpaint, settings }) {
	start.end();
	if (file) await begin(file, t("startPicture"), { strength: settings.strength, mask, outpaint });
}
