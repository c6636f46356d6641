// depthwise_conv2d: out[n, y, x, c] = act(Σ w[i, j, c]·in[n, y·step+i−top, x·step+j−left, c] + bias[c] + residual).
//
// Bindings: 0 dims, 1 x (n, h, w, c), 2 w (kh, kw, c), 3 bias (c), 4 residual
// (n, oh, ow, c), 5 out (n, oh, ow, c). A bias or a residual that is switched off
// is bound to anything. Mirrors engine/cpu/depthwise_conv2d.go.
// With each, activate.

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
	top: i32,
	left: i32,
	act: u32, // 0 none, 1 silu, ... as in activate
	has_bias: u32,
	has_residual: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read> w: array<elem>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<elem>;
@group(0) @binding(5) var<storage, read_write> out: array<elem>;

fn each(i: u32) {
	let ch = i % dims.c;
	let place = i / dims.c;
	let line = place / dims.ow;
	let y0 = i32(line % dims.oh * dims.step) - dims.top;
	let x0 = i32(place % dims.ow * dims.step) - dims.left;
	let image = line / dims.oh * dims.h;
	var sum = 0.0;
	for (var ky = 0u; ky < dims.kh; ky++) {
		let y = y0 + i32(ky);
		if (y < 0 || y >= i32(dims.h)) { continue; }
		for (var kx = 0u; kx < dims.kw; kx++) {
			let px = x0 + i32(kx);
			if (px < 0 || px >= i32(dims.w)) { continue; }
			sum += f32(w[(ky * dims.kw + kx) * dims.c + ch]) * f32(x[((image + u32(y)) * dims.w + u32(px)) * dims.c + ch]);
		}
	}
	if (dims.has_bias > 0u) { sum += bias[ch]; }
	if (dims.has_residual > 0u) { sum += f32(residual[i]); }
	out[i] = elem(activate(sum, dims.act));
}
