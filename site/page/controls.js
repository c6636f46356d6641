// The settings that some models read and others do not: the page shows those of the
// model in use.
import { $, fill, t } from "./ui.js";

// What of a generator's fields a control is for.
const needs = { negative: "negativePrompt", guidance: "guidance", secondPrompt: "secondPrompt", promptSyntax: "weights", clipSkip: "clipSkip", class: "classes" };

let fields = null; // of the model in use

// reads tells whether the model reads the setting of a control.
export const reads = (control) => !fields || !Object.hasOwn(needs, control) || Boolean(fields[needs[control]]);

// plain are the values with which these settings change nothing.
export const plain = { secondPrompt: "", promptSyntax: "", clipSkip: 0, class: 0 };

// offer shows what a generator's model reads.
export function offer(generator) {
	({ fields } = generator);
	for (const control of Object.keys(needs)) $(control).closest(".setting").hidden = !reads(control);
	fill($("clipSkip"), [["0", t("modelsOwn")], ...Array.from({ length: fields.clipSkip }, (_, i) => [String(i + 1), i + 1])]);
	$("class").max = Math.max(0, fields.classes - 1);
	if (Number($("class").value) >= fields.classes) $("class").value = 0;
	for (const side of ["width", "height"]) fill($(side), sizes(generator.defaults[side]).map((v) => [v, v]));
}

const most = 2048; // the engine's own bound

// sizes are those around the model's own that it can draw.
function sizes(own) {
	const { multiple, largest } = fields;
	const near = [0.5, 0.75, 1, 1.25, 1.5, 2].map((f) => Math.round(own * f / multiple) * multiple);
	return [...new Set(near)].filter((n) => n >= multiple && n <= (largest || most)).map(String);
}
