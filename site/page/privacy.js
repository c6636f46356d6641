// The live counter of requests: the service worker sees every one.
import { ask, origins, revoke } from "./offline.js";
import { chooseLanguage } from "./language.js";
import { $, create, t } from "./ui.js";

document.documentElement.dataset.started = ""; // for boot.js
await chooseLanguage();
const worker = navigator.serviceWorker?.controller;
if (worker) {
	new BroadcastChannel("wisp-requests").onmessage = ({ data }) => show(data);
	show(await ask(worker, { type: "count" }));
}

function show({ since, here, ours, elsewhere, log, foreign }) {
	$("first").hidden = true;
	$("counter").hidden = $("since").hidden = false;
	$("here").textContent = here;
	$("network").textContent = ours;
	$("elsewhere").textContent = elsewhere;
	$("since").textContent = t("leavesSince", { time: new Date(since).toLocaleTimeString(document.documentElement.lang) });
	$("log").replaceChildren(...[...foreign, ...log].map((url) => create("li", { textContent: url.replace(location.origin, "") })));
}

// The sites that the visitor allowed, each of which can be taken back.
list((await origins()).origins);

function list(allowed) {
	$("allowed").hidden = allowed.length === 0;
	$("origins").replaceChildren(...allowed.map((origin) => {
		const button = create("button", { type: "button", className: "pill", textContent: t("forbid") });
		button.setAttribute("aria-label", `${t("forbid")}: ${origin}`);
		button.addEventListener("click", async () => list(await revoke(origin)));
		return create("li", {}, create("bdi", { textContent: origin }), " ", button);
	}));
}
