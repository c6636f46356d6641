// The dialog in which a picture is painted over or made larger: a Brush with its
// tools, and handles on the edges.
import { Brush } from "./brush.js";
import { about, dialogOf, icon, named, percent, pill, slider, toggle } from "./parts.js";
import { create, press, t } from "./ui.js";

const paths = {
	brush: "M4 20c3 0 4-1 4-3a2.5 2.5 0 0 1 5 0c0 2.5-3 4-9 3zM12 14.5 19.5 5a1.5 1.5 0 0 1 2 2L13.5 15",
	eraser: "m9 19-5-5a1.5 1.5 0 0 1 0-2l8-8a1.5 1.5 0 0 1 2 0l6 6a1.5 1.5 0 0 1 0 2l-7 7zM8 8.5l7.5 7.5M9 19h11",
	undo: "M9 6 4 11l5 5M4 11h10a5.5 5.5 0 0 1 0 11h-3",
	redo: "m15 6 5 5-5 5M20 11H10a5.5 5.5 0 0 0 0 11h3",
	invert: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16M12 8h6M12 12h8M12 16h6",
	clear: "M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7",
	out: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5M8 11h6",
	in: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5M8 11h6M11 8v6",
};

const sides = { left: ["ArrowLeft", "ArrowRight"], top: ["ArrowUp", "ArrowDown"], right: ["ArrowRight", "ArrowLeft"], bottom: ["ArrowDown", "ArrowUp"] };

// edit opens the dialog on {bitmap, mask, outpaint}; step is what the edges move by,
// most how large the picture may become. done gets {mask, outpaint}: mask is null
// where nothing is painted, outpaint where nothing is added.
export function edit({ bitmap, mask, outpaint }, { step, most }, done) {
	const canvas = about(create("canvas", { tabIndex: 0 }), "brushArea");
	canvas.setAttribute("role", "application");
	const help = named("small", "brushHelp", { id: "brush-help", className: "unseen" });
	canvas.setAttribute("aria-describedby", help.id);
	const stage = create("div", { className: "stage" }, canvas, help);
	const brush = new Brush(canvas, bitmap, mask);
	Object.assign(brush.around, outpaint);
	const handles = Object.keys(sides).map((side) => handle(side, brush, { step, most, bitmap }));
	stage.append(...handles);
	const tools = toolbar(brush);
	const box = dialogOf("paintTitle", "editor", "done", () => {
		watch.disconnect();
		const added = Object.values(brush.around).some((n) => n > 0);
		done({ mask: brush.empty ? null : brush.mask, outpaint: added ? { ...brush.around } : null });
	}, named("p", "paintIntro"), stage, tools);
	const watch = new ResizeObserver(() => brush.refit());
	watch.observe(stage);
	brush.addEventListener("change", () => handles.forEach((h) => h.dispatchEvent(new Event("place"))));
	brush.fit();
	canvas.focus();
	return { box, brush };
}

function toolbar(brush) {
	const paint = toggle(paths.brush, "brush", true, () => (brush.erases = false, show()));
	const erase = toggle(paths.eraser, "eraser", false, () => (brush.erases = true, show()));
	const size = slider("brushSize", { min: 0, max: 100, step: 1, value: 0, shown: () => `${brush.size} px`, changed: (n) => (brush.size = sizeAt(n), show()) });
	const largest = Math.max(brush.mask.width, brush.mask.height);
	const sizeAt = (n) => Math.max(1, Math.round(largest ** (n / 100)));
	const undo = icon(paths.undo, "undoStroke", () => brush.undo()), redo = icon(paths.redo, "redoStroke", () => brush.redo());
	const scale = pill("fitAll", () => brush.fit());
	scale.removeAttribute("data-t");
	about(scale, "fitAll", true);
	const show = () => {
		press(paint, !brush.erases);
		press(erase, brush.erases);
		undo.disabled = !brush.undoable;
		redo.disabled = !brush.redoable;
		scale.textContent = percent(brush.scale);
		size.set(Math.round(100 * Math.log(brush.size) / Math.log(largest)));
	};
	brush.addEventListener("change", show);
	show();
	return create("div", { className: "tools" }, paint, erase, size.box, undo, redo,
		icon(paths.invert, "invert", () => brush.invert()), icon(paths.clear, "clearMask", () => brush.clear()),
		create("span", { className: "icons" }, icon(paths.out, "zoomOut", () => brush.zoom(0.8)), scale, icon(paths.in, "zoomIn", () => brush.zoom(1.25))));
}

// handle is on one edge of the picture: it is drawn outwards, or moved by arrow keys.
function handle(side, brush, { step, most, bitmap }) {
	const upright = side === "top" || side === "bottom";
	const button = create("span", { className: `handle ${side}`, tabIndex: 0 });
	button.setAttribute("role", "slider");
	button.setAttribute("aria-orientation", upright ? "vertical" : "horizontal");
	button.setAttribute("aria-valuemin", 0);
	about(button, `extend${side[0].toUpperCase()}${side.slice(1)}`, true);
	const other = { left: "right", right: "left", top: "bottom", bottom: "top" }[side];
	const room = () => Math.max(0, Math.floor((most - (upright ? bitmap.height : bitmap.width) - brush.around[other]) / step) * step);
	const set = (n, drawn) => {
		brush.around[side] = Math.min(room(), Math.max(0, Math.round(n / step) * step));
		brush.show();
		if (drawn) brush.dispatchEvent(new Event("change")); // what is under the finger stays there
		else brush.refit();
	};
	button.addEventListener("place", () => {
		const { left, top, right, bottom } = brush.around, w = bitmap.width, h = bitmap.height;
		const x = side === "left" ? -left : side === "right" ? w + right : (w + right - left) / 2;
		const y = side === "top" ? -top : side === "bottom" ? h + bottom : (h + bottom - top) / 2;
		const at = brush.place(x, y);
		button.style.translate = `${at.x}px ${at.y}px`;
		button.setAttribute("aria-valuenow", brush.around[side]);
		button.setAttribute("aria-valuemax", room());
		button.setAttribute("aria-valuetext", t("pixels", { n: brush.around[side] }));
	});
	button.addEventListener("keydown", (event) => {
		const [more, less] = sides[side];
		const by = { [more]: step, [less]: -step, Home: -Infinity, End: Infinity, PageUp: 4 * step, PageDown: -4 * step }[event.key];
		if (by === undefined) return;
		event.preventDefault();
		set(by === Infinity ? room() : by === -Infinity ? 0 : brush.around[side] + by);
	});
	button.addEventListener("pointerdown", (event) => {
		event.preventDefault();
		button.focus();
		if (event.isTrusted) button.setPointerCapture(event.pointerId);
		const before = brush.around[side], { scale } = brush, sign = side === "left" || side === "top" ? -1 : 1;
		const from = upright ? event.clientY : event.clientX;
		const move = (e) => set(before + sign * ((upright ? e.clientY : e.clientX) - from) / scale, true);
		const end = () => {
			button.removeEventListener("pointermove", move);
			brush.refit();
		};
		button.addEventListener("pointermove", move);
		button.addEventListener("lostpointercapture", end, { once: true });
		if (!event.isTrusted) button.addEventListener("pointerup", end, { once: true });
	});
	return button;
}
