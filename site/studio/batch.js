// Many prompts, one after the other: a line each, each as often as wished. They
// wait in the page's one queue, in which the visitor's own pictures go first.
import { about, choice, dialogOf, named, pill } from "./parts.js";
import { create, sentence, t } from "./ui.js";

const most = 200; // pictures

// open shows the dialog; host.drawOne(words, signal) draws a line, host.queue is the Queue.
export function open(host, words) {
	const text = about(create("textarea", { rows: 6, value: words, dir: "auto" }), "batchPrompts");
	const bar = create("progress", { max: 1, value: 0, hidden: true });
	const told = create("p", { role: "status" });
	let times = 1, run = null;
	const count = choice("batchTimes", [1, 2, 4, 8, 16].map((n) => [n, n]), 1, (n) => (times = Number(n)));
	const go = pill("draw", () => (run ? run.abort() : start().catch((err) => (told.textContent = sentence(err.message)))), "pill strong");
	const label = (name) => {
		go.dataset.t = name;
		go.textContent = t(name);
	};
	about(bar, "batch");
	async function start() {
		const lines = text.value.split("\n").map((line) => line.trim()).filter(Boolean);
		const all = Array.from({ length: times }, () => lines).flat();
		if (all.length > most) return (told.textContent = t("batchMost", { n: all.length, most }));
		const mine = run = new AbortController();
		label("cancel");
		bar.hidden = false;
		try {
			for (let i = 0; i < all.length && !mine.signal.aborted; i++) {
				bar.value = i / all.length;
				told.textContent = t("batchAt", { i: i + 1, n: all.length, prompt: all[i] });
				await host.drawOne(all[i], mine.signal);
			}
			told.textContent = mine.signal.aborted ? t("cancelled") : t("batchDone", { n: all.length });
		} catch (err) {
			if (err.code !== "aborted") throw err;
			told.textContent = t("cancelled");
		} finally {
			run = null;
			label("draw");
			bar.hidden = true;
		}
	}
	dialogOf("batch", "batch", "close", () => run?.abort(), named("p", "batchIntro"), text, create("div", { className: "tools" }, count.box, go), bar, told);
}
