// Files that the visitor gave once and that this browser keeps: ControlNets,
// upscalers. Where it keeps nothing they are there for as long as the page is open.
import { maxText } from "./limits.js";
import { openDatabase } from "./memory.js";
import { refuse } from "./refusal.js";
import { choose } from "./parts.js";
import { t } from "./ui.js";

const held = new Map(); // id -> {id, kind, name, file, config}

// act does one thing with the store; undefined where there is none.
async function act(mode, what) {
	const database = await openDatabase("wisp-files", "files", { keyPath: "id" });
	try {
		const transaction = database.transaction("files", mode), request = what(transaction.objectStore("files"));
		await new Promise((resolve, reject) => {
			transaction.oncomplete = resolve;
			transaction.onabort = () => reject(transaction.error);
		});
		return request.result;
	} finally {
		database.close();
	}
}

// keep keeps the weights among files, with the config.json beside them, once check
// has nothing against them.
export async function keep(kind, files, check) {
	const file = files.find(({ name }) => !/\.json$/i.test(name)) ?? files[0];
	const beside = files.find((other) => other !== file && /\.json$/i.test(other.name));
	if (beside?.size > maxText) refuse(`${beside.name} has ${beside.size} bytes: the most are ${maxText}`);
	const name = file.name.replace(/\.safetensors$/i, "");
	const one = { id: `${kind} ${name}`, kind, name, file, config: beside && await beside.text().then(JSON.parse).catch(() => refuse(`${beside.name} is not JSON`)) };
	await check?.(one);
	held.set(one.id, one);
	await act("readwrite", (store) => store.put(one)).catch(() => {}); // it is held
	return one;
}

// kept lists what there is of a kind.
export async function kept(kind) {
	for (const one of await act("readonly", (store) => store.getAll()).catch(() => [])) if (!held.has(one.id)) held.set(one.id, one);
	return [...held.values()].filter((one) => one.kind === kind);
}

async function forget(one) {
	held.delete(one.id);
	await act("readwrite", (store) => store.delete(one.id)).catch(() => {});
}

// picker fills the list of networks in a part of the page with what is kept of a
// kind: the visitor takes one, opens another file or deletes one; first are further
// choices, [value, label]. changed is called with what is taken, null for one of first.
// It returns what tells which.
export async function picker(box, kind, first, taken, changed, check) {
	const select = box.querySelector(".net select"), bin = box.querySelector("[data-do=bin]");
	const take = (one) => {
		taken = one;
		changed(one);
		return show();
	};
	async function show() {
		select.replaceChildren(...[...first, ...(await kept(kind)).map(({ id, name }) => [id, name]), ["+", t("openFile")]].map(([value, label]) => new Option(label, value)));
		select.value = taken?.id ?? first[0]?.[0] ?? "";
		bin.hidden = !taken;
	}
	select.addEventListener("change", async () => {
		if (select.value !== "+") return take((await kept(kind)).find(({ id }) => id === select.value) ?? null);
		await show();
		choose(".safetensors,.json", async (files) => take(await keep(kind, files, check)), true);
	});
	bin.addEventListener("click", async () => {
		if (!confirm(t("removeSure", { name: taken.name }))) return;
		await forget(taken);
		await take((await kept(kind))[0] ?? null);
	});
	await show();
	return () => taken;
}
