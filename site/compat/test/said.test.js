import assert from "node:assert/strict";
import { test } from "node:test";
import { readPicture, settle } from "../said.js";
import { forms, generator } from "./corpus.js";
import { random } from "./files.js";

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
