// Every field that wisp reads is done, refused by its name, or told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { txt2imgFields, txt2imgOf, optionsOf } from "../a1111.js";
import { parseWorkflow } from "../comfy.js";
import { nodeInputs } from "../nodes.js";
import { sorted, tables } from "../fields.js";
import { readLink, writeLink } from "../link.js";
import { methodOf } from "../names.js";
import { settle } from "../said.js";
import { generator, workflowOf } from "./corpus.js";

const example = { prompt: "p", negativePrompt: "n", seed: 7, steps: 3, guidance: 2, width: 64, height: 128, count: 2, sampler: "Euler", schedule: "Karras", model: "m", size: "64x128", secondPrompt: "o", promptSyntax: "a1111", clipSkip: 2, class: 1, fromOne: 2, fromZero: 1, fromEnd: -2, eta: 0.5, churn: "20", guidanceStart: 0.1, guidanceEnd: 0.9, guidanceRescale: 0.7, rescale: 0.7, guidanceMethod: "apg", skipLayers: "7 8", reuse: "deepcache interval=2", sourcePrompt: "a red heart", kept: "cross=0.5", upscaleBy: 2, upscaleSteps: 4, upscaleStrength: 0.5, upscaler: "Latent" };
const becomes = { size: { width: 64, height: 128 }, fromOne: { clipSkip: 2 }, fromZero: { clipSkip: 2 }, fromEnd: { clipSkip: 2 }, rescale: { guidanceRescale: 0.7 }, upscaler: { upscaler: "latent" } };

for (const [tool, table] of Object.entries(tables)) {
	test(`every field of ${tool}`, () => {
		for (const [field, setting] of Object.entries(table.done)) {
			const { settings, lost } = sorted([[field, example[setting]]], table);
			assert.deepEqual(settings, becomes[setting] ?? { [setting]: example[setting] }, field);
			assert.deepEqual(lost, []);
			const wrong = sorted([[field, { x: 1 }]], table); // no such value
			assert.deepEqual([wrong.settings, wrong.lost], [{}, [`${field}: {"x":1}`]]);
		}
		for (const field of table.facts) assert.deepEqual(sorted([[field, "x"]], table), { settings: {}, lost: [] }, field);
		for (const [field, values] of Object.entries(table.off)) {
			for (const value of values) assert.deepEqual(sorted([[field, value]], table), { settings: {}, lost: [] }, field);
			assert.deepEqual(sorted([[field, "something"]], table), { settings: {}, lost: [`${field}: something`] });
			assert.ok(!table.facts.includes(field) && !Object.hasOwn(table.done, field), `${field} is two things`);
		}
		assert.deepEqual(sorted([["A field of tomorrow", "1"], ["constructor", "1"]], table).lost, ["A field of tomorrow: 1", "constructor: 1"]);
	});
}

