// The tools beside the prompt: nothing of them shows, or is loaded, until somebody
// wants it. The page asks request() for what they add to a request, and kept() for
// what the history keeps beside a picture.
import { open as openCamera } from "./camera.js";
import * as batch from "./batch.js";
import * as loras from "./loras.js";
import * as start from "./start.js";
import { pill } from "./parts.js";
import { $, create, showError, t } from "./ui.js";

let host = null;
let ways = null; // the list behind the plus

// install takes the page: {generator(), ready(), changed(wait), say(word), words(),
// drawOne(words, signal)}.
export function install(page) {
	host = page;
	start.install(page);
	loras.install(page);
}

export const { begin, kept, end } = start;
export const { add: wear } = loras;
export { compare } from "./compare.js";

// wildcards are the lines of wildcard files, by their names.
export const wildcards = new Map();

// request is what the tools add to a request; see start.js.
export const request = async (form) => ({ ...start.request(form), ...await loras.request() });

// toggle opens and closes the list of ways to draw.
export function toggle() {
	if (ways) return close();
	const item = (text, f) => pill(text, () => {
		close();
		Promise.resolve(f()).catch(showError);
	});
	ways = create("div", { id: "ways", className: "card" }, ...items().map(([text, f]) => item(text, f)));
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

const items = () => [
	["beginFile", () => choose("image/*", (file) => begin(file, file.name).then(() => host.changed(0)))],
	...(navigator.mediaDevices?.getUserMedia ? [["beginCamera", () => openCamera((blob) => begin(blob, t("photo")).then(() => host.changed(0)))]] : []),
	["addLora", () => choose(".safetensors", loras.add)],
	["batchOpen", () => batch.open(host, host.words())],
];

// choose asks for a file.
function choose(accept, use) {
	const input = create("input", { type: "file", accept });
	input.addEventListener("change", () => Promise.resolve(use(input.files[0])).catch(showError));
	input.click();
}

// restore shows what a picture of the history was made of.
export async function restore({ start: file, mask, outpaint, settings }) {
	start.end();
	if (file) await begin(file, t("startPicture"), { strength: settings.strength, mask, outpaint });
}
