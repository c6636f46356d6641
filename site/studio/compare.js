// A slider over the picture: what it began with at one side, what it became at the
// other.
import { $, create, t } from "./ui.js";

let shown = null;

// compare shows before, a Blob, over the picture on the easel; again, or with the
// next picture, it goes.
export function compare(before) {
	if (shown) return end();
	const url = URL.createObjectURL(before);
	const image = create("img", { src: url, alt: "" });
	const at = create("input", { type: "range", min: 0, max: 100, value: 50 });
	at.setAttribute("aria-label", t("compareAt"));
	shown = create("div", { className: "before" }, image, create("i"), at);
	const move = () => shown.style.setProperty("--at", `${at.value}%`);
	at.addEventListener("input", move);
	move();
	image.onload = () => URL.revokeObjectURL(url);
	$("frame").append(shown);
	at.focus();
	new MutationObserver((_, watch) => {
		watch.disconnect();
		end();
	}).observe($("pictures"), { childList: true });
}

function end() {
	shown?.remove();
	shown = null;
}