test("every field of txt2img", () => {
	const { done, facts, refused, options } = txt2imgFields;
	const of = (body) => txt2imgOf({ prompt: "a", ...body }, generator, ["flat"]);
	const { promptSyntax } = of({}).request;
	assert.equal(promptSyntax, "a1111");
	const values = { prompt: "b", negative_prompt: "c", styles: ["flat"], seed: 7, steps: 3, cfg_scale: 2, width: 64, height: 64, batch_size: 2, n_iter: 3, sampler_name: "Euler", sampler_index: "Euler", scheduler: "Karras", send_images: true, override_settings: {} };
	assert.deepEqual(Object.keys(values).sort(), Object.keys(done).sort());
	for (const [name, value] of Object.entries(values)) assert.deepEqual(of({ [name]: value }).notices, [], name);
	assert.deepEqual(of(values), { request: { prompt: "b, flat", negativePrompt: "c", promptSyntax, seed: 7, clipSkip: undefined, steps: 3, guidance: 2, width: 64, height: 64, sampler: "euler", schedule: "karras" }, count: 6, notices: [] });
	assert.deepEqual(of({ seed: "7", steps: "3", cfg_scale: "2.5" }).request, { ...of({}).request, seed: 7, steps: 3, guidance: 2.5 });
	for (const name of ["seed", "steps", "width", "height", "batch_size", "n_iter"]) for (const bad of ["x", 1.5, {}, true]) assert.throws(() => of({ [name]: bad }), { code: "bad-request", message: new RegExp(`^${name} is `) });
	for (const name of facts) assert.deepEqual(of({ [name]: 1 }), of({}), name);
	for (const [name, values] of Object.entries(refused)) {
		for (const value of [null, ...values]) assert.deepEqual(of({ [name]: value }), of({}), name);
		assert.throws(() => of({ [name]: "x" }), { code: "bad-request", message: `wisp does not support ${name}` });
	}
	for (const [name, values] of Object.entries(options)) {
		for (const value of [null, ...values]) optionsOf({ [name]: value }, generator);
		if (name !== "CLIP_stop_at_last_layers") assert.throws(() => of({ override_settings: { [name]: "x" } }), { code: "bad-request", message: `wisp does not support the option ${name}` });
	}
	assert.throws(() => optionsOf({ anything: 1 }, generator), { message: "wisp does not support the option anything" });
	assert.throws(() => optionsOf({ sd_model_checkpoint: "other" }, generator), { message: /^the model is emoji/ });
	optionsOf({ sd_model_checkpoint: null, samples_format: "png" }, generator);
	assert.deepEqual(of({ tomorrow: 1 }).notices, ["tomorrow: not known here"]);
	assert.deepEqual(of({ prompt: "a <lora:x:1>, (b:1.2)", styles: ["none"], sampler_name: "DPM2 a", eta: 0.5 }), { request: { ...of({}).request, prompt: "a, (b:1.2)", sampler: undefined, schedule: "karras" }, count: 1, notices: ["Sampler: DPM2 a", "eta: 0.5", "<lora:x:1>", "styles: none"] });
	// A model that reads no weights: the engine tells, where there are any.
	const plain = { ...generator, fields: { ...generator.fields, weights: false, clipSkip: 0 } };
	assert.deepEqual(["a", "a (b:1.2)"].map((prompt) => txt2imgOf({ prompt }, plain, []).request.promptSyntax), [undefined, "a1111"]);
	const skip = (layer, g = generator) => (({ request, notices }) => [request.clipSkip, notices])(txt2imgOf({ override_settings: { CLIP_stop_at_last_layers: layer } }, g, []));
	assert.deepEqual([1, null, 2, "12"].map((n) => skip(n)), [[undefined, []], [undefined, []], [2, []], [12, []]]);
	assert.deepEqual([skip(13), skip(0), skip(2, plain), skip(1, plain)], [[undefined, ["CLIP_stop_at_last_layers: 13"]], [undefined, ["CLIP_stop_at_last_layers: 0"]], [undefined, ["CLIP_stop_at_last_layers: 2"]], [undefined, []]]);
	for (const bad of ["x", 1.5, {}]) assert.throws(() => skip(bad), { code: "bad-request", message: /^CLIP_stop_at_last_layers is / });
	assert.throws(() => optionsOf({ CLIP_stop_at_last_layers: 2 }, generator), { message: "wisp does not support the option CLIP_stop_at_last_layers" });
	assert.equal(of({ sampler_name: "", sampler_index: "DDIM" }).request.sampler, "ddim");
	assert.throws(() => of({ sampler_name: "magic" }), { message: /^sampler "magic" is not one of Euler, / });
	assert.throws(() => of({ scheduler: "magic" }), { message: /^scheduler "magic" is not one of Karras, / });
	assert.throws(() => of({ n_iter: 65 }), { message: "batch_size times n_iter is 65: choose 1 to 64" });
	// What clients send with every request.
	const quiet = { alwayson_scripts: { ControlNet: { args: [] }, ADetailer: { args: [false, { ad_model: "face.pt" }] }, Other: { args: [{ enabled: false, image: "x" }] } }, eta: 0, script_name: null, script_args: [], s_churn: "0", tiling: false };
	assert.deepEqual(of(quiet), of({}));
	assert.deepEqual(of({ sampler_name: "Euler a", eta: 1 }).notices, []);
	assert.throws(() => of({ alwayson_scripts: { ControlNet: { args: [{ image: "x" }] } } }), { message: "there is no ControlNet None" });
});

