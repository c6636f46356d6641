// The visitor's pictures, newest first: search, favourites, delete, export.
import { History } from "./history.js";
import { language } from "./language.js";
import { zip } from "./zip.js";
import { $, create, download, fileName, press, pressed, showError, showNotice, t } from "./ui.js";

const pageful = 48;
let limit = pageful;
let rows = new Map(); // id -> {item, url, picture, look}: what is in the list
let onPick = () => {};
let onEdit = () => {};

export const history = new History();

// start shows the list; pick is called with a picture that is clicked, edit with
// one that drawing is to begin with.
export function start(pick, edit) {
	onPick = pick;
	onEdit = edit;
	history.addEventListener("change", refresh);
	history.addEventListener("unkept", () => showNotice(t("unkept"), { stays: true }));
	refresh();
}

// refresh runs once at a time, and again if asked meanwhile.
let running = null, again = false;
function refresh() {
	again = true;
	running ??= (async () => {
		while (again) {
			again = false;
			await render();
		}
	})().finally(() => (running = null));
	return running;
}

async function render() {
	const filtered = $("search").value.trim() !== "" || pressed($("stars"));
	const { pictures, more } = await history.list({ search: $("search").value, favourites: pressed($("stars")), limit });
	const old = rows;
	rows = new Map(pictures.map((p) => [p.id, kept(p)]));
	for (const [id, { item, url }] of old) {
		if (rows.get(id)?.item === item) continue;
		item.remove();
		URL.revokeObjectURL(url);
	}
	// What is in its place stays there, and so does the focus.
	const list = $("past");
	[...rows.values()].forEach(({ item }, i) => item === list.children[i] || list.insertBefore(item, list.children[i] ?? null));
	$("more").hidden = !more;
	$("none").hidden = pictures.length > 0;
	$("history").hidden = pictures.length === 0 && !filtered;
}

// kept is the row that the picture has, or a new one.
function kept(picture) {
	const look = language();
	const before = rows.get(picture.id);
	if (before?.look === look) {
		before.picture.favourite = picture.favourite;
		press(before.item.querySelector(".star"), picture.favourite === true);
		return before;
	}
	const url = URL.createObjectURL(picture.blob);
	return { item: row(picture, url), url, picture, look };
}

function row(picture, url) {
	const img = create("img", { src: url, alt: picture.settings.prompt, title: picture.settings.prompt, loading: "lazy", decoding: "async" });
	const open = create("button", { type: "button", className: "thumb" }, img);
	open.addEventListener("click", () => onPick(picture));
	const star = create("button", { type: "button", className: "mark star", textContent: "★" });
	star.setAttribute("aria-label", `${t("favourite")}: ${picture.settings.prompt}`);
	press(star, picture.favourite === true);
	star.addEventListener("click", () => history.setFavourite(picture.id, !picture.favourite).catch(showError));
	const pen = create("button", { type: "button", className: "mark pen", textContent: "✎" });
	pen.setAttribute("aria-label", `${t("edit")}: ${picture.settings.prompt}`);
	pen.addEventListener("click", () => Promise.resolve(onEdit(picture)).catch(showError));
	const remove = create("button", { type: "button", className: "mark bin", textContent: "✕" });
	remove.setAttribute("aria-label", `${t("remove")}: ${picture.settings.prompt}`);
	remove.addEventListener("click", async (event) => {
		try {
			await history.remove(picture.id);
		} catch (err) {
			return showError(err);
		}
		showNotice(t("removed"), { undo: () => history.add(picture) });
		if (event.detail === 0) $("undo").focus(); // pressed by keyboard: its place is gone
	});
	return create("li", {}, open, star, remove, pen);
}

let typing = 0;
$("search").addEventListener("input", () => {
	clearTimeout(typing);
	typing = setTimeout(refresh, 150);
});
$("stars").addEventListener("click", () => {
	press($("stars"), !pressed($("stars")));
	refresh();
});
$("more").addEventListener("click", () => {
	limit += pageful;
	refresh();
});
$("export").addEventListener("click", async () => {
	const { pictures } = await history.list({ search: $("search").value, favourites: pressed($("stars")) });
	const files = pictures.map((p, i) => ({ name: `${String(i + 1).padStart(4, "0")}-${fileName(p.settings)}`, blob: p.blob, date: new Date(p.time) }));
	download(await zip(files), "wisp.zip");
});
$("clear").addEventListener("click", () => {
	if (confirm(t("clearSure"))) history.clear().catch(showError);
});
