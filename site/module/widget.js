// <wisp-generator>: a picture from words in any page.
//
//   <script type="module" src="https://…/widget.js"></script>
//   <wisp-generator prompt="red heart" seed="1"></wisp-generator>
//
// Attributes: model, prompt, steps, seed, backend, live (draw while typing),
// name and required (in a form, the value is the picture), disabled, lang (else
// that of the page around it). The model is downloaded at the first picture.
// Parts to style: form, prompt, button, picture, empty (until there is one),
// status; custom properties: --wisp-accent, --wisp-on-accent, --wisp-ink,
// --wisp-paper, --wisp-round. Events, all of which bubble: wisp-ready,
// wisp-progress, wisp-step, wisp-image ({result, blob}), wisp-error ({code,
// message}).
import { arrive, known, sentence, text } from "./strings.js";
import { createGenerator, toPNG, WispError } from "./wisp.js";

const css = `
	:host { display: inline-block; inline-size: 20rem; max-inline-size: 100%; color: var(--wisp-ink, CanvasText); font: 1rem/1.4 system-ui, sans-serif; }
	:host([hidden]) { display: none; }
	[part=form] { display: flex; gap: .4rem; margin: 0 0 .5rem; }
	input, button { box-sizing: border-box; min-inline-size: 0; min-block-size: 2.5rem; padding: .3rem .8rem; border-radius: var(--wisp-round, 12px); font: inherit; }
	input { flex: 1; border: 1px solid color-mix(in srgb, currentColor 30%, transparent); background: var(--wisp-paper, Canvas); color: inherit; }
	button { border: 0; background: var(--wisp-accent, #4549c8); color: var(--wisp-on-accent, #fff); cursor: pointer; }
	:disabled { opacity: .5; cursor: default; }
	:focus-visible { outline: 2px solid var(--wisp-accent, #4549c8); outline-offset: 2px; }
	[part=empty] { inline-size: min(100%, 20rem); aspect-ratio: 1; margin-inline: auto; border-radius: var(--wisp-round, 12px); background: radial-gradient(circle at 35% 35%, color-mix(in srgb, var(--wisp-accent, #4549c8) 25%, transparent), transparent 70%), radial-gradient(circle at 70% 65%, #ffe9c466, transparent 65%), color-mix(in srgb, currentColor 4%, transparent); }
	img { display: block; inline-size: 100%; border-radius: var(--wisp-round, 12px); }
	p { margin: .4rem 0 0; min-block-size: 1.4em; font-size: .875rem; opacity: .8; overflow-wrap: anywhere; }
	[hidden] { display: none; }
	@media (forced-colors: active) { button, img, [part=empty] { border: 1px solid; } }
`;
let style = null; // all elements share it

function sheet() {
	if (!style) {
		style = new CSSStyleSheet();
		style.replaceSync(css);
	}
	return style;
}

const pause = 250; // milliseconds of rest before a live picture

// Servers that render pages load this module, too: there is nothing to define.
const Element = globalThis.HTMLElement ?? class {};

export class WispGenerator extends Element {
	static formAssociated = true;
	static observedAttributes = ["model", "backend", "prompt", "required", "lang"];

	#internals = this.attachInternals();
	#generator = null; // promise
	#run = null;
	#typing = 0;
	#url = null;
	#value = null; // File
	#language = "en";
	#input; #button; #image; #empty; #status;

