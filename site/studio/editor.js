// The dialog in which a picture is painted over or made larger: a Brush with its
// tools, and handles on the edges. Its markup is a template of the page.
import { Brush } from "./brush.js";
import { opened, percent } from "./parts.js";
import { press, t } from "./ui.js";

const sides = { left: ["ArrowLeft", "ArrowRight"], top: ["ArrowUp", "ArrowDown"], right: ["ArrowRight", "ArrowLeft"], bottom: ["ArrowDown", "ArrowUp"] };

// edit opens the dialog on {bitmap, mask, outpaint}; step is what the edges move by,
// most how large the picture may become. done gets {mask, outpaint}: mask is null
// where nothing is painted, outpaint where nothing is added.
export function edit({ bitmap, mask, outpaint }, { step, most }, done) {
	const box = opened("editor", () => {
		watch.disconnect();
		const added = Object.values(brush.around).some((n) => n > 0);
		done({ mask: brush.empty ? null : brush.mask, outpaint: added ? { ...brush.around } : null });
	});
	const stage = box.querySelector(".stage"), canvas = stage.querySelector("canvas");
	const brush = new Brush(canvas, bitmap, mask);
	Object.assign(brush.around, outpaint);
	const handles = Object.keys(sides).map((side) => handle(stage.querySelector(`.${side}`), side, brush, { step, most, bitmap }));
	tools(box, brush);
	const watch = new ResizeObserver(() => brush.refit());
	watch.observe(stage);
	brush.addEventListener("change", () => handles.forEach((h) => h.dispatchEvent(new Event("place"))));
	brush.fit();
	canvas.focus();
}

function tools(box, brush) {
	const button = (name) => box.querySelector(`[data-do=${name}]`);
	const largest = Math.max(brush.mask.width, brush.mask.height);
	const size = box.querySelector("input");
	const show = () => {
		press(button("brush"), !brush.erases);
		press(button("eraser"), brush.erases);
		button("undoStroke").disabled = !brush.undoable;
		button("redoStroke").disabled = !brush.redoable;
		button("fitAll").textContent = percent(brush.scale);
		box.querySelector("output").textContent = `${brush.size} px`;
		size.value = Math.round(100 * Math.log(brush.size) / Math.log(largest));
	};
	const does = {
		brush: () => (brush.erases = false, show()), eraser: () => (brush.erases = true, show()),
		undoStroke: () => brush.undo(), redoStroke: () => brush.redo(), invert: () => brush.invert(), clearMask: () => brush.clear(),
		zoomOut: () => brush.zoom(0.8), fitAll: () => brush.fit(), zoomIn: () => brush.zoom(1.25),
	};
	for (const [name, f] of Object.entries(does)) button(name).addEventListener("click", f);
	size.addEventListener("input", () => {
		brush.size = Math.max(1, Math.round(largest ** (size.valueAsNumber / 100)));
		show();
	});
	brush.addEventListener("change", show);
	show();
}

// handle is on one edge of the picture: it is drawn outwards, or moved by arrow keys.
function handle(button, side, brush, { step, most, bitmap }) {
	const upright = side === "top" || side === "bottom";
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