test("ControlNet's units", () => {
	const made = { ...generator, controls: ["edges"] };
	const unit = (more) => ({ alwayson_scripts: { controlnet: { args: [{ image: "x", model: "edges [0123abcd]", ...more }, { enabled: false, image: "y" }] } } });
	const of = (more, begins) => txt2imgOf({ prompt: "p", ...unit(more) }, made, [], begins).request.controls;
	assert.deepEqual(of({ module: "canny", weight: 0.5, guidance_start: 0.1, guidance_end: 0.9, threshold_a: 50, threshold_b: -1 }), [{ id: "edges", image: "x", weight: 0.5, start: 0.1, end: 0.9, preprocess: { name: "canny", low: 50 } }]);
	assert.deepEqual(of({ model: "edges", image: { image: "z", mask: null } })[0].image, "z");
	assert.deepEqual(of({ image: null, input_image: "old" })[0].image, "old");
	assert.deepEqual(of({ image: undefined }, ["b"])[0].image, "b");
	for (const [more, message] of [[{ model: "depth" }, "there is no ControlNet depth"], [{ control_mode: 2 }, "wisp does not support the control_mode 2"], [{ weight: "x" }, "weight is not a number"], [{ image: undefined }, "a ControlNet has no image"]]) assert.throws(() => of(more), { message });
});

test("every input of a workflow's nodes", () => {
	const r = { ...example, negativePrompt: "fog\nrain" };
	const graph = () => workflowOf(r, ["euler", "karras"]);
	const { settings, lost } = parseWorkflow(graph());
	assert.deepEqual([settings, lost], [{ prompt: "p", negativePrompt: "fog\nrain", seed: 7, steps: 3, guidance: 2, width: 64, height: 128, count: 1, sampler: "euler", schedule: "karras", model: "sd15.safetensors" }, []]);
	for (const [id, node] of Object.entries(graph())) {
		if (node.class_type === "Note" || node.class_type === "PreviewImage") continue;
		for (const input of Object.keys(node.inputs)) {
			assert.ok(Object.hasOwn(nodeInputs[node.class_type], input), `${node.class_type}.${input}`);
			if (["filename_prefix", "ckpt_name"].includes(input)) continue; // which change no picture here
			const changed = graph();
			delete changed[id].inputs[input];
			assert.throws(() => parseWorkflow(changed), { code: "bad-request", message: new RegExp(`^node ${id} \\(${node.class_type}\\): its input "${input}"`) });
		}
		const more = graph();
		more[id].inputs.tomorrow = [1, { a: 2 }];
		assert.deepEqual(parseWorkflow(more).lost, ['tomorrow: [1,{"a":2}]'], node.class_type);
	}
	const many = graph();
	many[5].inputs.batch_size = 3;
	assert.deepEqual(parseWorkflow(many).lost, ["batch_size: 3"]);
	const vae = graph();
	vae[12] = { class_type: "VAELoader", inputs: { vae_name: "x.pt" } };
	vae[8].inputs.vae = ["12", 0];
	assert.deepEqual(parseWorkflow(vae).lost, ["vae_name: x.pt"]);
	const stopped = (layers) => {
		const g = graph();
		layers.forEach((layer, i) => {
			g[20 + i] = { class_type: "CLIPSetLastLayer", inputs: { clip: ["4", 1], stop_at_clip_layer: layer } };
			g[6 + i].inputs.clip = [String(20 + i), 0];
		});
		return g;
	};
	assert.deepEqual([[-2, -2], [-1, "-1"]].map((layers) => parseWorkflow(stopped(layers)).settings.clipSkip), [2, 1]);
	assert.throws(() => parseWorkflow(stopped([-2])), { message: "node 7 (CLIPTextEncode): its stop_at_clip_layer is not that of node 6 (CLIPTextEncode): wisp takes one for both" });
	assert.throws(() => parseWorkflow(stopped([2, 2])), { message: /^node 20 \(CLIPSetLastLayer\): stop_at_clip_layer is 2:/ });
	const odd = stopped([-2, -2]);
	odd[20].inputs.tomorrow = 1;
	assert.deepEqual(parseWorkflow(odd).lost, ["tomorrow: 1"]);
	const seeds = graph();
	seeds[3].inputs.seed = "1234567890123456789";
	assert.throws(() => parseWorkflow(seeds), { message: "node 3 (KSampler): its seed 1234567890123456789 is not a whole number below 2^53" });
});

// node makes a graph's node.
const node = (class_type, inputs) => ({ class_type, inputs });

