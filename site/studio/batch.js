// Many prompts, one after the other: a line each, each as often as wished. They
// wait in the page's one queue, in which the visitor's own pictures go first.
import { opened, works } from "./parts.js";
import { t } from "./ui.js";

const most = 200; // pictures

// open shows the dialog; host.drawOne(words, signal) draws a line.
export function open(host, words) {
	const box = opened("many"), text = box.querySelector("textarea");
	text.value = words;
	works(box, async (signal, told, bar) => {
		const lines = text.value.split("\n").map((line) => line.trim()).filter(Boolean);
		const all = Array.from({ length: Number(box.querySelector("select").value) }, () => lines).flat();
		if (all.length > most) return t("batchMost", { n: all.length, most });
		for (let i = 0; i < all.length && !signal.aborted; i++) {
			bar.value = i / all.length;
			told.textContent = t("batchAt", { i: i + 1, n: all.length, prompt: all[i] });
			await host.drawOne(all[i], signal);
		}
		return t("batchDone", { n: all.length });
	});
}
