// What the model's words make of a prompt. words.js is a script of the page's and
// of no package, so it is read as a text.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const source = readFileSync(new URL("../../page/words.js", import.meta.url), "utf8");
const { Words } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const { defaults } = JSON.parse(readFileSync(new URL("../../models/default/manifest.json", import.meta.url), "utf8"));
const words = new Words(defaults);

test("German words, however they are declined", () => {
	for (const [typed, want] of Object.entries({
		"Roter Fuchs": "red fox",
		"ein roter Fuchs": "red fox",
		"Rotes Herz": "red heart",
		"ein rotes Herz": "red heart",
		" die grünen Frösche ": " green frog ",
		"blaue Katze, grüner Frosch": "blue cat, green frog",
		"der schwarze Hund und die weiße Katze": "black dog and white cat",
		"zwei Füchse": "zwei fox",
		"red fox": "red fox",
		"Zeitmaschine": "Zeitmaschine",
	})) assert.equal(words.translate(typed, "de"), want, typed);
	assert.deepEqual(words.unknown("Roter Fuchs", "de"), []);
	assert.deepEqual(words.unknown("eine rote Zeitmaschine", "de").map(({ word }) => word), ["zeitmaschine"]);
	assert.equal(words.translate("Roter Fuchs", "en"), "Roter Fuchs");
});

// The names themselves stay what they are, and no word is another concept's.
test("every concept by its own name", () => {
	const names = new Map(defaults.concepts.map(({ name, de }) => [name, de?.toLowerCase()]));
	for (const { name, de } of defaults.concepts) {
		assert.equal(words.translate(name, "en"), name);
		if (de && !names.has(de.toLowerCase())) assert.equal(names.get(words.translate(de, "de")), de.toLowerCase());
	}
});
