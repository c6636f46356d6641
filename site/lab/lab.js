// The lab: two of sampler, schedule, steps and guidance against each other on the
// loaded model, with the time of each cell and its distance from the picture that
// 200 steps make.
import { createGenerator, WispError } from "./wisp.js";
import { chooseLanguage, language } from "./language.js";
import { $, create, download, duration, fill, sentence } from "./ui.js";

const words = {
	en: {
		title: "Samplers side by side", prompt: "Words", across: "Across", down: "Down", values: "Values", sampler: "Sampler", schedule: "Schedule", steps: "Steps", guidance: "Guidance",
		intro: "The same words, seed and model in every cell; only what you put along the sides differs. Each cell tells how long it took and how far its picture is from the one that 200 steps make.",
		loading: "The model is being loaded.", ready: "Ready.", reference: "Drawing with 200 steps, to measure by…", cell: "Cell {done} of {total}", took: "{total} cells in {time}, after {first} for the 200 steps.",
		curves: "Distance from the picture of 200 steps, by root of mean squares of colours of 0 to 255", png: "Save as PNG", csv: "Save as CSV", list: "This model's samplers", own: "the model's own",
		distance: "distance {d}", paper: "paper", bad: "Give one to eight values for each side, with commas between them.", same: "Choose two different settings for the sides.", stop: "Stop",
	},
	de: {
		title: "Sampler nebeneinander", prompt: "Wörter", across: "Waagrecht", down: "Senkrecht", values: "Werte", sampler: "Sampler", schedule: "Zeitplan", steps: "Schritte", guidance: "Führung",
		intro: "Dieselben Wörter, derselbe Startwert und dasselbe Modell in jedem Feld; nur was an den Rändern steht, ist verschieden. Jedes Feld sagt, wie lange es gedauert hat und wie weit sein Bild von dem entfernt ist, das 200 Schritte ergeben.",
		loading: "Das Modell wird geladen.", ready: "Bereit.", reference: "Zum Messen wird mit 200 Schritten gezeichnet…", cell: "Feld {done} von {total}", took: "{total} Felder in {time}, nach {first} für die 200 Schritte.",
		curves: "Abstand vom Bild aus 200 Schritten: Wurzel der mittleren Quadrate von Farben von 0 bis 255", png: "Als PNG speichern", csv: "Als CSV speichern", list: "Sampler dieses Modells", own: "der des Modells",
		distance: "Abstand {d}", paper: "Aufsatz", bad: "Für jeden Rand ein bis acht Werte, durch Kommas getrennt.", same: "Zwei verschiedene Einstellungen für die Ränder wählen.", stop: "Anhalten",
	},
	zh: {
		title: "并排比较采样器", prompt: "提示词", across: "横向", down: "纵向", values: "取值", sampler: "采样器", schedule: "调度", steps: "步数", guidance: "引导强度",
		intro: "每一格的提示词、种子和模型都相同，只有你放在两边的设置不同。每一格都会显示用时，以及与 200 步结果之间的距离。",
		loading: "正在加载模型。", ready: "就绪。", reference: "正在用 200 步绘制，作为比较的基准…", cell: "第 {done} 格，共 {total} 格", took: "{total} 格，用时 {time}；此前 200 步用时 {first}。",
		curves: "与 200 步图片的距离：颜色（0 到 255）的均方根", png: "保存为 PNG", csv: "保存为 CSV", list: "此模型的采样器", own: "模型自带",
		distance: "距离 {d}", paper: "论文", bad: "每一边请填写一到八个取值，以逗号分隔。", same: "两边请选择不同的设置。", stop: "停止",
	},
};
const say = (name, values = {}) => (words[language()] ?? words.en)[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");

const kinds = { sampler: String, schedule: String, steps: Number, guidance: Number };
const most = 8;
const exact = 200;
let generator = null;
let run = null; // AbortController
let sheet = null; // what was drawn, for saving

document.documentElement.dataset.started = ""; // for boot.js
await chooseLanguage();
for (const element of document.querySelectorAll("[data-lab]")) element.textContent = say(element.dataset.lab);
for (const element of document.querySelectorAll("[data-lab-aria-label]")) element.setAttribute("aria-label", say(element.dataset.labAriaLabel));
document.title = `wisp: ${say("title")}`;

try {
	generator = await createGenerator({ model: new URLSearchParams(location.search).get("model") ?? undefined });
	begin();
} catch (err) {
	fail(err);
}

function begin() {
	const { defaults, samplers, schedules, settings } = generator;
	const options = Object.keys(kinds).map((name) => [name, say(name)]);
	fill($("lab-x"), options);
	fill($("lab-y"), options);
	fill($("lab-sampler"), [["", say("own")], ...samplers.map((s) => [s.name, s.label])]);
	fill($("lab-schedule"), [["", say("own")], ...schedules.map((s) => [s.name, s.label])]);
	$("lab-steps").value = defaults.steps;
	$("lab-guidance").value = defaults.guidance;
	$("lab-prompt").value = settings.examples?.[0] ?? "";
	for (const [axis, name] of [["x", "sampler"], ["y", "steps"]]) {
		$(`lab-${axis}`).value = name;
		suggest(axis);
		$(`lab-${axis}`).addEventListener("change", () => suggest(axis));
	}
	$("lab-list").replaceChildren(...samplers.map((s) => create("li", {}, create("strong", { textContent: s.label }), ` (${s.name}): ${s.good} `, ...source(s))));
	$("lab-go").disabled = false;
	$("lab-state").textContent = say("ready");
}

// source is where a sampler is from: its paper, and its file in the engine's source.
function source({ paper, file }, folder = "engine/sampler/") {
	const code = create("code", { textContent: folder + file });
	return paper ? [create("a", { href: `https://arxiv.org/abs/${paper}`, target: "_blank", rel: "noopener", textContent: `${say("paper")} ${paper}` }), " ", code] : [code];
}

function suggest(axis) {
	const name = $(`lab-${axis}`).value;
	const { defaults, samplers, schedules } = generator;
	const usual = (wanted, list) => [...list.filter((s) => wanted.includes(s.name)), ...list].slice(0, 4).map((s) => s.name);
	$(`lab-${axis}-values`).value = {
		sampler: [...new Set(usual(["euler", "dpmpp_2m", "unipc", "heun"], samplers))],
		schedule: usual(["trailing", "karras", "normal", "beta"], schedules),
		steps: [1, 2, 4, 8],
		guidance: defaults.guidance > 1 ? [1, 3, 5, 8] : [1, 1.5, 2, 3],
	}[name].join(", ");
	for (const label of document.querySelectorAll("#lab .fixed")) label.hidden = [$("lab-x").value, $("lab-y").value].includes(label.dataset.for);
}

function axis(name) {
	const setting = $(`lab-${name}`).value;
	const values = $(`lab-${name}-values`).value.split(",").map((v) => v.trim()).filter(Boolean).map(kinds[setting]);
	if (values.length < 1 || values.length > most || values.some(Number.isNaN)) throw new WispError("bad-request", say("bad"));
	return { setting, values };
}

$("lab").addEventListener("submit", async (event) => {
	event.preventDefault();
	if (run) return run.abort();
	run = new AbortController();
	const label = $("lab-go").textContent;
	$("lab-go").textContent = say("stop");
	$("lab-error").hidden = true;
	try {
		const x = axis("x"), y = axis("y");
		if (x.setting === y.setting) throw new WispError("bad-request", say("same"));
		await draw(x, y, run.signal);
	} catch (err) {
		if (err.code !== "aborted") fail(err);
		$("lab-state").textContent = say("ready");
	} finally {
		run = null;
		$("lab-go").textContent = label;
	}
});

function fail(err) {
	$("lab-error").textContent = sentence(err.message ?? String(err));
	$("lab-error").hidden = false;
}

const text = (setting, value) => {
	const list = { sampler: generator.samplers, schedule: generator.schedules }[setting];
	return list?.find((s) => s.name === value)?.label ?? `${say(setting)} ${value}`;
};

async function draw(x, y, signal) {
	const base = {
		prompt: $("lab-prompt").value, seed: Number($("lab-seed").value), sampler: $("lab-sampler").value, schedule: $("lab-schedule").value || generator.defaults.schedule,
		steps: Number($("lab-steps").value), guidance: Number($("lab-guidance").value), count: 1, signal,
	};
	const began = performance.now();
	const solutions = await solve(base, x, y);
	const solved = performance.now();
	const table = create("table", {}, create("thead", {}, create("tr", {}, create("td"), ...x.values.map((v) => create("th", { scope: "col", textContent: text(x.setting, v) })))));
	const body = create("tbody");
	table.append(body);
	$("lab-sheet").replaceChildren(table);
	sheet = { x, y, cells: [], prompt: base.prompt, seed: base.seed };
	const total = x.values.length * y.values.length;
	for (const v of y.values) {
		const row = create("tr", {}, create("th", { scope: "row", textContent: text(y.setting, v) }));
		body.append(row);
		for (const w of x.values) {
			$("lab-state").textContent = say("cell", { done: sheet.cells.length + 1, total });
			row.append(await cell({ ...base, [x.setting]: w, [y.setting]: v }, solutions));
		}
	}
	const far = Math.max(...sheet.cells.map((c) => c.distance ?? 0), 1e-6);
	for (const c of sheet.cells) if (c.distance !== null) c.td.style.setProperty("--heat", String(c.distance / far));
	curves();
	$("lab-save").hidden = false;
	$("lab-state").textContent = say("took", { total, time: duration(performance.now() - solved), first: duration(solved - began) });
}

// solve draws, for each guidance that a cell has, with 200 steps.
async function solve(base, x, y) {
	$("lab-state").textContent = say("reference");
	const side = [x, y].find((a) => a.setting === "guidance");
	const sampler = ["dpmpp_2m", "euler"].find((name) => generator.samplers.some((s) => s.name === name)) ?? "";
	const solutions = new Map();
	for (const guidance of side?.values ?? [base.guidance]) {
		const { images } = await generator.generate({ ...base, guidance, sampler, schedule: generator.defaults.schedule, steps: exact });
		solutions.set(guidance, images[0]);
	}
	return solutions;
}

// cell draws one; what this model cannot have is said where its picture would be.
async function cell(request, solutions) {
	const s = generator.samplers.find(({ name }) => name === request.sampler) ?? generator.samplers[0];
	const td = create("td");
	const entry = { td, request, ms: null, distance: null, canvas: null };
	sheet.cells.push(entry);
	try {
		const { images: [image], timings } = await generator.generate(request);
		entry.canvas = create("canvas", { width: image.width, height: image.height });
		entry.canvas.getContext("2d").putImageData(image, 0, 0);
		entry.canvas.setAttribute("role", "img");
		entry.canvas.setAttribute("aria-label", `${s.label}, ${request.steps}`);
		entry.ms = timings.total;
		entry.distance = distance(image, solutions.get(request.guidance));
		td.append(entry.canvas, create("small", { textContent: `${duration(entry.ms)}, ${say("distance", { d: entry.distance.toFixed(1) })}` }));
	} catch (err) {
		if (err.code !== "bad-request") throw err;
		td.append(create("small", { textContent: sentence(err.message) }));
	}
	td.append(create("small", {}, ...source(s, "")));
	return td;
}

function distance(a, b) {
	let sum = 0;
	for (let i = 0; i < a.data.length; i++) if (i % 4 !== 3) sum += (a.data[i] - b.data[i]) ** 2;
	return Math.sqrt(sum / (a.data.length * 3 / 4));
}

const shape = (tag, attributes, content = "") => {
	const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
	for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
	element.textContent = content;
	return element;
};

// curves draws a line for each value of one side, along the other: along steps
// where a side has them.
function curves() {
	const { x, y, cells } = sheet;
	const down = y.setting === "steps";
	const [along, lines] = down ? [y, x] : [x, y];
	const at = (line, k) => cells[down ? k * x.values.length + line : line * x.values.length + k].distance;
	const w = 720, h = 320, left = 48, right = 150, top = 12, foot = 36;
	const all = cells.map((c) => c.distance).filter((d) => d !== null);
	const hi = Math.log(Math.max(...all, 1)), lo = Math.log(Math.max(Math.min(...all), 0.1));
	const px = (k) => left + (w - left - right) * (along.values.length > 1 ? k / (along.values.length - 1) : 0);
	const py = (d) => top + (h - top - foot) * (hi - Math.log(Math.max(d, 0.1))) / Math.max(hi - lo, 1e-6);
	const svg = shape("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": say("curves") });
	along.values.forEach((v, k) => svg.append(shape("text", { x: px(k), y: h - 12, "text-anchor": "middle", fill: "currentColor", "font-size": 12 }, along.setting === "steps" ? v : text(along.setting, v))));
	for (const d of [hi, (hi + lo) / 2, lo].map(Math.exp)) svg.append(shape("text", { x: left - 8, y: py(d) + 4, "text-anchor": "end", fill: "currentColor", "font-size": 12 }, d.toFixed(1)));
	lines.values.forEach((v, line) => {
		const colour = `hsl(${line * 360 / lines.values.length} 65% 50%)`;
		const points = along.values.map((_, k) => [k, at(line, k)]).filter(([, d]) => d !== null);
		svg.append(shape("polyline", { points: points.map(([k, d]) => `${px(k)},${py(d)}`).join(" "), fill: "none", stroke: colour, "stroke-width": 2 }));
		svg.append(shape("rect", { x: w - right + 12, y: top + line * 22, width: 12, height: 12, fill: colour }), shape("text", { x: w - right + 30, y: top + 11 + line * 22, fill: "currentColor", "font-size": 12 }, text(lines.setting, v)));
	});
	$("lab-curves").querySelector("svg")?.remove();
	$("lab-curves").prepend(svg);
	$("lab-curves").hidden = false;
}

