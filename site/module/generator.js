// A model to draw with.
import { sha256 } from "./bytes.js";
import { again, until } from "./engine.js";
import { aborted, WispError } from "./error.js";
import { fromHub } from "./packer.js";
import { checkBusy, controlOf, each, imageData, pixels, sentOf, settings } from "./sent.js";
import { keyOf, share } from "./shared.js";
import { fileOf, inHub, named } from "./source.js";
import { version } from "./version.js";

export async function createGenerator({ model, quantise, hub, token, backend = "auto", threads, memory, profile = false, signal, onProgress, onWarning, busy = "queue" } = {}) {
	checkBusy(busy);
	if (signal?.aborted) throw aborted();
	if (inHub(model)) model = await fromHub(model, { quantise, hub, token, signal, onProgress });
	const generator = new Generator({ model: named(model), backend, threads, memory, profile }, busy, (event) => {
		if (event.type === "warning") onWarning?.(event.message);
		else onProgress?.({ stage: event.stage, loaded: event.loaded, total: event.total });
	}, onWarning);
	try {
		await until(again(() => generator.load(), signal), signal);
		// Only a page may ask that the model be kept when the disk runs short.
		navigator.storage?.persist?.().catch(() => {});
		return generator;
	} catch (err) {
		generator.dispose();
		throw err;
	}
}

// hashOf names a LoRA's file as AUTOMATIC1111 does (modules/hashes.py, addnet): the
// SHA-256 of what follows its header, or what its maker wrote into it.
async function hashOf({ file, facts }) {
	const written = facts.metadata?.sshs_model_hash;
	if (written || !globalThis.crypto?.subtle || file.size > 1 << 29) return written?.slice(0, 12);
	const header = new DataView(await file.slice(0, 8).arrayBuffer()).getBigUint64(0, true);
	return (await sha256(await file.slice(8 + Number(header)).arrayBuffer())).slice(0, 12);
}

// The failures after which an engine is ended, and the next picture starts
// another: what it holds of memory is given back only so.
const deadly = ["out-of-memory", "device-lost", "internal"];

class Generator {
	#key;
	#options;
	#busy;
	#tell;
	#onWarning;
	#shared = null;
	#gone = false; // disposed of
	#additions = new Map(); // id -> {kind, id, file, name, config, facts}, LoRAs and ControlNets
	#runs = new Set(); // the AbortControllers of every run that has not ended

	constructor(options, busy, tell, onWarning) {
		this.#key = keyOf(options);
		this.#options = options;
		this.#busy = busy;
		this.#tell = tell;
		this.#onWarning = onWarning;
	}

	// load resolves to the engine, once it has the model: another one where the
	// one before died.
	async load() {
		if (this.#gone) throw aborted();
		const shared = this.#shared = share(this.#key, this.#options);
		shared.users.add(this.#tell);
		Object.assign(this, await shared.facts); // name, licence, backend, device, defaults, fields, samplers, settings
		return shared;
	}

	get loras() {
		return this.#added("Lora");
	}

	get controls() {
		return this.#added("Control");
	}

	addLora(source, options) {
		return this.#add("Lora", source, options);
	}

	addControl(source, options) {
		return this.#add("Control", source, options);
	}

	removeLora(id) {
		return this.#remove(id);
	}

	removeControl(id) {
		return this.#remove(id);
	}

	#added(kind) {
		return [...this.#additions.values()].filter((one) => one.kind === kind).map(({ facts }) => facts);
	}

	async #add(kind, source, { name, config } = {}) {
		const file = await fileOf(source);
		const one = { kind, id: `${kind}${Math.random()}`, file, name: name ?? file.name, config: config && JSON.stringify(config) };
		const { shared: { engine }, done } = await this.#turn();
		try {
			await this.#give(engine, one);
			this.#additions.set(one.id, one);
			return one.facts;
		} finally {
			done();
		}
	}

	// #give has an engine read an addition that it has not.
	async #give(engine, one) {
		if (engine.additions.has(one.id)) return;
		one.facts = await engine.call(`add${one.kind}`, one);
		engine.additions.add(one.id);
	}

	async #remove(id) {
		const kind = this.#additions.get(id)?.kind;
		this.#additions.delete(id);
		if (kind && this.#shared?.engine.additions.delete(id)) await this.#shared.engine.call(`remove${kind}`, id);
	}

	// Of a text, without waiting for a turn.
	async countTokens(prompt, promptSyntax) {
		return (await this.load()).engine.call("countTokens", { prompt, promptSyntax });
	}