	constructor() {
		super();
		const root = this.attachShadow({ mode: "open", delegatesFocus: true });
		root.adoptedStyleSheets = [sheet()];
		const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
		// No form element: a frame without allow-forms may not submit one.
		const form = make("div", {});
		form.part = "form";
		this.#input = make("input", { type: "text", dir: "auto", autocomplete: "off", maxLength: 20000 });
		this.#input.part = "prompt";
		this.#button = make("button", { type: "button" });
		this.#button.part = "button";
		this.#image = make("img", { hidden: true });
		this.#image.part = "picture";
		this.#empty = make("div", {});
		this.#empty.part = "empty";
		this.#status = make("p", {});
		this.#status.part = "status";
		this.#status.role = "status";
		form.append(this.#input, this.#button);
		root.append(form, this.#image, this.#empty, this.#status);
		const press = () => {
			if (this.#run) this.cancel();
			else this.generate().catch(() => {}); // said by wisp-error
		};
		this.#button.addEventListener("click", press);
		this.#input.addEventListener("keydown", (event) => {
			if (event.key === "Enter" && !event.isComposing) press();
		});
		this.#input.addEventListener("input", () => {
			clearTimeout(this.#typing);
			if (this.hasAttribute("live") && this.#input.value.trim().length > 1) this.#typing = setTimeout(() => this.generate().catch(() => {}), pause);
		});
	}

	attributeChangedCallback(name, before, now) {
		if (name === "prompt") this.#input.value = now ?? "";
		else if (name === "required") this.#check();
		else if (name === "lang") this.#speak();
		else if (before !== now) this.#drop(); // another model or backend
	}

	connectedCallback() {
		this.#speak();
	}

	// An element that was only moved is back by the time this looks.
	disconnectedCallback() {
		queueMicrotask(() => this.isConnected || this.#drop());
	}

	// What an element of a form has.
	get form() { return this.#internals.form; }
	get name() { return this.getAttribute("name") ?? ""; }
	set name(name) { this.setAttribute("name", name); }
	get type() { return this.localName; }
	get value() { return this.#value; }
	get validity() { return this.#internals.validity; }
	get validationMessage() { return this.#internals.validationMessage; }
	get willValidate() { return this.#internals.willValidate; }
	checkValidity() { return this.#internals.checkValidity(); }
	reportValidity() { return this.#internals.reportValidity(); }

	formResetCallback() {
		this.cancel();
		this.#input.value = this.getAttribute("prompt") ?? "";
		this.#reveal(false);
		this.#set(null);
	}

	formDisabledCallback(disabled) {
		if (disabled) this.cancel();
		this.#input.disabled = this.#button.disabled = disabled;
	}

	// The page around the element says its language, as for any text.
	async #speak() {
		this.#label();
		await arrive(this.#language);
		this.#label();
	}

	#label() {
		this.#language = known([this.closest("[lang]")?.lang, ...navigator.languages]) ?? "en";
		this.#input.setAttribute("aria-label", this.#t("describe"));
		this.#button.textContent = this.#t(this.#run ? "cancel" : "draw");
		this.#check();
	}

	#t(name, values) {
		return text(this.#language, name, values);
	}

	#reveal(picture) {
		this.#image.hidden = !picture;
		this.#empty.hidden = picture;
	}

	#set(file) {
		this.#value = file;
		this.#internals.setFormValue(file);
		this.#check();
	}

	#check() {
		const missing = this.hasAttribute("required") && !this.#value;
		this.#internals.setValidity(missing ? { valueMissing: true } : {}, missing ? this.#t("needPicture") : "", this.#input);
	}

	#drop() {
		clearTimeout(this.#typing);
		this.cancel();
		this.#generator?.then((g) => g.dispose(), () => {});
		this.#generator = null;
	}

	#tell(name, detail) {
		this.dispatchEvent(new CustomEvent(`wisp-${name}`, { detail, bubbles: true, composed: true }));
	}

	#load() {
		this.#generator ??= createGenerator({
			model: this.getAttribute("model") ?? undefined,
			backend: this.getAttribute("backend") ?? "auto",
			busy: "abort",
			onProgress: (progress) => {
				if (progress.stage === "download") this.#status.textContent = this.#t("loadingShare", { share: this.#share(progress) });
				this.#tell("progress", progress);
			},
		}).then((g) => {
			this.#tell("ready", { name: g.name, backend: g.backend });
			return g;
		}, (err) => {
			this.#generator = null;
			throw err;
		});
		return this.#generator;
	}

	#share({ loaded, total }) {
		return (total ? loaded / total : 1).toLocaleString(this.#language, { style: "percent" });
	}

	// cancel ends the picture under way.
	cancel() {
		this.#run?.abort();
	}

	// generate draws with the attributes and what request adds; it supersedes a
	// picture under way. The promise is of the result.
	async generate(request = {}) {
		this.cancel();
		const mine = this.#run = new AbortController();
		this.#button.textContent = this.#t("cancel");
		const number = (name) => (this.hasAttribute(name) ? Number(this.getAttribute(name)) : undefined);
		try {
			const generator = await this.#load();
			if (mine.signal.aborted) throw new WispError("aborted", "the request was cancelled");
			const result = await generator.generate({
				prompt: this.#input.value, steps: number("steps"), seed: number("seed"), ...request,
				signal: mine.signal,
				onStep: (step) => {
					if (step.stage === "denoise") this.#status.textContent = this.#t("step", step);
					this.#tell("step", step);
				},
			});
			const blob = await toPNG(result);
			if (this.#run === mine) this.#show(result, blob);
			return result;
		} catch (err) {
			if (this.#run === mine) {
				this.#status.textContent = err.code === "aborted" ? "" : sentence(this.#language, err.message);
				if (err.code !== "aborted") this.#tell("error", { code: err instanceof WispError ? err.code : "internal", message: err.message });
			}
			throw err;
		} finally {
			if (this.#run === mine) {
				this.#run = null;
				this.#button.textContent = this.#t("draw");
			}
		}
	}

	#show(result, blob) {
		if (this.#url) URL.revokeObjectURL(this.#url);
		this.#url = URL.createObjectURL(blob);
		this.#image.src = this.#url;
		this.#image.alt = result.settings.prompt;
		this.#reveal(true);
		this.#status.textContent = result.truncated ? this.#t("truncated") : "";
		this.#set(new File([blob], `${result.seed}.png`, { type: "image/png" }));
		this.#tell("image", { result, blob });
	}
}

// A page may come by this module twice, by two addresses.
if (globalThis.customElements?.get("wisp-generator") === undefined) globalThis.customElements?.define("wisp-generator", WispGenerator);
