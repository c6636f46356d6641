// What strangers' files cost: time by the size of the input, memory by the limits.
import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { formatOf, readMetadata } from "../metadata.js";
import { parseJSON } from "../json.js";
import { maxDepth, maxText, maxTexts } from "../limits.js";
import { readTexts, withText } from "../png.js";
import { readPicture, saidBy, settle } from "../said.js";
import { forms, generator } from "./corpus.js";
import { chunk, iTXt, png, random, tEXt, zTXt } from "./files.js";

// time is what the processor spent, in milliseconds: other programs run beside.
const time = async (f) => {
	const began = process.cpuUsage();
	await f();
	const { user, system } = process.cpuUsage(began);
	return (user + system) / 1000;
};

const hostile = {
	"spaces before a colon": (n) => "Ж" + " ".repeat(n) + "b", "quotes that open": (n) => 'ab:"'.repeat(n / 4), "escapes": (n) => 'ab: "\\,'.repeat(n / 8), "networks that open": (n) => "<lora:".repeat(n / 6),
	"commas": (n) => "a,".repeat(n / 2), "lines": (n) => "a\n".repeat(n / 2), "lines of settings": (n) => "Steps: 1\n".repeat(n / 9), "brackets": (n) => "(".repeat(n), "colons": (n) => ":".repeat(n), "one key": (n) => "ab: \"a".repeat(n / 6),
	"spaces and letters": (n) => "x" + " ".repeat(n) + "b\nSteps: 1, a: 2, b: 3", "open JSON": (n) => '{"a":'.repeat(n / 5), "strings": (n) => '{"\\"'.repeat(n / 4), "digits": (n) => `{"sui_image_params":{"seed":${"9".repeat(n)}}}`, "dream": (n) => `"${"[".repeat(n)}" -s 1`,
};

for (const [name, make] of Object.entries(hostile)) {
	test(`a text of ${name} takes time by its length`, async () => {
		const read = (n) => () => {
			for (const key of ["parameters", "UserComment", "Dream", "exif:UserComment"]) settle(saidBy(new Map([[key, make(n)]])) ?? { tool: "", settings: {} }, generator);
		};
		await time(read(1 << 14)); // compiled
		const took = await time(read(1 << 20));
		assert.ok(took < 4000, `${took} ms for a MiB`);
	});
}

test("one text that unpacks to a gigabyte is left out, at once", async () => {
	const zeros = Buffer.alloc(64 << 20);
	const bomb = png(chunk("zTXt", Buffer.concat([Buffer.from("parameters\0\0"), deflateSync(zeros)])));
	const before = process.memoryUsage().rss;
	const took = await time(async () => assert.equal((await readTexts(bomb)).size, 0));
	assert.ok(took < 3000, `${took} ms`);
	assert.ok(process.memoryUsage().rss - before < 64 << 20, "as much memory as the text has");
});

test("many texts are bounded together", async () => {
	const packed = Buffer.concat([Buffer.from("\0"), deflateSync(Buffer.alloc(maxText - 10))]);
	const texts = await readTexts(png(...Array.from({ length: 200 }, (_, i) => chunk("zTXt", Buffer.concat([Buffer.from(`k${i}\0`), packed])))));
	assert.ok([...texts.values()].reduce((sum, text) => sum + text.length, 0) <= maxTexts, "the sum is over the limit");
	assert.ok(texts.size >= 3);
});

test("a long text without compression is left out, the others are read", async () => {
	const texts = await readTexts(png(tEXt("long", "a".repeat(maxText)), tEXt("parameters", "a")));
	assert.deepEqual([...texts], [["parameters", "a"]]);
});

test("texts keep their letters, whatever wrote them", async () => {
	for (const text of ["plain", "Ünïcode in Latin-1", "рука 手 😀", "Ã©", "\u0085\u0093", "ÿ", "a\nb"]) {
		const file = new Uint8Array(await withText(png(), "parameters", text).arrayBuffer());
		assert.equal((await readTexts(file)).get("parameters"), text);
	}
	const texts = await readTexts(png(tEXt("utf8", "рука 😀", "utf8"), tEXt("latin1", "Übergröße"), zTXt("packed", "Übergröße"), iTXt("international", "手", true)));
	assert.deepEqual(Object.fromEntries(texts), { utf8: "рука 😀", latin1: "Übergröße", packed: "Übergröße", international: "手" });
});

test("JSON from Python, deep JSON, long numbers", () => {
	assert.deepEqual(parseJSON('{"a": NaN, "b": [-Infinity, 12345678901234567890, -1234567890123456, 1e5, "NaN \\" 12345678901234567"]}', "x"), { a: null, b: [null, "12345678901234567890", "-1234567890123456", 1e5, 'NaN " 12345678901234567'] });
	assert.throws(() => parseJSON("[".repeat(100_000), "the request"), { code: "bad-request", message: `the request is nested deeper than ${maxDepth}` });
	for (const bad of ["{", "", "NaN,", '{"a": 1x}', "[1,]", '"']) assert.throws(() => parseJSON(bad, "x.json"), { code: "bad-request", message: "x.json is not JSON" });
});

// mutated changes a few bytes: other values, cuts, repeats, zeros.
function mutated(bytes, next) {
	let out = bytes.slice();
	for (let n = 1 + next(8); n > 0; n--) {
		const at = next(out.length || 1), length = next(16);
		const change = [
			() => { out[at] = next(256); }, () => { out[at] ^= 1 << next(8); }, () => { out = out.subarray(0, at); }, () => { out.fill(next(2) * 255, at, at + length); },
			() => { out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(at, at + length), ...out.subarray(at)]); }, () => { out.set(out.subarray(0, Math.min(length, out.length - at)), at); },
		];
		change[next(change.length)]();
	}
	return out;
}

test("damaged pictures end in settings, in nothing, or in a refusal", async () => {
	const seed = Number(process.env.SEED ?? 1), rounds = Number(process.env.ROUNDS ?? 60);
	const next = random(seed);
	let said = 0, nothing = 0, refused = 0;
	for (const [name, form] of Object.entries(forms)) {
		for (let round = 0; round < rounds; round++) {
			const file = mutated(form(next, next(10)).bytes, next);
			const where = `SEED=${seed}: ${name}, round ${round}`;
			try {
				let read;
				const took = await time(async () => {
					read = await readPicture(file);
					if (read) settle(read, generator);
				});
				if (read) said++;
				else nothing++;
				assert.ok(took < 4000, `${where}: ${took} ms`);
			} catch (err) {
				assert.equal(err.code, "bad-request", `${where}: ${err.stack}`);
				refused++;
			}
		}
	}
	assert.ok(said > 0 && nothing > 0 && refused > 0, `${said} said, ${nothing} nothing, ${refused} refused`);
});

test("containers that lie about lengths end", async () => {
	const next = random(7);
	for (const head of [[0xff, 0xd8, 0xff, 0xe1, 0, 0], "RIFF\xff\xff\xff\xffWEBPEXIF\xff\xff\xff\xff", "\0\0\0\x10ftypavif\0\0\0\0\0\0\xff\xffmeta\0\0\0\0\0\0\0\x01iloc", "\0\0\0\x10ftypavif\0\0\0\0\0\0\0\0meta"]) {
		const start = Buffer.from(typeof head === "string" ? Buffer.from(head, "latin1") : head);
		for (let i = 0; i < 50; i++) {
			const file = Uint8Array.from(Buffer.concat([start, Buffer.from(Array.from({ length: 1000 }, () => (next(3) ? next(256) : 0)))]));
			assert.ok(formatOf(file));
			await readMetadata(file);
		}
	}
});
