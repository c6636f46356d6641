// Draws with the public module what GET jobs says, [{model, requests}], and
// posts the pixels back; then, as a second visit, the first of each model again.
import { createGenerator } from "/wisp.js";

const visit = new URLSearchParams(location.search).get("visit") ?? "1";

async function post(name, body) {
	const answer = await fetch(name, { method: "POST", body });
	if (!answer.ok) throw new Error(`${name}: HTTP status ${answer.status}`);
}

async function run(jobs) {
	for (const [j, { model, requests }] of jobs.entries()) {
		const generator = await createGenerator({ model: new URL(model, location.href) });
		for (const [r, request] of requests.slice(0, visit === "1" ? undefined : 1).entries()) {
			const { images } = await generator.generate(request);
			for (const [i, { width, height, data }] of images.entries()) {
				await post(`picture?visit=${visit}&job=${j}&request=${r}&image=${i}&width=${width}&height=${height}`, data);
			}
		}
		generator.dispose();
	}
}

try {
	await run(await (await fetch("jobs")).json());
	await post(`done?visit=${visit}&isolated=${crossOriginIsolated}`, "");
	if (visit === "1") location.search = "?visit=2";
} catch (err) {
	await post("failed", `visit ${visit}: ${err.code ?? "error"}: ${err.message}\n${err.stack}`);
}