$("lab-csv").addEventListener("click", () => {
	const quoted = (v) => (/[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : v);
	const rows = sheet.cells.map(({ request: r, ms, distance: d }) => [r.sampler || generator.samplers[0].name, r.schedule, r.steps, r.guidance, r.seed, r.prompt, ms?.toFixed(1) ?? "", d?.toFixed(3) ?? ""].map(quoted).join(","));
	download(new Blob([["sampler,schedule,steps,guidance,seed,prompt,ms,distance", ...rows, ""].join("\n")], { type: "text/csv" }), "wisp-lab.csv");
});

$("lab-png").addEventListener("click", async () => {
	const { x, y, cells } = sheet;
	const { width, height } = cells.find((c) => c.canvas)?.canvas ?? { width: 128, height: 128 };
	const left = 130, top = 28, tall = height + 18;
	const canvas = create("canvas", { width: left + x.values.length * width, height: top + y.values.length * tall });
	const context = canvas.getContext("2d");
	context.fillStyle = "#fff";
	context.fillRect(0, 0, canvas.width, canvas.height);
	context.fillStyle = "#000";
	context.font = "12px system-ui, sans-serif";
	x.values.forEach((v, i) => context.fillText(text(x.setting, v), left + i * width + 4, 18, width - 8));
	y.values.forEach((v, i) => context.fillText(text(y.setting, v), 4, top + i * tall + height / 2, left - 8));
	cells.forEach((c, i) => {
		const cx = left + i % x.values.length * width, cy = top + Math.floor(i / x.values.length) * tall;
		if (c.canvas) context.drawImage(c.canvas, cx, cy);
		if (c.distance !== null) context.fillText(`${duration(c.ms)}, ${c.distance.toFixed(1)}`, cx + 4, cy + height + 13, width - 8);
	});
	download(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), "wisp-lab.png");
});