	async complete() {
		return (await this.load()).engine.call("complete");
	}

	async generate({ signal, onStep, busy = this.#busy, loras, controls, references, ...request } = {}) {
		const unknown = Object.keys(request).find((name) => !settings.includes(name) && name !== "outpaint" && request[name] !== undefined);
		if (unknown) throw new WispError("bad-request", `${unknown} is no field of a request`);
		checkBusy(busy);
		if (busy === "reject" && this.#runs.size > 0) {
			throw new WispError("bad-request", "a picture is being made: wait or cancel it");
		}
		if (busy === "abort") this.#abortAll();
		const run = new AbortController();
		const stop = () => run.abort();
		if (signal?.aborted) stop();
		signal?.addEventListener("abort", stop, { once: true });
		this.#runs.add(run);
		try {
			request.seed ??= crypto.getRandomValues(new Uint32Array(1))[0];
			return await again(() => this.#run(request, { loras, controls, references }, run.signal, onStep), run.signal);
		} catch (err) {
			throw run.signal.aborted ? aborted() : err;
		} finally {
			signal?.removeEventListener("abort", stop);
			this.#runs.delete(run);
		}
	}

	// abortAll ends the run under way and those that wait.
	#abortAll() {
		for (const run of this.#runs) run.abort();
	}

	// #turn waits for a living engine that is free.
	async #turn(signal) {
		for (;;) {
			const shared = await until(this.load(), signal);
			const turn = shared.turn();
			try {
				const done = await until(turn, signal);
				if (!shared.engine.dead) return { shared, done };
				done();
			} catch (err) {
				turn.then((done) => done());
				throw err;
			}
		}
	}

	async #run(request, { loras, controls, references }, signal, onStep) {
		const strange = controls?.find(({ id }) => this.#additions.get(id)?.kind !== "Control");
		if (strange) throw new WispError("bad-request", `controls: there is no ${strange.id}`);
		const sent = {
			...await sentOf(request), loras, wardrobe: this.loras.map(({ id }) => id),
			controls: await each(controls, controlOf), references: await each(references, async (image) => (await pixels({ image })).image),
		};
		const warnings = [];
		const { shared: { engine }, done } = await this.#turn(signal);
		let answered = () => {};
		const cancel = () => { answered = engine.cancel(); };
		signal.addEventListener("abort", cancel);
		try {
			for (const one of this.#additions.values()) await this.#give(engine, one);
			const r = await engine.call("generate", sent, ({ type, message, stage, step, steps, preview }) => {
				if (type !== "warning") return onStep?.({ stage, step, steps, preview: preview ? imageData(preview) : null });
				warnings.push(message);
				this.#onWarning?.(message);
			});
			return { ...r, parameters: await this.#signed(r.parameters, controls), warnings, images: r.images.map(imageData) };
		} catch (err) {
			if (deadly.includes(err.code)) engine.close(err);
			throw err;
		} finally {
			signal.removeEventListener("abort", cancel);
			answered();
			done();
		}
	}

	// #signed adds to the settings which LoRAs were worn and which ControlNets steered,
	// as AUTOMATIC1111 and its extension write them, and behind "Version: wisp", which.
	async #signed(parameters, controls = []) {
		const worn = [...this.#additions.values()].filter(({ kind, facts }) => kind === "Lora" && parameters.includes(`<lora:${facts.name}:`));
		const hashes = await Promise.all(worn.map(async (one) => [one.facts.name.replace(/[:,]/g, ""), await (one.hash ??= hashOf(one).catch(() => {}))]));
		const known = hashes.filter((pair) => pair[1]).map((pair) => pair.join(": "));
		const said = controls.map(({ id, preprocess: name = "none", weight = 1, start = 0, end = 1 }, i) => [`ControlNet ${i}`, `Module: ${name.name ?? name}, Model: ${this.#additions.get(id).facts.name}, Weight: ${weight}, Guidance Start: ${start}, Guidance End: ${end}`]);
		if (known.length > 0) said.push(["Lora hashes", known.join(", ")]);
		const at = parameters.lastIndexOf(", CFG scale: ");
		return parameters.slice(0, at) + said.map(([name, text]) => `, ${name}: ${JSON.stringify(text)}`).join("") + parameters.slice(at) + (version && ` ${version}`);
	}

	dispose() {
		this.#gone = true;
		this.#abortAll();
		for (const id of this.#additions.keys()) this.#remove(id).catch(() => {}); // the engine may end
		this.#shared?.leave(this.#tell);
	}
}
