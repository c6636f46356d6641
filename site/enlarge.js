// enlarge paints an image onto a canvas, a whole number of times as large, by
// Catmull-Rom interpolation (Keys 1981, a = -1/2): edges stay clean where the
// browser's own bilinear scaling shows steps.
export function enlarge(image, canvas, factor) {
	const { width, height } = image;
	const wide = stretch(image.data, width, height, 4, width * 4, factor); // along rows
	const tall = stretch(wide, height, width * factor, width * factor * 4, 4, factor); // along columns
	canvas.width = width * factor;
	canvas.height = height * factor;
	canvas.getContext("2d").putImageData(new ImageData(tall, canvas.width, canvas.height), 0, 0);
}

// weights of the four neighbours for each of the factor positions between two
// pixels, and where the first neighbour is.
function taps(factor) {
	return Array.from({ length: factor }, (_, i) => {
		const x = (i + 0.5) / factor - 0.5;
		const first = Math.floor(x);
		const t = x - first;
		return {
			first: first - 1,
			w: [
				((2 - t) * t - 1) * t / 2,
				((3 * t - 5) * t * t + 2) / 2,
				((4 - 3 * t) * t + 1) * t / 2,
				(t - 1) * t * t / 2,
			],
		};
	});
}

// stretch enlarges one dimension of RGBA bytes: n elements that are step bytes
// apart, on each of lines that are pitch bytes apart. The result has the same
// order of dimensions.
function stretch(from, n, lines, step, pitch, factor) {
	const alongRows = step === 4;
	const to = new Uint8ClampedArray(from.length * factor);
	const toStep = step, toPitch = alongRows ? pitch * factor : pitch;
	const all = taps(factor);
	for (let line = 0; line < lines; line++) {
		for (let i = 0; i < n; i++) {
			for (let k = 0; k < factor; k++) {
				const { first, w } = all[k];
				const a = line * pitch + Math.max(0, Math.min(n - 1, i + first)) * step;
				const b = line * pitch + Math.max(0, Math.min(n - 1, i + first + 1)) * step;
				const c = line * pitch + Math.max(0, Math.min(n - 1, i + first + 2)) * step;
				const d = line * pitch + Math.max(0, Math.min(n - 1, i + first + 3)) * step;
				const out = line * toPitch + (i * factor + k) * toStep;
				for (let e = 0; e < 4; e++) to[out + e] = w[0] * from[a + e] + w[1] * from[b + e] + w[2] * from[c + e] + w[3] * from[d + e];
			}
		}
	}
	return to;
}
