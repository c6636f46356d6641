// A mask over a picture, painted by mouse, pen, fingers or keys: what is painted is
// drawn anew, the rest stays. It knows the canvas that shows both and nothing else
// of the page; it tells by the event "change".
//
// Keys: arrows move the brush (with Shift further), space paints, B and E choose
// brush or eraser, [ and ] its size, I inverts, Ctrl+Z and Ctrl+Shift+Z undo and
// redo, + and − zoom, 0 shows all. The wheel zooms with Ctrl and else moves the
// picture; two fingers do both; the middle button moves it.

const mostUndone = 96 << 20; // bytes of pixels that undo keeps
const tint = "rgb(97 102 255)";

export class Brush extends EventTarget {
	size = 0; // of the brush, in pixels of the picture
	erases = false;
	around = { left: 0, top: 0, right: 0, bottom: 0 }; // what is added to the picture, in its pixels
	#canvas; #picture; #mask; #paper;
	#view = { scale: 1, x: 0, y: 0 }; // of the picture in the canvas, in CSS pixels
	#fitted = true; // until the visitor moves it
	#pointers = new Map(); // that are down: id -> {x, y}
	#stroke = null; // {points, before, box}
	#cursor = null; // where the brush is, in pixels of the picture
	#keys = false; // whether keys move it
	#done = []; #undone = []; // {x, y, before, after}
	#frame = 0;

	// picture is what drawImage takes; mask, where there is one already, a canvas
	// of its size whose opaque parts are painted.
	constructor(canvas, picture, mask) {
		super();
		this.#canvas = canvas;
		this.#picture = picture;
		this.#mask = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
		this.#paper = this.#mask.getContext("2d", { willReadFrequently: true });
		if (mask) this.#paper.drawImage(mask, 0, 0, picture.width, picture.height);
		this.size = Math.max(2, Math.round(Math.min(picture.width, picture.height) / 6));
		this.#listen();
	}