// Graphs that begin with a picture, wear a LoRA, or are made of other samplers.
const flows = {
	img2img: () => ({ ...workflowOf(example, ["euler", "normal"]), 5: node("VAEEncode", { pixels: ["20", 0], vae: ["4", 2] }), 20: node("LoadImage", { image: "a.png", upload: "image" }) }),
	lora: () => ({
		...workflowOf(example, ["euler", "normal"]), 30: node("LoraLoader", { model: ["4", 0], clip: ["4", 1], lora_name: "style/ink.safetensors", strength_model: 0.8, strength_clip: 0.5 }),
		31: node("LoraLoaderModelOnly", { model: ["30", 0], lora_name: "fast.safetensors", strength_model: 1 }),
	}),
	flux: () => ({
		1: node("SaveImage", { images: ["2", 0], filename_prefix: "x" }), 2: node("VAEDecode", { samples: ["3", 0], vae: ["4", 0] }), 4: node("VAELoader", { vae_name: "ae.safetensors" }),
		3: node("SamplerCustomAdvanced", { noise: ["5", 0], guider: ["6", 0], sampler: ["7", 0], sigmas: ["8", 0], latent_image: ["9", 0] }),
		5: node("RandomNoise", { noise_seed: 7 }), 6: node("BasicGuider", { model: ["10", 0], conditioning: ["11", 0] }), 7: node("KSamplerSelect", { sampler_name: "euler" }),
		8: node("BasicScheduler", { model: ["10", 0], scheduler: "simple", steps: 4, denoise: 1 }), 9: node("EmptySD3LatentImage", { width: 64, height: 128, batch_size: 1 }),
		10: node("ModelSamplingFlux", { model: ["12", 0], max_shift: 1.15, base_shift: 0.5, width: 64, height: 128 }), 11: node("FluxGuidance", { conditioning: ["13", 0], guidance: 3.5 }),
		12: node("UNETLoader", { unet_name: "flux1-dev.safetensors", weight_dtype: "default" }), 13: node("CLIPTextEncode", { clip: ["14", 0], text: "a fox" }),
		14: node("DualCLIPLoader", { clip_name1: "t5xxl.safetensors", clip_name2: "clip_l.safetensors", type: "flux" }),
	}),
};

test("workflows that begin with a picture", () => {
	const of = (change) => {
		const g = flows.img2img();
		change(g);
		return parseWorkflow(g);
	};
	const half = of((g) => (g[3].inputs.denoise = 0.5));
	assert.deepEqual([half.settings.begins, half.settings.steps, half.settings.strength, half.settings.width, half.lost], [{ image: "a.png" }, 6, 0.5, undefined, []]);
	assert.deepEqual([of(() => {}).settings.steps, of(() => {}).settings.strength], [3, 1]);
	const late = of((g) => (g[3] = node("KSamplerAdvanced", { ...g[3].inputs, add_noise: "enable", noise_seed: 7, start_at_step: 1, end_at_step: 10000, return_with_leftover_noise: "disable" })));
	assert.deepEqual([late.settings.strength, late.settings.seed], [2 / 3, 7]);
	const scaled = of((g) => Object.assign(g, { 5: node("VAEEncode", { pixels: ["21", 0], vae: ["4", 2] }), 21: node("ImageScale", { image: ["20", 0], upscale_method: "lanczos", width: 64, height: 64, crop: "center" }) }));
	assert.deepEqual([scaled.settings.begins, scaled.settings.width], [{ crop: true, image: "a.png" }, 64]);
	const painted = of((g) => Object.assign(g, { 5: node("SetLatentNoiseMask", { samples: ["22", 0], mask: ["20", 1] }), 22: node("VAEEncode", { pixels: ["20", 0], vae: ["4", 2] }) }));
	assert.deepEqual(painted.settings.begins, { image: "a.png", mask: { name: "a.png", channel: "alpha", inverted: true } });
	const other = of((g) => Object.assign(g, { 5: node("VAEEncodeForInpaint", { pixels: ["20", 0], vae: ["4", 2], mask: ["23", 0], grow_mask_by: 6 }), 23: node("InvertMask", { mask: ["24", 0] }), 24: node("LoadImageMask", { image: "m.png", channel: "red", upload: "image" }) }));
	assert.deepEqual([other.settings.begins.mask, other.lost], [{ name: "m.png", channel: "red", inverted: true }, ["grow_mask_by: 6"]]);
	assert.throws(() => of((g) => (g[5] = node("LatentFlip", {}))), { message: /^node 5 \(LatentFlip\) is not supported here/ });
	assert.throws(() => of((g) => (g[3].inputs.denoise = 0)), { message: /^node 3 \(KSampler\): its input "denoise" is 0/ });
	assert.throws(() => of((g) => (g[5] = node("SetLatentNoiseMask", { samples: ["5", 0], mask: ["20", 1] }))), { message: "the workflow goes in a circle" });
	const plain = workflowOf(example, ["euler", "normal"]);
	plain[3].inputs.denoise = 0.5;
	assert.throws(() => parseWorkflow(plain), { message: "node 3 (KSampler): denoise must be 1 where nothing is begun with" });
	assert.deepEqual(settle({ tool: "comfy", ...half }, generator).begins, { image: "a.png" });
});

