// The page: a form over the public module. All drawing is in wisp.js's worker;
// this file only shows what it says.
import { createGenerator, toPNG, WispError } from "./wisp.js";

const $ = (id) => document.getElementById(id);
const state = (name) => { document.body.dataset.state = name; };

const page = { generator: null, result: null };
globalThis.wispPage = page;

let running = null; // the AbortController of the picture being drawn

const seconds = (ms) => (ms < 995 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
const megabytes = (n) => `${(n / 1e6).toFixed(1)} MB`;

function progress(value, max = 1) {
	$("bar").max = max;
	if (value === null) $("bar").removeAttribute("value");
	else $("bar").value = value;
}

function showError(err) {
	const text = err instanceof WispError ? `${advice[err.code] ?? ""} ${err.message}` : String(err);
	$("error").textContent = text.trim();
	$("error").hidden = false;
}

function hideError() { $("error").hidden = true; }

// What a visitor can do about each kind of failure.
const advice = {
	unsupported: "This browser cannot run wisp: try a current Chrome, Edge, Firefox or Safari.",
	network: "The model could not be downloaded. Check the connection, then reload: what has arrived is kept.",
	corrupt: "The download arrived damaged more than once. Reload to try again.",
	quota: "There is no room in this browser's storage.",
	"out-of-memory": "There is not enough memory: close other tabs, or choose a smaller size.",
	"device-lost": "The graphics device went away. Try again.",
	"bad-model": "This model cannot be used.",
	internal: "Something went wrong in the engine. Reload the page.",
};

// load makes the generator for the model in ?model=, or the default one.
async function load() {
	state("loading");
	const model = new URLSearchParams(location.search).get("model") ?? undefined;
	const started = performance.now();
	page.generator = await createGenerator({
		model,
		busy: "abort",
		onProgress({ stage, loaded, total }) {
			if (stage === "download") {
				$("status").textContent = `Fetching the model: ${megabytes(loaded)} of ${megabytes(total)}`;
				progress(loaded, total);
			} else if (stage === "compile") {
				$("status").textContent = "Preparing the engine…";
				progress(null);
			}
		},
		onWarning: (message) => console.warn(message),
	});
	page.readyAfter = performance.now() - started;
	settings(page.generator);
	$("status").textContent = "Ready.";
	$("go").disabled = false;
	state("ready");
}

// settings fills the controls from what the model recommends.
function settings({ defaults, samplers, settings, name, licence }) {
	const { styles = [], examples = [] } = settings;
	$("steps").value = defaults.steps;
	$("guidance").value = defaults.guidance;
	for (const id of ["steps", "guidance"]) {
		const show = () => { $(`${id}-value`).textContent = $(id).value; };
		$(id).addEventListener("input", show);
		show();
	}
	$("sampler").replaceChildren(...samplers.map((s) => new Option(s.label, s.name)));
	chooseStyles(styles);
	$("examples").hidden = examples.length === 0;
	$("examples").replaceChildren(...examples.slice(0, 10).map((text) => {
		const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
		button.addEventListener("click", () => { $("prompt").value = text; draw(); });
		return button;
	}));
	$("model").textContent = [name && `Model: ${name}`, licence].filter(Boolean).join(", ");
}

function chooseStyles(styles) {
	if (styles.length === 0) return;
	$("styles").hidden = false;
	for (const [i, style] of ["", ...styles].entries()) {
		const label = document.createElement("label");
		const radio = Object.assign(document.createElement("input"), { type: "radio", name: "style", value: style, checked: i === 0 });
		radio.addEventListener("change", () => { if ($("prompt").value.trim()) draw(); });
		label.append(radio, style ? style.replace(/ style$/, "") : "any");
		$("styles").append(label);
	}
}

function request() {
	const style = new FormData($("form")).get("style");
	const prompt = $("prompt").value;
	const seed = $("seed").value;
	return {
		prompt: prompt.trim() && style ? `${prompt.trim()}, ${style}` : prompt,
		negativePrompt: $("negative").value,
		seed: seed !== "" && ($("lock").checked || seed !== page.lastSeed) ? Number(seed) : undefined,
		steps: Number($("steps").value),
		guidance: Number($("guidance").value),
		sampler: $("sampler").value,
		previews: $("previews").checked,
	};
}

async function draw(change = {}) {
	if (!page.generator) return;
	hideError();
	const controller = running = new AbortController();
	state("busy");
	$("go").textContent = "Cancel";
	progress(0);
	try {
		const result = await page.generator.generate({ ...request(), ...change, signal: controller.signal, onStep: showStep });
		await show(result);
	} catch (err) {
		if (running !== controller) return; // a newer picture took its place
		$("status").textContent = err.code === "aborted" ? "Cancelled." : "No picture this time.";
		if (err.code !== "aborted") showError(err);
	} finally {
		if (running === controller) {
			running = null;
			$("go").textContent = "Draw";
			$("preview").hidden = true;
			state("ready");
		}
	}
}

function showStep({ stage, step, steps, preview }) {
	if (stage === "denoise") {
		$("status").textContent = `Step ${step} of ${steps}`;
		progress(step, steps + 1);
	} else if (stage === "decode") {
		$("status").textContent = "Decoding…";
	}
	if (preview) {
		const canvas = $("preview");
		canvas.width = preview.width;
		canvas.height = preview.height;
		canvas.getContext("2d").putImageData(preview, 0, 0);
		canvas.hidden = false;
	}
}

async function show(result) {
	page.result = result;
	const url = URL.createObjectURL(await toPNG(result));
	const { text, denoise, decode, total } = result.timings;
	$("picture").src = url;
	$("picture").alt = result.settings.prompt;
	$("picture").hidden = false;
	$("empty").hidden = true;
	$("seed").value = page.lastSeed = String(result.seed);
	$("status").textContent = `Drawn in ${seconds(total)}.` + (result.truncated ? " The prompt was longer than the model reads: its end was left out." : "");
	$("details").textContent = `${result.backend} · text ${seconds(text)} · steps ${seconds(denoise)} · decode ${seconds(decode)} · seed ${result.seed}`;
	for (const id of ["save", "copy", "again"]) $(id).disabled = false;
	remember(url, result);
}

const remembered = 60; // pictures kept for this visit

// remember puts the picture in front of this visit's row.
function remember(url, result) {
	const button = Object.assign(document.createElement("button"), { type: "button", title: result.settings.prompt });
	const img = Object.assign(document.createElement("img"), { src: url, alt: result.settings.prompt });
	button.append(img);
	button.addEventListener("click", () => {
		page.result = result;
		$("picture").src = url;
		$("picture").alt = img.alt;
		$("seed").value = page.lastSeed = String(result.seed);
		$("status").textContent = result.settings.prompt;
	});
	$("history").prepend(button);
	$("history").hidden = false;
	const oldest = $("history").children[remembered];
	if (oldest) {
		URL.revokeObjectURL(oldest.firstChild.src);
		oldest.remove();
	}
}

$("form").addEventListener("submit", (event) => {
	event.preventDefault();
	if (running && event.submitter === $("go")) running.abort();
	else draw();
});

$("dice").addEventListener("click", () => {
	$("seed").value = "";
	draw();
});

$("again").addEventListener("click", () => draw({ seed: undefined }));

$("save").addEventListener("click", async () => {
	const link = document.createElement("a");
	link.href = URL.createObjectURL(await toPNG(page.result));
	link.download = `${page.result.settings.prompt.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60)}-${page.result.seed}.png`;
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});

$("copy").addEventListener("click", async () => {
	try {
		await navigator.clipboard.write([new ClipboardItem({ "image/png": toPNG(page.result) })]);
		$("status").textContent = "Copied.";
	} catch {
		$("status").textContent = "This browser does not let the page copy pictures: save it instead.";
	}
});

load().catch((err) => {
	state("error");
	$("status").textContent = "wisp could not start.";
	showError(err);
});
