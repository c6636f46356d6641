// The pictures that steer a drawing through ControlNets: which network, a picture,
// what is made of it for the network, how strongly, between which steps.
import { bitmapOf } from "./photo.js";
import { refuse } from "./refusal.js";
import { choose, does, fromPage, scaled, slide } from "./parts.js";
import { keep, kept, picker } from "./shelf.js";
import { $, showError, t } from "./ui.js";
import { preprocess } from "./wisp.js";

let host = null;
let card = null;
const all = []; // {net, bitmap, maker, weight, start, end, made, look, off()}
const given = new WeakMap(); // generator -> Map(id of the shelf -> id of its own)

export function install(page) {
	host = page;
}

// names are of those that are kept, for programs.
export const names = async () => (await kept("control")).map(({ name }) => name);

// give returns the generator's id of a network, which it reads at the first time.
export async function give(net) {
	const generator = await host.ready();
	if (!given.has(generator)) given.set(generator, new Map());
	const ids = given.get(generator);
	if (!ids.has(net.id)) ids.set(net.id, (await generator.addControl(net.file, { name: net.name, config: net.config })).id);
	return ids.get(net.id);
}

// giveNamed is give for one that a program names.
export const giveNamed = async (name) => give((await kept("control")).find((net) => net.name === name));

// open asks for a network where none is kept; add takes a file of one.
export async function open() {
	for (const net of await kept("control")) if (await give(net).catch(() => null)) return show(net);
	choose(".safetensors,.json", add, true);
}

export const add = async (files) => show(await keep("control", files, give));

// replace has what steers be what a workflow says, and returns what of it cannot be
// had.
export async function replace(list, files) {
	for (const { off } of [...all]) off();
	const lost = [], nets = await kept("control");
	for (const { name, image, preprocess: maker, ...how } of list) {
		const net = nets.find((one) => one.name === name.replace(/\.safetensors$/i, "").split(/[\\/]/).at(-1));
		if (!net) lost.push(`control_net_name: ${name}`);
		else if (!files.has(image)) lost.push(`image: ${image}`);
		else await show(net, { ...how, maker: maker ?? "", bitmap: await bitmapOf(files.get(image), image) });
	}
	return lost;
}

async function show(net, given) {
	await give(net);
	const one = { net, maker: guess(net.name), weight: 1, start: 0, end: 1, made: null, ...given ?? { bitmap: await bitmap(host.picture()) } };
	const box = await row(one);
	all.push(one);
	card ??= $("studio").appendChild(fromPage("control-card"));
	card.append(box);
	look(one);
	host.changed(0);
}

// bitmap is that of a file, or of a bitmap that may be closed elsewhere.
const bitmap = (picture) => picture && (picture instanceof Blob ? bitmapOf(picture, t("startPicture")) : createImageBitmap(picture));

// guess is what a network was trained on, where its name says so.
const trained = { canny: "canny", scribble: "scribble_xdog", lineart: "lineart_standard", tile: "tile", blur: "blur_gaussian" };
const guess = (name) => trained[Object.keys(trained).find((word) => name.toLowerCase().includes(word))] ?? "";

async function row(one) {
	const box = fromPage("control-row"), maker = box.querySelector("[data-do=maker]");
	one.look = box.querySelector("canvas");
	one.off = () => {
		all.splice(all.indexOf(one), 1);
		box.remove();
		if (all.length === 0) card = card.remove() ?? null;
		host.changed(0);
	};
	const change = () => {
		one.made = null;
		look(one);
		host.changed(0);
	};
	maker.value = one.maker.name ?? one.maker;
	maker.addEventListener("change", () => {
		one.maker = maker.value;
		change();
	});
	await picker(box, "control", [], one.net, (net) => {
		if (!net) return one.off();
		give(one.net = net).then(() => host.changed(0), showError);
	}, give);
	for (const [name, least] of [["weight"], ["start", (n) => Math.min(n, one.end)], ["end", (n) => Math.max(n, one.start)]]) {
		slide(box, name, one[name], (value) => {
			one[name] = least?.(value) ?? value;
			host.changed(250);
		});
	}
	does(box, {
		picture: () => choose("image/*", async ([file]) => {
			one.bitmap = await bitmapOf(file, file.name);
			change();
		}),
		off() {
			one.off();
			$("prompt").focus();
		},
	});
	return box;
}

// makeOf is the picture that the network is fed, of a size; it is shown, too.
async function makeOf(one, { width, height }) {
	const key = `${width} ${height}`;
	if (one.made?.key !== key) {
		const cut = scaled(one.bitmap, { width, height }, true);
		one.made = { key, picture: one.maker ? preprocess(cut, one.maker) : cut };
	}
	const { made } = one, picture = await made.picture;
	if (made === one.made) Object.assign(one.look, { width, height }).getContext("2d").putImageData(picture, 0, 0);
	return picture;
}

const look = (one) => one.bitmap && makeOf(one, host.size()).catch(showError);

// request is what a request of a size says of them.
export async function request(size) {
	const on = all.filter(({ weight }) => weight !== 0);
	if (!on.every(({ bitmap }) => bitmap)) refuse(t("controlNeeds"));
	const controls = await Promise.all(on.map(async (one) => ({ id: await give(one.net), image: await makeOf(one, size), weight: one.weight, start: one.start, end: one.end })));
	return controls.length > 0 ? { controls } : {};
}
