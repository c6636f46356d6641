// The text of a report: what helps to find a fault, and no word or picture of the
// visitor's, nor the name of a model, which may be their own.
import { $ } from "./ui.js";
import { version } from "./wisp.js";

// report shows the text, and copies it where the browser lets it.
export function report(generator) {
	const box = $("report-text");
	box.textContent = [
		`wisp ${version}`,
		navigator.userAgent,
		`backend: ${generator?.backend}, ${generator?.device}, isolated: ${crossOriginIsolated}`,
		`error: ${$("error").dataset.code}`,
	].join("\n");
	box.hidden = false;
	return navigator.clipboard?.writeText(box.textContent).catch(() => {}); // it is there to be copied by hand
}
