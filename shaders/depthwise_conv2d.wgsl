// depthwise_conv2d: out[n, y, x, c] = act(Σ w[i, j, c]·in[n, y·step+i−top, x·step+j−left, c] + bias[c] + residual).
//
// Grid (elements of out / 256 in rows of 32768, rows, 1) of 256 invocations.
//
// Bindings: 0 dims, 1 x (n, h, w, c), 2 w (kh, kw, c), 3 bias (c), 4 residual
// (n, oh, ow, c), 5 out (n, oh, ow, c). A bias or a residual that is switched off
// is bound to anything. Mirrors engine/cpu/depthwise_conv2d.go.

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

fn sigmoid(v: f32) -> f32 { return 1.0 / (1.0 + exp(min(-v, 80.0))); }

// erf by Abramowitz & Stegun 7.1.26, error below 1.5e-7.
fn erf(v: f32) -> f32 {
	let t = 1.0 / (1.0 + 0.3275911 * abs(v));
	let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
	return sign(v) * (1.0 - p * exp(-min(v * v, 80.0)));
}

fn activate(v: f32) -> f32 {
	switch dims.act {
		case 1u: { return v * sigmoid(v); }                                                                // silu
		case 2u: { return 0.5 * v * (1.0 + erf(v * 0.70710678)); }                                         // gelu
		case 3u: { return v * sigmoid(1.5957691216 * (v + 0.044715 * v * v * v)); }                        // gelu_tanh
		case 4u: { return v * sigmoid(1.702 * v); }                                                        // quick_gelu
		case 5u: { return max(v, 0.0); }                                                                   // relu
		case 6u: { return 2.0 * sigmoid(2.0 * v) - 1.0; }                                                  // tanh
		case 7u: { return sigmoid(v); }                                                                    // sigmoid
		default: { return v; }
	}
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i >= dims.count) { return; }
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
	out[i] = elem(activate(sum));
}
