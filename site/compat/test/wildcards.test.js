import assert from "node:assert/strict";
import { test } from "node:test";
import { linesOf, plainly, vary } from "../wildcards.js";

const files = new Map([["colours", linesOf("# warm\nred\r\norange\n\n{dark |}blue\n")], ["animals/cats", ["lion"]], ["animals/dogs", ["poodle"]], ["loop", ["__loop__"]]]);
const all = (prompt, n = 200) => new Set(Array.from({ length: n }, (_, seed) => vary(prompt, seed, files)));

test("what a prompt may say", () => {
	assert.deepEqual(all("a {red|blue} cat"), new Set(["a red cat", "a blue cat"]));
	assert.deepEqual(all("{a|{b|c}d}"), new Set(["a", "bd", "cd"]));
	assert.deepEqual(all("{2$$a|b|c}"), new Set(["a, b", "b, a", "a, c", "c, a", "b, c", "c, b"]));
	assert.deepEqual(all("{1-2$$ and $$a|b}"), new Set(["a", "b", "a and b", "b and a"]));
	assert.deepEqual(all("{0-1$$a}"), new Set(["", "a"]));
	assert.deepEqual(all("{9$$a|b}"), new Set(["a, b", "b, a"]));
	assert.deepEqual(all("__colours__ hat"), new Set(["red hat", "orange hat", "dark blue hat", "blue hat"]));
	assert.deepEqual(all("__animals/*__"), new Set(["lion", "poodle"]));
	assert.deepEqual(all("\\{a\\|b\\} (c:1.2) a|b snake_case"), new Set(["{a|b} (c:1.2) a|b snake_case"]));
	assert.deepEqual(all("{|a}"), new Set(["", "a"]));
});

test("a seed says the same again, and weights count", () => {
	for (const seed of [0, 7, 2 ** 40 + 7, 2 ** 53 - 1]) assert.equal(vary("{a|b|c} {d|e|f}", seed), vary("{a|b|c} {d|e|f}", seed));
	assert.notEqual(vary("{a|b|c|d|e|f|g|h} {a|b|c|d|e|f|g|h}", 7), vary("{a|b|c|d|e|f|g|h} {a|b|c|d|e|f|g|h}", 8));
	let heavy = 0;
	for (let seed = 0; seed < 4000; seed++) heavy += vary("{3::a|b}", seed) === "a" ? 1 : 0;
	assert.ok(Math.abs(heavy / 4000 - 0.75) < 0.03, `${heavy} of 4000`);
});

test("a prompt that is to stand as it is", () => {
	for (const prompt of ["{a|b}", "a __b__", "____", "a\\b", "{", "a|b", "__colours__ {{x}}"]) assert.equal(vary(plainly(prompt), 3, files), prompt);
});

test("what is wrong is said, and bounded", () => {
	for (const [prompt, says] of [["{a|b", /without its \}/], ["__nothing__", /nothing\.txt/], ["__loop__", /nested/], ["{".repeat(1000), /nested/]]) {
		assert.throws(() => vary(prompt, 1, files), (err) => err.code === "bad-request" && says.test(err.message), prompt);
	}
	const began = Date.now();
	assert.throws(() => vary("{a|b}".repeat(30_000), 1), /longer/);
	const doubling = new Map(Array.from({ length: 90 }, (_, i) => [`a${i}`, [`__a${i + 1}____a${i + 1}__`]]));
	doubling.set("a90", ["{|}"]); // 2 ** 90 times nothing
	assert.throws(() => vary("__a0__", 1, doubling), /work/);
	assert.throws(() => vary("__l__".repeat(4000), 1, new Map([["l", Array(1000).fill("")]])), /work/);
	assert.throws(() => vary(`__${"a*".repeat(40)}b__`, 1, new Map([["a".repeat(200), ["x"]]])), /two stars/);
	assert.throws(() => vary("__bomb__", 1, new Map([["bomb", ["__bomb__".repeat(2000)]]])), /nested|longer|work/);
	assert.ok(Date.now() - began < 1000);
});
