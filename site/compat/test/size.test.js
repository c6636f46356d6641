import assert from "node:assert/strict";
import { test } from "node:test";
import { sizeOf } from "../size.js";
import { png, webp } from "./files.js";

const bytes = (...parts) => Uint8Array.from(parts.flatMap((p) => (typeof p === "string" ? [...Buffer.from(p, "latin1")] : p)));

test("the size that a file says", () => {
	assert.deepEqual(sizeOf(png()), { width: 1, height: 1 });
	assert.deepEqual(sizeOf(webp()), { width: 1, height: 1 });
	assert.deepEqual(sizeOf(bytes("RIFF", [0, 0, 0, 0], "WEBPVP8X", [10, 0, 0, 0, 0, 0, 0, 0, 0x1f, 0x4e, 0, 0x0f, 0x27, 0])), { width: 20_000, height: 10_000 });
	assert.deepEqual(sizeOf(bytes("GIF89a", [0x40, 1, 0xf0, 0])), { width: 320, height: 240 });
	assert.deepEqual(sizeOf(bytes("BM", Array(16).fill(0), [0x40, 1, 0, 0, 0x10, 0xff, 0xff, 0xff])), { width: 320, height: 240 });
	// a JPEG whose frame comes after a table and a fill byte, progressive
	assert.deepEqual(sizeOf(bytes([0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc4, 0, 3, 0, 0xff, 0xc2, 0, 11, 8, 0x4e, 0x20, 0x4e, 0x20, 1, 0, 0, 0])), { width: 20_000, height: 20_000 });
	assert.deepEqual(sizeOf(bytes([0, 0, 0, 20], "ftypavif", Array(8).fill(0), [0, 0, 0, 20], "ispe", [0, 0, 0, 0, 0, 0, 1, 0x40, 0, 0, 0, 0xf0])), { width: 320, height: 240 });
});

test("what is no picture, or cut short, has none", () => {
	for (const file of [bytes(), bytes("hello, this is text"), bytes("\x89PNG"), bytes([0xff, 0xd8]), bytes([0xff, 0xd8, 0xff, 0xd9, 0, 0]), bytes([0, 0, 0, 20], "ftypavif", Array(40).fill(0)), bytes("RIFF", [0, 0, 0, 0], "WEBPJUNK")]) {
		assert.equal(sizeOf(file), undefined);
	}
	for (let n = 0; n < 30; n++) sizeOf(png().subarray(0, n));
});
