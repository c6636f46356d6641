// What watches over a page's start and imports nothing. Where a module or a style
// does not come, it asks for all again and loads the page anew, since a browser
// remembers a module that failed. Where that does not help, it says so. The page
// starts without it, too, and says by data-started that it has.
//
// `build`, {page, files: {path: SHA-256}}, and the text of bytes.js are put
// before this text when the site is built.
"use strict";

const { src } = document.currentScript;
const root = document.documentElement.dataset;
const before = history.state?.boot ?? { loads: 0 }; // what the page before this one left
const mostLoads = 3;
const silence = 10_000; // milliseconds in which a file must come

const sentences = {
	en: "This page did not arrive whole: check the connection and load it again. If it stays so, its server may be changing to a new version: try again in a minute.",
	zh: "此页面没有完整到达：请检查连接并重新加载。如果仍然如此，服务器可能正在更新版本：请一分钟后再试。",
	de: "Diese Seite kam nicht ganz an: prüfe die Verbindung und lade sie noch einmal. Bleibt es dabei, wird sie auf dem Server vielleicht gerade erneuert: versuche es in einer Minute wieder.",
};

root.page = build.page;
begin();

async function begin() {
	try {
		await started();
		if (history.state?.boot) history.replaceState(null, "");
		document.getElementById("stuck")?.remove();
		dress();
		const prompt = document.getElementById("prompt");
		if (prompt?.value === "") prompt.value = before.words ?? "";
	} catch (err) {
		console.info("wisp: the page did not start:", err);
		await again().catch(say);
	}
}

// started waits until the page's modules have run, which the browser tells by
// the page's load; it rejects where they failed, or no file came for a while.
function started() {
	return new Promise((resolve, reject) => {
		const look = (why) => ("started" in root ? resolve() : reject(new Error(why)));
		let timer;
		const wait = () => {
			clearTimeout(timer);
			timer = setTimeout(look, silence, "the connection stalled");
		};
		wait();
		new PerformanceObserver(wait).observe({ type: "resource" });
		if (document.readyState === "complete") look("a script failed");
		else addEventListener("load", () => look("a script failed"), { once: true });
	});
}

// again fetches the page's files with care, so that they are at hand, and loads
// the page anew. A file that is of another build may be right in a moment. What
// stalls is given up first: a browser has six connections to a plain host, and
// with all of them stalled not even a reload comes through.
async function again() {
	stop();
	try {
		await Promise.all(Object.entries(build.files).map(([path, hash]) => whole(new URL(path, src).href, { hash, cache: "reload" })));
	} catch (err) {
		if (!err.answered) throw err;
		await new Promise((resolve) => setTimeout(resolve, 1000 * 2 ** before.loads));
	}
	if (before.loads === mostLoads) throw new Error("it never starts");
	history.replaceState({ boot: { loads: before.loads + 1, words: document.getElementById("prompt")?.value } }, "");
	location.reload();
}

// dress asks again for a style sheet that did not come.
async function dress() {
	for (const link of document.querySelectorAll("link[rel=stylesheet]")) {
		if (link.sheet) continue;
		await whole(link.href, { cache: "reload" }).then(() => link.replaceWith(link.cloneNode()), () => {});
	}
}

function say(err) {
	console.info("wisp: the page cannot start:", err);
	const box = document.getElementById("error") ?? document.body.appendChild(document.createElement("p"));
	box.textContent = sentences[navigator.language.slice(0, 2)] ?? sentences.en;
	box.dataset.code = "network";
	box.hidden = false;
	document.getElementById("stuck")?.remove();
	addEventListener("online", () => location.reload());
}
