// The service worker: after the first visit the page needs no network, and it
// gets the headers that threads need on hosts that cannot set any.
//
// `build`, {version, page, headers, files: {path: SHA-256}, later}, and the text
// of bytes.js are put before this text when the site is built. A version is installed whole, each file verified, or
// not at all, and takes over only when the page says so: no page ever gets half
// of two versions. What is in later is kept, verified, once somebody asked for
// it, and from then on installed with the rest.
"use strict";

const cacheName = `wisp-${build.version}`;
const settingsCache = "wisp-settings";
const scope = new URL(self.registration.scope);

self.addEventListener("install", (event) => event.waitUntil(install()));

// install touches only what it made: a cache of this version that was there
// before may be the one that pages live on. It is completed, never deleted.
async function install() {
	const before = await caches.has(cacheName);
	const cache = await caches.open(cacheName);
	try {
		const files = { ...build.files, ...(await asked() ? build.later : {}) };
		await Promise.all(Object.entries(files).map(async ([path, hash]) => await cache.match(new URL(path, scope)) ?? fetchInto(cache, path, hash)));
	} catch (err) {
		if (!before) await caches.delete(cacheName);
		throw err;
	}
}

// fetchInto keeps a file, if it is the one of this version.
async function fetchInto(cache, path, hash) {
	const { body, type } = await whole(new URL(path, scope).href, { hash, cache: "no-cache" });
	await cache.put(new URL(path, scope), new Response(body, { headers: { "Content-Type": type ?? "application/octet-stream" } }));
}

// asked tells whether an earlier version had to fetch what comes later.
async function asked() {
	return Boolean(await (await caches.open(settingsCache)).match(new URL("later", scope)));
}

self.addEventListener("activate", (event) => event.waitUntil((async () => {
	for (const name of await caches.keys()) {
		if (/^wisp-[0-9a-f]{16}$/.test(name) && name !== cacheName) await caches.delete(name);
	}
	await self.clients.claim();
})()));

// What the page asks for, with a port for the answer.
self.addEventListener("message", (event) => {
	const answer = (value) => event.ports[0]?.postMessage(value);
	switch (event.data?.type) {
	case "update": return event.waitUntil(update().then(answer));
	case "allow": return event.waitUntil(allow(event.data.origin).then(answer));
	case "revoke": return event.waitUntil(revoke(event.data.origin).then(answer));
	case "origins": return event.waitUntil(allowed().then((origins) => answer({ origins, allowable: isOrigin(event.data.origin) })));
	case "count": return answer(count);
	case "page": return answer(build.page);
	}
});

// update lets this version take over once no page is drawing.
async function update() {
	// The pages still belong to the version before this one.
	const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
	const idle = await Promise.all(pages.map(async (page) => (await ask(page, { type: "idle" }, 1000))?.idle !== false));
	if (!idle.every(Boolean)) return { updated: false };
	await self.skipWaiting();
	return { updated: true };
}

// ask puts a question to a page; undefined where it does not answer in time.
function ask(page, question, patience) {
	return new Promise((resolve) => {
		const { port1, port2 } = new MessageChannel();
		port1.onmessage = ({ data }) => resolve(data);
		if (patience) setTimeout(resolve, patience);
		page.postMessage(question, [port2]);
	});
}

// The origins, beside our own, that the visitor lets the page fetch models from.
// They go into a policy, so what is no plain origin is none, whoever kept it.
const isOrigin = (text) => /^https?:\/\/[a-z0-9._-]{1,253}(:\d{1,5})?$/.test(text);

async function allowed() {
	const answer = await (await caches.open(settingsCache)).match(new URL("origins", scope));
	const kept = answer ? await answer.json() : [];
	return kept.filter(isOrigin);
}

const keep = async (origins) => (await caches.open(settingsCache)).put(new URL("origins", scope), Response.json(origins));

async function allow(origin) {
	if (!isOrigin(origin)) return { allowed: false };
	await keep([...new Set([...await allowed(), origin])]);
	return { allowed: true };
}

async function revoke(origin) {
	const origins = (await allowed()).filter((one) => one !== origin);
	await keep(origins);
	return { origins };
}

// What has gone where since this worker started, for privacy.html: how many,
// and the addresses of the newest that left, those to other sites apart, so
// that our own do not push them out.
const count = { since: Date.now(), here: 0, ours: 0, elsewhere: 0, log: [], foreign: [] };
const counting = new BroadcastChannel("wisp-requests");

function note(url, answeredHere) {
	const ours = new URL(url).origin === scope.origin;
	count[answeredHere ? "here" : ours ? "ours" : "elsewhere"]++;
	const list = ours ? count.log : count.foreign;
	if (!answeredHere && list.push(url) > 50) list.shift();
	counting.postMessage(count);
}