test("workflows with LoRAs, and of other samplers", () => {
	const worn = flows.lora();
	worn[3].inputs.model = ["31", 0];
	for (const id of [6, 7]) worn[id].inputs.clip = ["30", 1];
	const said = parseWorkflow(worn);
	assert.deepEqual([said.settings.loras, said.lost, said.settings.model], [[{ name: "fast.safetensors", weight: 1, text: 0 }, { name: "style/ink.safetensors", weight: 0.8, text: 0.5 }], [], "sd15.safetensors"]);
	assert.deepEqual(settle(said, generator).lost, ["lora_name: fast.safetensors (1)", "lora_name: style/ink.safetensors (0.8)"]);
	const has = settle(said, { ...generator, loras: [{ id: "lora-1", name: "ink" }] });
	assert.deepEqual([has.settings.prompt, has.lost], ["p <lora:ink:0.5:0.8>", ["lora_name: fast.safetensors (1)"]]);
	const flux = parseWorkflow(flows.flux());
	assert.deepEqual(flux.settings, { prompt: "a fox", negativePrompt: "", seed: 7, steps: 4, guidance: 3.5, width: 64, height: 128, count: 1, sampler: "euler", schedule: "simple", model: "flux1-dev.safetensors" });
	assert.deepEqual(flux.lost.sort(), ["base_shift: 0.5", "max_shift: 1.15", "vae_name: ae.safetensors"]);
	const custom = flows.flux();
	custom[3] = node("SamplerCustom", { model: ["10", 0], add_noise: true, noise_seed: 9, cfg: 1, positive: ["11", 0], negative: ["15", 0], sampler: ["7", 0], sigmas: ["8", 0], latent_image: ["9", 0] });
	custom[15] = node("ConditioningZeroOut", { conditioning: ["13", 0] });
	assert.deepEqual([parseWorkflow(custom).settings.seed, parseWorkflow(custom).settings.negativePrompt, parseWorkflow(custom).settings.guidance], [9, "", 3.5]);
	const circle = flows.lora();
	circle[30].inputs.model = ["31", 0];
	circle[3].inputs.model = ["31", 0];
	assert.throws(() => parseWorkflow(circle), { message: "the workflow goes in a circle" });
	// No input of these nodes may be missing or unknown without a word.
	for (const make of [flows.flux, flows.img2img]) {
		for (const [id, { class_type: kind, inputs }] of Object.entries(make())) {
			if (["Note", "PreviewImage"].includes(kind)) continue;
			const more = make();
			more[id].inputs.tomorrow = 1;
			assert.ok(parseWorkflow(more).lost.includes("tomorrow: 1"), kind);
			for (const [input, value] of Object.entries(inputs)) {
				if (!Array.isArray(value)) continue;
				const cut = make();
				delete cut[id].inputs[input];
				assert.throws(() => parseWorkflow(cut), { code: "bad-request", message: new RegExp(`^node ${id} \\(${kind}\\): its input "${input}" is not linked`) });
			}
		}
	}
});

