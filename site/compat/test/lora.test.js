import assert from "node:assert/strict";
import { test } from "node:test";
import { kindOf, triggersOf } from "../lora.js";

// file is a .safetensors file with tensors of these names.
function file(name, ...keys) {
	const header = Buffer.from(JSON.stringify(Object.fromEntries(keys.map((key) => [key, { dtype: "F16", shape: [0], data_offsets: [0, 0] }]))));
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(header.length));
	return new File([length, header], name);
}

test("a LoRA is told from a checkpoint", async () => {
	for (const key of ["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "unet.up_blocks.0.to_q.lora_A.weight", "unet.x.lora.up.weight", "lora_te_x.hada_w1_a", "lycoris_x.lokr_w1", "a.to_k_lora.dora_scale"]) assert.equal(await kindOf(file("a.safetensors", key)), "lora", key);
	for (const key of ["model.diffusion_model.input_blocks.0.0.weight", "colora.weight", "exploration_A"]) assert.equal(await kindOf(file("a.safetensors", key)), undefined, key);
	assert.equal(await kindOf(file("a.bin", "x.lora_A.weight")), undefined);
	assert.equal(await kindOf(new File(["short"], "a.safetensors")), undefined);
	assert.equal(await kindOf(new File([new Uint8Array([255, 255, 255, 255, 255, 255, 255, 255, 1])], "a.safetensors")), undefined);
});

test("ControlNets and upscalers are told, too", async () => {
	for (const [kind, keys] of Object.entries({
		control: ["controlnet_down_blocks.0.weight", "controlnet_cond_embedding.conv_in.bias", "control_model.zero_convs.0.0.weight", "input_hint_block.0.weight"],
		upscaler: ["conv_first.weight", "params_ema.conv_first.weight", "model.1.sub.0.RDB1.conv1.0.weight", "RRDB_trunk.0.RDB1.conv1.weight", "body.0.weight"],
	})) for (const key of keys) assert.equal(await kindOf(file("a.safetensors", key)), kind, key);
	for (const key of ["down_blocks.0.body.0.weight", "my_control_model.zero_convs_x", "decoder.conv_first.weight"]) assert.equal(await kindOf(file("a.safetensors", key)), undefined, key);
});

test("its trigger words", () => {
	assert.deepEqual(triggersOf({ ss_tag_frequency: JSON.stringify({ "10_ink": { "ink style": 20, cat: 3, "": 9, bad: "x" }, more: { cat: 30 } }) }), ["cat", "ink style"]);
	assert.deepEqual(triggersOf({ "modelspec.trigger_phrase": " sks  dog ", ss_tag_frequency: "{}" }), ["sks dog"]);
	for (const odd of ["[", "[]", "7", '{"a":7}', "{".repeat(1e5)]) assert.deepEqual(triggersOf({ ss_tag_frequency: odd }), []);
	assert.deepEqual(triggersOf({}), []);
	assert.equal(triggersOf({ ss_tag_frequency: JSON.stringify({ a: Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`t${i}`, i + 1])) }) }).length, 8);
});
