import assert from "node:assert/strict";
import { test } from "node:test";
import { readPicture, saidBy, settle } from "../said.js";
import { forms, generator, workflowOf } from "./corpus.js";
import { iTXt, png, random, tEXt } from "./files.js";

const defined = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
const seed = 20260101;

for (const [name, form] of Object.entries(forms)) {
	test(`ten pictures of ${name}`, async () => {
		for (let i = 0; i < 10; i++) {
			const { bytes, want, lost, whole } = form(random(seed + i), i);
			const said = await readPicture(bytes);
			assert.ok(said, `picture ${i} says nothing`);
			const settled = settle(said, generator);
			assert.deepEqual(defined(settled.settings), defined(want), `picture ${i}`);
			for (const one of lost) assert.ok(settled.lost.includes(one), `picture ${i}: "${one}" is not among ${JSON.stringify(settled.lost)}`);
			if (whole) assert.deepEqual([settled.lost, settled.model], [[], undefined], `picture ${i}`);
			else assert.ok(["sd15", "sd15.safetensors", "sd15.ckpt", undefined].includes(settled.model));
		}
	});
}

const said = (texts, g = generator) => settle(saidBy(new Map(Object.entries(texts))), g);

test("an empty text hides nothing", async () => {
	const graph = workflowOf({ prompt: "a", negativePrompt: "", seed: 1, steps: 2, guidance: 3, width: 64, height: 64 }, ["euler", "karras"]);
	const read = await readPicture(png(tEXt("parameters", "  \n"), iTXt("prompt", JSON.stringify(graph))));
	assert.equal(read.tool, "comfy");
	assert.equal(await readPicture(png(tEXt("parameters", ""))), null);
	assert.equal(await readPicture(new TextEncoder().encode("GIF89a, no format of ours")), undefined);
	assert.equal(saidBy(new Map([["parameters", '{"some": "JSON"}']])), null); // and no prompt
});

test("what stands in a prompt for something else is told", () => {
	const plain = { ...generator, fields: { ...generator.fields, weights: false } };
	const a1111 = (prompt, g = plain) => said({ parameters: `${prompt}\nSteps: 1, Sampler: Euler, Seed: 2, RNG: CPU, Version: v1` }, g).lost;
	assert.deepEqual(["a cat", "a (cat:1.2)", "a \\(cat\\)", "a BREAK b", "a AND b", "[a:b:0.5]", "<hypernet:x:1> a"].map((prompt) => a1111(prompt)), [[], ["(cat:1.2)"], [], ["BREAK"], ["AND"], ["[a:b:0.5]"], ["<hypernet:x:1>"]]);
	assert.deepEqual(["a (cat:1.2) [b]", "a BREAK b", "a AND b", "[a:b:0.5]", "[a|b]", "\\[a|b\\]"].map((prompt) => a1111(prompt, generator)), [[], [], ["AND"], ["[a:b:0.5]"], ["[a|b]"], []]);
	const comfy = (prompt, g) => settle({ tool: "comfy", settings: { prompt, negativePrompt: "" } }, g).lost;
	assert.deepEqual([generator, plain].map((g) => ["(a:1.2) b", "embedding:x b"].map((prompt) => comfy(prompt, g))), [[[], ["embedding:x"]], [["(a:1.2)"], ["embedding:x"]]]);
	assert.equal(said({ parameters: ", a cat" }).settings.prompt, ", a cat");
	const swarm = said({ parameters: JSON.stringify({ sui_image_params: { prompt: "<lora:x:0.5> a cat, <random:b,c>" } }) });
	assert.deepEqual([swarm.settings.prompt, swarm.lost], ["a cat", ["<lora:x:0.5>", "<random:b,c>"]]);
	const inked = said({ parameters: "a cat <lora:ink:0.5>, <lora:gone:1>\nSteps: 2, Sampler: Euler, Seed: 7" }, { ...generator, loras: [{ id: "x", name: "ink" }] });
	assert.deepEqual([inked.settings.prompt, inked.lost.filter((l) => l.startsWith("<"))], ["a cat <lora:ink:0.5>", ["<lora:gone:1>"]]);
	assert.deepEqual(said({ invokeai_metadata: '{"positive_prompt": "a cat++ b"}' }).lost, ["t++"]);
	assert.deepEqual(said({ Comment: '{"prompt": "{cat}", "uc": ""}' }).lost, ["noise: GPU", "{cat}"]);
});

test("the steps that Fooocus leaves out", () => {
	assert.equal(said({ parameters: '{"prompt": "a", "performance": "Quality", "guidance_scale": 4}' }).settings.steps, 60);
	assert.equal(said({ parameters: '{"prompt": "a", "performance": "Lightning", "guidance_scale": 4}' }).settings.steps, 4);
	assert.equal(said({ parameters: "a\nSampler: Euler, Seed: 1, Performance: Speed, Version: Fooocus v2.5.5" }).settings.steps, 30);
	assert.equal(said({ parameters: '{"prompt": "a", "performance": "Speed", "steps": 7, "guidance_scale": 4}' }).settings.steps, 7);
});

test("a prompt longer than the form holds is cut, and told", () => {
	const { settings, lost } = said({ parameters: "a".repeat(20_001) });
	assert.deepEqual([settings.prompt.length, lost], [20_000, ["prompt: …"]]);
});