test("every setting of a link", () => {
	const settings = { prompt: "a & b", negativePrompt: "", seed: 7, steps: 3, guidance: 1.5, sampler: "euler", schedule: "", width: 64, height: 64 };
	const said = readLink(`#${writeLink({ ...settings, count: 4 })}`);
	const { negativePrompt, ...rest } = settings; // empty, as without one
	assert.equal(writeLink({ ...settings, secondPrompt: "", promptSyntax: "", clipSkip: 0, class: 0 }), writeLink(settings));
	const more = { ...rest, prompt: "", secondPrompt: "oil", promptSyntax: "comfyui", clipSkip: 2, class: 3 };
	const reads = { ...generator, fields: { ...generator.fields, secondPrompt: true, classes: 4 } };
	assert.deepEqual(settle(readLink(`#${writeLink(more)}`), reads), { settings: more, lost: [], model: undefined });
	const less = settle(readLink(`#${writeLink({ ...more, clipSkip: 13 })}`), { ...generator, fields: { ...generator.fields, weights: false } });
	assert.deepEqual([less.settings, less.lost], [{ ...rest, prompt: "" }, ["Second prompt: oil", "Prompt syntax: comfyui", "Clip skip: 13", "Class: 3"]]);
	const further = { prompt: "a", sampler: "euler", schedule: "", guidanceRescale: 0.7, guidanceStart: 0.1, guidanceEnd: 0.9, guidanceMethod: "apg momentum=-0.5", skipLayers: "7 8 9", reuse: "deepcache interval=2", sourcePrompt: "a, b", kept: "self=0.2", eta: 0, churn: "20 min=0.05" };
	assert.deepEqual(settle(readLink(`#${writeLink(further)}`), generator).settings, further);
	assert.equal(writeLink({ prompt: "a", guidanceRescale: 0, guidanceStart: 0, guidanceMethod: "" }), "prompt=a");
	assert.deepEqual(readLink("#prompt=a&promptSyntax=magic&clipSkip=-1").lost, ["promptSyntax: magic", "clipSkip: -1"]);
	assert.deepEqual(settle(said, generator), { settings: rest, lost: [], model: undefined });
	const odd = settle(readLink("#prompt=x&width=1e9x&sampler=magic&evil=1&schedule=karras"), generator);
	assert.deepEqual([odd.settings, odd.lost], [{ prompt: "x", sampler: undefined, schedule: "karras" }, ["width: 1e9x", "evil: 1", "Sampler: magic"]]);
	assert.equal(readLink("#steps=3"), null);
});

test("the table of names", () => {
	const { samplers, schedules } = generator.names;
	for (const table of [samplers, schedules]) {
		assert.equal(new Set(table.map(({ name }) => name)).size, table.length);
		for (const tool of ["a1111", "comfy", "invoke", "novelai", "draw"]) {
			const names = table.flatMap((row) => row[tool] ?? []).map((name) => name.toLowerCase());
			assert.equal(new Set(names).size, names.length, `a name of ${tool} stands twice`);
		}
	}
	for (const row of samplers) for (const tool of Object.keys(row.differs ?? {})) assert.ok(["a1111", "comfy", "novelai"].includes(tool));
	for (const row of samplers) for (const name of [row.automatic, row.only]) assert.ok(!name || schedules.some((s) => s.name === name));
	const of = (...args) => (({ sampler, schedule, lost }) => [sampler, schedule, lost])(methodOf(generator, ...args));
	assert.deepEqual(of("a1111", "DPM++ 2M", "Automatic"), ["dpmpp_2m", "karras", []]);
	assert.deepEqual(of("a1111", "DPM++ 2M SDE"), ["dpmpp_2m_sde", "exponential", []]);
	assert.deepEqual(of("a1111", "Euler"), ["euler", "trailing", []]); // what the model recommends
	assert.deepEqual(of("a1111", "constructor", "constructor"), [undefined, undefined, ["Sampler: constructor", "Schedule type: constructor"]]);
	assert.deepEqual(of("comfy", "uni_pc", "simple"), [undefined, "simple", ["Sampler: uni_pc"]]);
	const both = { ...generator, samplers: [...generator.samplers, { name: "unipc_bh1", label: "UniPC bh1" }], defaults: { schedule: "" } };
	assert.deepEqual(["uni_pc", "uni_pc_bh2"].map((name) => methodOf(both, "comfy", name).sampler), ["unipc_bh1", "unipc"]);
	assert.deepEqual([methodOf(both, "a1111", "UniPC").sampler, methodOf(both, "a1111", "UniPC").lost], ["unipc_bh1", ["Sampler: UniPC (of order 3)"]]);
	assert.equal(methodOf(both, "", "UniPC").sampler, "unipc");
	assert.equal(methodOf(both, "a1111", "Euler").schedule, "normal");
	assert.deepEqual(of("", "dpmpp_2m", "Karras"), ["dpmpp_2m", "karras", []]);
});
