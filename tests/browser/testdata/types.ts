// Every name of the npm package in use, for the type checker only (make test-vite).
import { capabilities, createGenerator, models, parametersOf, removeModel, toPNG, WispError, type Result } from "wisp-generator";
import { importModel, inspectModel } from "wisp-generator/importer.js";
import { WispGenerator } from "wisp-generator/widget.js";
const stop = new AbortController();
const c = await capabilities("/models/default/");
const n: number = c.downloadBytes;
try {
	const g = await createGenerator({ backend: "simd", threads: 2, signal: stop.signal, busy: "abort", onProgress: (p) => console.log(p.stage) });
	const r: Result = await g.generate({ prompt: "a", onStep: ({ preview }) => preview?.width });
	const b: Blob = await toPNG(r, 0);
	console.log(parametersOf(r), b.size, n, (await models()).map((m) => removeModel(m.id)));
	const words: string[] = [g.id, g.name, g.licence, g.card, g.backend, g.device, ...g.samplers.map((s) => s.label), ...g.schedules.map((s) => s.name), r.settings.sampler, r.device, ...r.warnings];
	const numbers: number[] = [g.defaults.steps, r.settings.seed, r.timings.total, r.images[0].width, ...r.profile.map((k) => k.ms)];
	console.log(words, numbers, r.truncated, await g.generate({ ...r.settings, previews: true, busy: "reject" }));
	g.dispose();
	const files: [string, Blob][] = [["tiny/model_index.json", b]];
	const largest: number = (await inspectModel(files)).packedBytes.q8;
	await createGenerator({ model: await importModel(files, { quantise: "q8", name: String(largest), signal: stop.signal, onProgress: (p) => p.loaded / p.total }) });
} catch (e) {
	if (e instanceof WispError && e.code === "aborted") console.log(e.message);
}
const w: WispGenerator = document.querySelector("wisp-generator")!;
w.addEventListener("wisp-image", (e) => console.log(e.detail.blob.size, e.detail.result.seed));
const f: File | null = w.value;
w.lang = "de";
w.cancel();
console.log(w.form?.action, w.type, w.name, w.validity.valueMissing, w.validationMessage, w.willValidate, w.checkValidity(), w.reportValidity());
await w.generate({ seed: 1 });
// @ts-expect-error: no such backend
await createGenerator({ backend: "magic" });
console.log(f);
