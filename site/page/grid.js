// The dialog that varies two settings against each other.
import { WispError } from "./wisp.js";
import { $, create, dialog, fill, sentence, t } from "./ui.js";

const most = 8; // values on an axis
const kinds = { seed: Number, steps: Number, guidance: Number, sampler: String, schedule: String, style: String };
let source = null; // () => ({generator, ready, request, styles})
let run = null; // AbortController
let sheetURL = null;

// drawing tells whether a sheet is under way.
export const drawing = () => run !== null;

export function start(get) {
	source = get;
}

const box = dialog("grid", () => {
	const options = Object.keys(kinds).map((name) => [name, t(name)]);
	for (const axis of ["x", "y"]) fill($(`${axis}-name`), options);
	if ($("x-values").value === "") suggest("x", "guidance");
	if ($("y-values").value === "") suggest("y", "seed");
});
box.addEventListener("close", () => run?.abort());

for (const axis of ["x", "y"]) $(`${axis}-name`).addEventListener("change", (e) => suggest(axis, e.target.value));

// suggest fills an axis with values to start from.
function suggest(axis, name) {
	const { generator, styles } = source();
	const values = {
		seed: [1, 2, 3],
		steps: [1, 2, generator?.defaults.steps ?? 8],
		guidance: generator?.defaults.guidance === 1 ? [1, 1.5, 2] : [1, generator?.defaults.guidance ?? 3, 6],
		sampler: (generator?.samplers ?? []).slice(0, 4).map((s) => s.name),
		schedule: (generator?.schedules ?? []).slice(0, 4).map((s) => s.name),
		style: styles.slice(0, 4),
	}[name];
	$(`${axis}-name`).value = name;
	$(`${axis}-values`).value = values.join(", ");
}

function readAxis(axis) {
	const name = $(`${axis}-name`).value;
	const values = $(`${axis}-values`).value.split(",").map((v) => v.trim()).filter(Boolean).map(kinds[name]);
	if (values.length < 1 || values.length > most || values.some(Number.isNaN)) throw new WispError("bad-request", t("badValues"));
	return { name, values };
}

$("axes").addEventListener("submit", async (event) => {
	event.preventDefault();
	if (run) return run.abort();
	run = new AbortController();
	$("grid-go").textContent = t("cancel");
	$("grid-error").hidden = true;
	$("grid-save").hidden = true;
	$("grid-bar").hidden = false;
	$("grid-bar").value = 0;
	try {
		source().hold(true);
		await draw(readAxis("x"), readAxis("y"), run.signal);
	} catch (err) {
		if (err.code !== "aborted") {
			$("grid-error").textContent = sentence(err.message);
			$("grid-error").hidden = false;
		}
	} finally {
		run = null;
		source().hold(false);
		$("grid-go").textContent = t("draw");
		$("grid-bar").hidden = true;
	}
});

async function draw(x, y, signal) {
	const { ready, request } = source();
	const base = { ...await request(), count: 1, signal };
	base.seed ??= crypto.getRandomValues(new Uint32Array(1))[0]; // one for all
	const generator = await ready();
	const table = create("table", {}, create("thead", {}, create("tr", {}, create("td"), ...x.values.map((v) => heading(x.name, v, "col")))));
	const body = create("tbody");
	table.append(body);
	$("sheet").replaceChildren(table);
	const images = [];
	for (const yv of y.values) {
		const row = create("tr", {}, heading(y.name, yv, "row"));
		body.append(row);
		for (const xv of x.values) {
			const result = await generator.generate(apply(apply(base, x.name, xv), y.name, yv));
			const canvas = create("canvas", { width: result.images[0].width, height: result.images[0].height });
			canvas.getContext("2d").putImageData(result.images[0], 0, 0);
			canvas.setAttribute("role", "img");
			canvas.setAttribute("aria-label", `${t(x.name)} ${xv}, ${t(y.name)} ${yv}`);
			row.append(create("td", {}, canvas));
			images.push(canvas);
			$("grid-bar").value = images.length / (x.values.length * y.values.length);
		}
	}
	await offer(x, y, images);
}

const heading = (name, value, scope) => create("th", { scope, textContent: `${t(name)} ${value}` });

function apply(request, name, value) {
	if (name !== "style") return { ...request, [name]: value };
	return { ...request, prompt: `${request.prompt}, ${value}` };
}

// offer makes the sheet one picture, with its headings.
async function offer(x, y, images) {
	const { width, height } = images[0];
	const left = 120, top = 32;
	const canvas = create("canvas", { width: left + x.values.length * width, height: top + y.values.length * height });
	const context = canvas.getContext("2d");
	context.fillStyle = "#fff";
	context.fillRect(0, 0, canvas.width, canvas.height);
	context.fillStyle = "#000";
	context.font = "13px system-ui, sans-serif";
	context.textBaseline = "middle";
	x.values.forEach((v, i) => context.fillText(`${t(x.name)} ${v}`, left + i * width + 4, top / 2, width - 8));
	y.values.forEach((v, i) => context.fillText(`${t(y.name)} ${v}`, 4, top + (i + 0.5) * height, left - 8));
	images.forEach((image, i) => context.drawImage(image, left + (i % x.values.length) * width, top + Math.floor(i / x.values.length) * height));
	const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
	if (sheetURL) URL.revokeObjectURL(sheetURL);
	sheetURL = URL.createObjectURL(blob);
	$("grid-save").href = sheetURL;
	$("grid-save").hidden = false;
}