self.addEventListener("fetch", (event) => {
	const url = new URL(event.request.url);
	if (!url.protocol.startsWith("http")) return;
	const path = inScope(url);
	if (/^(?:sdapi\/v1|controlnet)\//.test(path)) {
		note(url.href, true);
		return event.respondWith(api(path.replace("sdapi/v1/", ""), event.request, url.searchParams, event.clientId));
	}
	const file = path === "" ? "index.html" : path;
	if (event.request.method === "GET" && Object.hasOwn({ ...build.files, ...build.later }, file ?? "")) return event.respondWith(serve(file, event.request, event.clientId));
	note(url.href, false);
});

// inScope is the path of an address of ours, without the scope's own.
function inScope(url) {
	if (url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return null;
	try {
		return decodeURIComponent(url.pathname.slice(scope.pathname.length));
	} catch {
		return null; // a stray %
	}
}

async function serve(file, request, from) {
	const cache = await caches.open(cacheName);
	let kept = await cache.match(new URL(file, scope));
	note(request.url, Boolean(kept));
	if (!kept) {
		if (build.later[file]) await (await caches.open(settingsCache)).put(new URL("later", scope), new Response());
		kept = await putBack(cache, file);
	}
	const answer = kept ?? await fetch(request);
	const headers = new Headers(build.headers);
	headers.set("Content-Type", answer.headers.get("Content-Type") ?? "application/octet-stream");
	if (await isPages(file, request, from)) headers.set("Content-Security-Policy", policy(await allowed()));
	if (file === "embed.html") { // which any site may frame
		headers.set("Content-Security-Policy", headers.get("Content-Security-Policy").replace("; frame-ancestors 'none'", ""));
		headers.delete("X-Frame-Options");
	}
	return new Response(answer.body, { status: answer.status, headers });
}

// isPages tells whether a file is the page, or a worker that it starts: what the
// visitor allowed is theirs, not the widget's in a frame.
async function isPages(file, request, from) {
	if (file === "index.html") return true;
	const starter = request.destination === "worker" ? await self.clients.get(from) : null;
	return Boolean(starter) && isPage(starter.url);
}

const isPage = (url) => ["", "index.html"].includes(inScope(new URL(url)));

// putBack fetches what is missing of this version: what comes later, or what
// the browser lost. Where the host has another version by now, or the disk is
// full, there is none.
async function putBack(cache, file) {
	try {
		await fetchInto(cache, file, build.files[file] ?? build.later[file]);
		return await cache.match(new URL(file, scope));
	} catch {
		return undefined;
	}
}

// policy is that of server.go, with the origins of models added.
const policy = (origins) => build.headers["Content-Security-Policy"].replace("connect-src 'self'", ["connect-src 'self'", ...origins].join(" "));

// api answers AUTOMATIC1111's interface with the page that is open: programs
// written for a server run without one. What is not a script of this site gets no
// answer: a form or a frame of another one arrives as a navigation.
async function api(call, request, query, from) {
	if (!from || request.mode === "navigate" || request.destination !== "") return failed(403, "wisp answers scripts of its own site only");
	const body = await request.blob(); // read by the page, within its limits
	const page = await (answering ??= find().finally(() => { answering = null; }));
	if (page === undefined) return failed(503, "no page of wisp is open: open one, it does the drawing");
	if (page === null) return failed(503, "the page of wisp does not answer: reload it");
	const { status, answer, retryAfter } = await patiently(page, { type: "api", call, method: request.method, body, query: Object.fromEntries(query) });
	return Response.json(answer, { status, headers: retryAfter ? { "Retry-After": retryAfter } : {} });
}

let answering = null; // the promise of the page that answers, for all that ask at the same time

// find asks the pages at once and returns the first that answers; null where none
// does, undefined where there is none.
async function find() {
	const pages = (await self.clients.matchAll({ type: "window" })).filter(({ url }) => isPage(url));
	if (pages.length === 0) return undefined;
	return Promise.any(pages.map(async (page) => (await ask(page, { type: "api?" }, 5000) ? page : Promise.reject()))).catch(() => null);
}

// patiently asks a page for as long as it is open.
async function patiently(page, question) {
	const answer = ask(page, question);
	for (;;) {
		const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 1000))]);
		if (first) return first;
		if (!await self.clients.get(page.id)) return { status: 503, answer: refusal("the page of wisp was closed before the picture was done") };
	}
}

const refusal = (detail) => ({ error: "wisp", detail, body: "", errors: detail });
const failed = (status, detail) => Response.json(refusal(detail), { status });
