// The page's side of the service worker: register it, offer updates and to install
// the page, answer what it asks.
import { $, showNotice, t } from "./ui.js";

// start takes idle() (may the page be reloaded?) and what sdapi.js has for a page.
export function start(page) {
	addEventListener("offline", () => showNotice(t("offline")));
	addEventListener("beforeinstallprompt", (event) => {
		event.preventDefault();
		$("install").hidden = false;
		$("install").onclick = () => event.prompt();
	});
	addEventListener("appinstalled", () => { $("install").hidden = true; });
	const workers = navigator.serviceWorker;
	if (!workers) return;
	workers.addEventListener("message", ({ data, ports }) => answer(data, ports[0], page));
	workers.startMessages();
	// The first worker that a page gets takes nothing away, unless the host had
	// another version by then. Each further one has deleted the files that this
	// page is made of, whoever asked for it.
	let { controller } = workers;
	let reloading = false;
	workers.addEventListener("controllerchange", async () => {
		const first = controller === null;
		({ controller } = workers);
		if (reloading || first && await ask(controller, { type: "page" }) === document.documentElement.dataset.page) return;
		reloading = true;
		while (!idle(page)) await new Promise((resolve) => setTimeout(resolve, 200));
		location.reload();
	});
	register(workers).catch((err) => console.info("wisp: works without a service worker:", err.message));
}

const idle = (page) => page.idle() && page.queue.length === 0;

async function register(workers) {
	// After the page itself: it has the first claim to the connection.
	await new Promise((resolve) => (document.readyState === "complete" ? resolve() : addEventListener("load", resolve, { once: true })));
	const registration = await workers.register("sw.js", { updateViaCache: "none" });
	const offer = (worker) => {
		if (!worker || !workers.controller) return;
		$("update").hidden = false;
		worker.addEventListener("statechange", () => ($("update").hidden = worker.state !== "installed"));
		$("reload").onclick = async () => {
			const { updated } = await ask(worker, { type: "update" });
			if (!updated) showNotice(t("updateLater"));
		};
	};
	offer(registration.waiting);
	registration.addEventListener("updatefound", () => {
		const worker = registration.installing;
		worker.addEventListener("statechange", () => worker.state === "installed" && offer(worker));
	});
}

async function answer({ type, call, method, body, query } = {}, port, page) {
	if (type === "idle") port?.postMessage({ idle: idle(page) });
	if (type === "api?") port?.postMessage(true);
	if (type === "api") port?.postMessage(await (await import("./compat.js")).call(call, method, body, query, page));
}

// allow asks the service worker to let the page fetch from another origin; the
// page must be loaded again for it to count.
export const allow = async (origin) => (await tell({ type: "allow", origin }))?.allowed === true;

// revoke takes that back, and returns the origins that are left.
export const revoke = async (origin) => (await tell({ type: "revoke", origin }))?.origins ?? [];

// origins returns {origins, allowable}: those that are allowed, and whether one
// may be.
export const origins = async (origin) => await tell({ type: "origins", origin }) ?? { origins: [], allowable: true };

async function tell(message) {
	const worker = navigator.serviceWorker?.controller;
	return worker && ask(worker, message);
}

// ask sends a message and waits for the answer.
export function ask(worker, message) {
	const { port1, port2 } = new MessageChannel();
	return new Promise((resolve) => {
		port1.onmessage = ({ data }) => resolve(data);
		worker.postMessage(message, [port2]);
	});
}
