// fold2d: out[n, y·step+i−top, x·step+j−left, c] = Σ in[n, y, x, i, j, c] + bias[c],
// gathered: each element of out looks for the patches over it, the last of which
// begins at or before it.
//
// Bindings: 0 dims, 1 x (n, h, w, kh, kw, c), 2 bias (c), bound to anything where
// it is switched off, 3 out (n, oh, ow, c). Mirrors engine/cpu/fold2d.go.
// With each.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	h: u32,
	w: u32,
	c: u32,
	oh: u32,
	ow: u32,
	kh: u32,
	kw: u32,
	step: u32,
	top: u32,
	left: u32,
	has_bias: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<elem>;

fn each(i: u32) {
	let ch = i % dims.c;
	let place = i / dims.c;
	let line = place / dims.ow;
	let oy = line % dims.oh + dims.top;
	let ox = place % dims.ow + dims.left;
	let image = line / dims.oh * dims.h;
	var sum = 0.0;
	if (dims.has_bias > 0u) { sum = bias[ch]; }
	for (var ky = oy % dims.step; ky < min(dims.kh, oy + 1u); ky += dims.step) {
		let y = (oy - ky) / dims.step;
		if (y >= dims.h) { continue; }
		for (var kx = ox % dims.step; kx < min(dims.kw, ox + 1u); kx += dims.step) {
			let px = (ox - kx) / dims.step;
			if (px >= dims.w) { continue; }
			sum += f32(x[((((image + y) * dims.w + px) * dims.kh + ky) * dims.kw + kx) * dims.c + ch]);
		}
	}
	out[i] = elem(sum);
}