	get mask() { return this.#mask; }
	get scale() { return this.#view.scale; }
	get undoable() { return this.#done.length > 0; }
	get redoable() { return this.#undone.length > 0; }

	// empty tells whether nothing is painted.
	get empty() {
		const { data } = this.#paper.getImageData(0, 0, this.#mask.width, this.#mask.height);
		for (let i = 3; i < data.length; i += 4) if (data[i] > 0) return false;
		return true;
	}

	// place is where a point of the picture lies in the canvas, in CSS pixels.
	place(x, y) {
		return { x: this.#view.x + x * this.#view.scale, y: this.#view.y + y * this.#view.scale };
	}

	// point is the picture's pixel at a place on the screen.
	point({ clientX, clientY }) {
		const box = this.#canvas.getBoundingClientRect();
		return { x: (clientX - box.left - this.#view.x) / this.#view.scale, y: (clientY - box.top - this.#view.y) / this.#view.scale };
	}

	// What the visitor can do.
	undo() { this.#again(this.#done, this.#undone, "before"); }
	redo() { this.#again(this.#undone, this.#done, "after"); }
	invert() { this.#whole((paper, w, h) => this.#fill(paper, "source-out", w, h)); }
	clear() { this.#whole((paper, w, h) => paper.clearRect(0, 0, w, h)); }

	resize(factor) {
		this.size = Math.min(Math.max(this.#picture.width, this.#picture.height), Math.max(1, Math.round(this.size * factor)));
		this.#changed();
	}

	// zoom enlarges around a place in the canvas, by default its middle.
	zoom(factor, x = this.#canvas.clientWidth / 2, y = this.#canvas.clientHeight / 2) {
		const { scale } = this.#view;
		const next = Math.min(32, Math.max(0.05, scale * factor));
		this.#fitted = false;
		this.#view = { scale: next, x: x - (x - this.#view.x) * next / scale, y: y - (y - this.#view.y) * next / scale };
		this.#changed();
	}

	pan(dx, dy) {
		this.#fitted = false;
		this.#view.x += dx;
		this.#view.y += dy;
		this.#changed();
	}

	// fit shows all of the picture, and of what is added to it.
	fit() {
		const { clientWidth: w, clientHeight: h } = this.#canvas;
		const { left, top, right, bottom } = this.around;
		const width = this.#picture.width + left + right, height = this.#picture.height + top + bottom;
		const scale = Math.max(0.01, Math.min((w - 40) / width, (h - 40) / height));
		this.#fitted = true;
		this.#view = { scale, x: (w - width * scale) / 2 + left * scale, y: (h - height * scale) / 2 + top * scale };
		this.#changed();
	}

	// refit fits again, unless the visitor has moved the picture.
	refit() {
		if (this.#fitted) this.fit();
		else this.#changed();
	}

	#fill(paper, how, w, h) {
		paper.globalCompositeOperation = how;
		paper.fillStyle = tint;
		paper.fillRect(0, 0, w, h);
		paper.globalCompositeOperation = "source-over";
	}

	#whole(change) {
		const { width, height } = this.#mask;
		const before = this.#paper.getImageData(0, 0, width, height);
		change(this.#paper, width, height);
		this.#remember(0, 0, before);
	}

	// #remember keeps what lies at a place, before and after a change.
	#remember(x, y, before) {
		this.#done.push({ x, y, before, after: this.#paper.getImageData(x, y, before.width, before.height) });
		this.#undone.length = 0;
		const bytes = () => this.#done.reduce((sum, { before }) => sum + 2 * before.data.length, 0);
		while (this.#done.length > 1 && bytes() > mostUndone) this.#done.shift();
		this.#changed(true);
	}

	#again(from, to, which) {
		this.#abandon();
		const change = from.pop();
		if (!change) return;
		this.#paper.putImageData(change[which], change.x, change.y);
		to.push(change);
		this.#changed(true);
	}

	#changed(painted = false) {
		this.show();
		this.dispatchEvent(new CustomEvent("change", { detail: { painted } }));
	}

	// A stroke is painted as it comes, on the mask itself.
	#begin(x, y, pressure, erases = this.erases) {
		const { width, height } = this.#mask;
		this.#stroke = { x, y, erases, before: this.#paper.getImageData(0, 0, width, height), box: { left: width, top: height, right: 0, bottom: 0 } };
		this.#line(x, y, pressure);
	}

	#line(x, y, pressure) {
		const s = this.#stroke, width = this.size * pressure, paper = this.#paper;
		paper.globalCompositeOperation = s.erases ? "destination-out" : "source-over";
		paper.strokeStyle = tint;
		paper.lineWidth = width;
		paper.lineCap = paper.lineJoin = "round";
		paper.beginPath();
		paper.moveTo(s.x, s.y);
		paper.lineTo(x, y);
		paper.stroke();
		paper.globalCompositeOperation = "source-over";
		const reach = width / 2 + 2;
		s.box = {
			left: Math.min(s.box.left, s.x - reach, x - reach), top: Math.min(s.box.top, s.y - reach, y - reach),
			right: Math.max(s.box.right, s.x + reach, x + reach), bottom: Math.max(s.box.bottom, s.y + reach, y + reach),
		};
		Object.assign(s, { x, y });
		this.show();
	}

	#end() {
		if (!this.#stroke) return;
		const { before, box } = this.#stroke;
		this.#stroke = null;
		const left = Math.max(0, Math.floor(box.left)), top = Math.max(0, Math.floor(box.top));
		const right = Math.min(before.width, Math.ceil(box.right)), bottom = Math.min(before.height, Math.ceil(box.bottom));
		if (right <= left || bottom <= top) return; // beside the picture
		const part = new ImageData(right - left, bottom - top);
		for (let y = top; y < bottom; y++) part.data.set(before.data.subarray(4 * (y * before.width + left), 4 * (y * before.width + right)), 4 * (y - top) * part.width);
		this.#remember(left, top, part);
	}

	// #abandon takes back a stroke under way: it became something else.
	#abandon() {
		if (this.#stroke) this.#paper.putImageData(this.#stroke.before, 0, 0);
		this.#stroke = null;
		this.show();
	}

	#listen() {
		const on = (name, f) => this.#canvas.addEventListener(name, f);
		on("pointerdown", (e) => this.#down(e));
		on("pointermove", (e) => this.#move(e));
		for (const name of ["pointerup", "pointercancel"]) on(name, (e) => this.#up(e));
		on("pointerleave", () => {
			if (!this.#keys) this.#cursor = null;
			this.show();
		});
		on("wheel", (e) => {
			e.preventDefault();
			if (e.ctrlKey || e.metaKey) this.zoom(Math.exp(-e.deltaY / (e.deltaMode === 0 ? 200 : 6)), e.offsetX, e.offsetY);
			else this.pan(-e.deltaX, -e.deltaY);
		});
		on("contextmenu", (e) => e.preventDefault());
		on("keydown", (e) => this.#key(e));
		on("keyup", (e) => {
			if (e.key === " ") this.#end();
		});
		on("blur", () => this.#end());
	}

	#down(event) {
		event.preventDefault();
		this.#canvas.focus({ preventScroll: true });
		if (event.isTrusted) this.#canvas.setPointerCapture(event.pointerId);
		this.#pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY, pans: event.button === 1 });
		if (this.#pointers.size > 1) return this.#abandon(); // two fingers move the picture
		if (event.button !== 0 && event.button !== 5) return;
		this.#keys = false;
		const { x, y } = this.point(event);
		this.#cursor = { x, y };
		this.#begin(x, y, pressureOf(event), this.erases || event.button === 5); // which is the other end of a pen
	}

	#move(event) {
		const was = this.#pointers.get(event.pointerId);
		this.#keys = false;
		this.#cursor = this.point(event);
		if (was && this.#pointers.size > 1) return this.#pinch(event, was);
		if (was?.pans) {
			this.pan(event.offsetX - was.x, event.offsetY - was.y);
			Object.assign(was, { x: event.offsetX, y: event.offsetY });
		} else if (this.#stroke && was) {
			const steps = event.getCoalescedEvents?.() ?? [];
			for (const step of steps.length > 0 ? steps : [event]) {
				const { x, y } = this.point(step);
				this.#line(x, y, pressureOf(step));
			}
		}
		this.show();
	}

	// #pinch moves and enlarges by what two fingers did.
	#pinch(event, was) {
		const other = [...this.#pointers].find(([id]) => id !== event.pointerId)[1];
		const between = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
		const now = { x: event.offsetX, y: event.offsetY };
		this.pan((now.x - was.x) / 2, (now.y - was.y) / 2);
		this.zoom(Math.max(1, between(now, other)) / Math.max(1, between(was, other)), (now.x + other.x) / 2, (now.y + other.y) / 2);
		Object.assign(was, now);
	}

	#up(event) {
		this.#pointers.delete(event.pointerId);
		if (event.type === "pointercancel") this.#abandon();
		else this.#end();
	}

	#key(event) {
		const { key } = event, control = event.ctrlKey || event.metaKey;
		const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
		const simple = {
			b: () => (this.erases = false), e: () => (this.erases = true), "[": () => this.resize(0.8), "]": () => this.resize(1.25), i: () => this.invert(),
			"+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(0.8), 0: () => this.fit(),
		}[key.toLowerCase()];
		if (control && key.toLowerCase() === "z") event.shiftKey ? this.redo() : this.undo();
		else if (control && key.toLowerCase() === "y") this.redo();
		else if (control || event.altKey) return;
		else if (arrow) this.#walk(arrow, event.shiftKey ? 2 : 0.25);
		else if (key === " ") {
			if (!this.#stroke) this.#begin(this.#middle().x, this.#middle().y, 1);
		} else if (simple) {
			simple();
			this.#changed();
		} else return;
		event.preventDefault();
	}

	#middle() {
		this.#keys = true;
		return this.#cursor ??= { x: this.#picture.width / 2, y: this.#picture.height / 2 };
	}

	// #walk moves the brush by keys, within the picture, and paints while space is
	// down.
	#walk([dx, dy], step) {
		const at = this.#middle();
		const inside = (n, most) => Math.min(most, Math.max(0, n));
		at.x = inside(at.x + dx * step * this.size, this.#picture.width);
		at.y = inside(at.y + dy * step * this.size, this.#picture.height);
		if (this.#stroke) this.#line(at.x, at.y, 1);
		this.show();
	}

	// show paints the canvas at the next frame.
	show() {
		if (this.#frame) return;
		this.#frame = requestAnimationFrame(() => {
			this.#frame = 0;
			this.#draw();
		});
	}

	#draw() {
		const canvas = this.#canvas, ratio = devicePixelRatio, { scale, x, y } = this.#view;
		const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
		if (width < 1 || height < 1) return;
		if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
		const c = canvas.getContext("2d");
		const { left, top, right, bottom } = this.around, w = this.#picture.width, h = this.#picture.height;
		c.setTransform(1, 0, 0, 1, 0, 0);
		c.clearRect(0, 0, width, height);
		c.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
		if (left + top + right + bottom > 0) this.#room(c, -left, -top, w + left + right, h + top + bottom);
		c.imageSmoothingEnabled = scale < 3;
		c.imageSmoothingQuality = "high";
		c.drawImage(this.#picture, 0, 0);
		c.globalAlpha = 0.6;
		c.drawImage(this.#mask, 0, 0);
		c.globalAlpha = 1;
		if (this.#cursor && this.#pointers.size < 2) this.#ring(c, this.#cursor, scale);
	}

	// #room is what is added to the picture: it is drawn anew, as what is painted.
	#room(c, x, y, w, h) {
		c.fillStyle = tint;
		c.globalAlpha = 0.25;
		c.fillRect(x, y, w, h);
		c.globalAlpha = 1;
		c.strokeStyle = tint;
		c.lineWidth = 1.5 / this.#view.scale;
		c.setLineDash([6 / this.#view.scale, 4 / this.#view.scale]);
		c.strokeRect(x, y, w, h);
		c.setLineDash([]);
	}

	#ring(c, { x, y }, scale) {
		for (const [colour, width] of [["#000", 3], ["#fff", 1.25]]) {
			c.strokeStyle = colour;
			c.lineWidth = width / scale;
			c.beginPath();
			c.arc(x, y, Math.max(this.size / 2, 1 / scale), 0, 2 * Math.PI);
			c.stroke();
		}
		if (!this.#keys) return;
		c.beginPath();
		for (const [dx, dy] of [[1, 0], [0, 1]]) {
			c.moveTo(x - dx * 5 / scale, y - dy * 5 / scale);
			c.lineTo(x + dx * 5 / scale, y + dy * 5 / scale);
		}
		c.stroke();
	}
}

// pressureOf is how wide a pen paints; a mouse and fingers always the same.
const pressureOf = (event) => (event.pointerType === "pen" && event.pressure > 0 ? 0.25 + 0.75 * event.pressure : 1);
