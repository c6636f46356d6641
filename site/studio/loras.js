// The LoRAs that pictures wear: which are on, how strongly, the words they were
// trained on. They stay with the page, whatever model is chosen.
import { does, fromPage, slide } from "./parts.js";
import { $, create, showNotice, t } from "./ui.js";

let host = null;
let card = null;
const worn = []; // {file, name, weight, on, of: the generator that has it, id}

export function install(page) {
	host = page;
}

// add reads a LoRA's file for the model in use and shows it.
export async function add(file) {
	const lora = { file, name: file.name.replace(/\.safetensors$/i, ""), weight: 1, on: true };
	const facts = await give(lora);
	worn.push(lora);
	card ??= $("studio").appendChild(fromPage("lora-card"));
	const { triggersOf } = await import("./compat.js");
	card.append(row(lora, triggersOf(facts.metadata ?? {})));
	if (facts.unknown.length > 0) showNotice(t("loraUnknown", { name: lora.name, n: facts.unknown.length, keys: facts.unknown.slice(0, 3).join(", ") }), { stays: true });
	host.changed(0);
}

// give has the generator in use read a LoRA that it has not.
async function give(lora) {
	const generator = await host.ready();
	if (lora.of === generator) return lora;
	const facts = await generator.addLora(lora.file, { name: lora.name });
	Object.assign(lora, { of: generator, id: facts.id });
	return facts;
}

function row(lora, triggers) {
	const box = fromPage("lora-row"), on = box.querySelector("[type=checkbox]");
	on.nextElementSibling.textContent = lora.name;
	on.addEventListener("change", () => {
		lora.on = on.checked;
		host.changed(0);
	});
	slide(box, "weight", 1, (value) => {
		lora.weight = value;
		host.changed(250);
	});
	does(box, { off() {
		worn.splice(worn.indexOf(lora), 1);
		lora.of?.removeLora(lora.id).catch(() => {}); // with its engine it is gone, too
		box.remove();
		if (worn.length === 0) card = card.remove() ?? null;
		host.changed(0);
		$("prompt").focus();
	} });
	box.querySelector(".chips").append(...triggers.map((word) => create("button", { type: "button", textContent: word, dir: "auto", onclick: () => host.say(word) })));
	return box;
}

// request is what a request says of them.
export async function request() {
	const on = worn.filter(({ on, weight }) => on && weight !== 0);
	for (const lora of on) await give(lora);
	return on.length > 0 ? { loras: on.map(({ id, weight }) => ({ id, weight })) } : {};
}
