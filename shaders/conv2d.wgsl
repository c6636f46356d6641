// conv2d: out[n, y, x, o] = act(Σ w[o, i, j, c]·in[n, y·step+i−top, x·step+j−left, c] + bias[o] + residual),
// as the matrix product of linear.wgsl whose row is an output pixel and whose k
// runs over (i, j, c); no patch matrix is ever stored. With up > 1 the image
// is read as if each pixel were up × up pixels: upsample2d before conv2d.
//
// Grid (channels / 64, pixels / (8·rows_per_thread), 1) of 16×8 invocations, as
// in linear.wgsl.
//
// Bindings: 0 dims, 1 x (n, h, w, c), c a multiple of 4, 2 w (out, kh, kw, c)
// and 3 its scales (see webgpu/weights.go), 4 bias (out), 5 residual
// (n, oh, ow, out), 6 out (n, oh, ow, out). What is switched off is
// bound to anything. Mirrors engine/cpu/conv2d.go.

override rows_per_thread: u32 = 8; // or 4
override kw: u32 = 3;
override up: u32 = 1;
override weights: u32 = 0; // 0 f32, 1 f16, 2 bf16, 3 q8, 4 q4, 5 q2

struct Dims {
	first: u32,  // first row of workgroups: a grid may run in several pieces
	rows: u32,   // pixels of out
	cols: u32,   // channels of out in this part of w
	k4: u32,     // vectors of four along k: kh·kw·c4
	stride: u32, // of a row of w, in vec2<u32>
	blocks: u32, // quantisation blocks of a row of w
	col0: u32,   // first channel of this part
	width: u32,  // channels of out
	act: u32,    // 0 none, 1 silu, ... as in activate
	has_bias: u32,
	has_residual: u32,
	h: u32,
	w: u32,
	c4: u32,
	oh: u32,
	ow: u32,
	top: i32,
	left: i32,
	step: u32,
	places: u32, // kh·kw
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<vec4<elem>>;
@group(0) @binding(2) var<storage, read> w: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<elem>;
@group(0) @binding(6) var<storage, read_write> out: array<elem>;

const threads = 128u;
const depth = 4u;            // vectors of k in a tile
const w_step = 64u + 2u;     // padded against bank conflicts
override tile_rows = 8u * rows_per_thread;
override x_step = tile_rows + 2u;
override loads = (tile_rows * depth + threads - 1u) / threads; // at most 2

var<workgroup> x_tile: array<vec4<f32>, depth * x_step>;
var<workgroup> w_tile: array<vec4<f32>, depth * w_step>;

// weight4 is four channels from 4k of w[row].
fn weight4(row: u32, k: u32) -> vec4<f32> {
	let base = row * dims.stride;
	switch weights {
		case 1u: {
			let v = w[base + k];
			return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
		}
		case 2u: {
			let v = w[base + k];
			return bitcast<vec4<f32>>(vec4<u32>(v.x << 16u, v.x & 0xffff0000u, v.y << 16u, v.y & 0xffff0000u));
		}
		case 3u: {
			let v = bitcast<i32>(w[base + k / 2u][k & 1u]);
			let q = vec4<i32>(extractBits(v, 0u, 8u), extractBits(v, 8u, 8u), extractBits(v, 16u, 8u), extractBits(v, 24u, 8u));
			return vec4<f32>(q) * scale4(row, k);
		}
		case 4u: {
			let v = w[base + k / 4u][(k / 2u) & 1u] >> (16u * (k & 1u));
			let q = vec4<u32>(v & 15u, (v >> 4u) & 15u, (v >> 8u) & 15u, (v >> 12u) & 15u);
			return (vec4<f32>(q) - 8.0) * scale4(row, k);
		}
		case 5u: {
			let v = w[base + k / 8u][(k / 4u) & 1u] >> (8u * (k & 3u));
			let q = vec4<u32>(v & 3u, (v >> 2u) & 3u, (v >> 4u) & 3u, (v >> 6u) & 3u);
			return (vec4<f32>(q) - 1.0) * scale4(row, k);
		}
		default: {
			return bitcast<vec4<f32>>(vec4<u32>(w[base + 2u * k], w[base + 2u * k + 1u]));
		}
	}
}

// scale4 gathers the scales of four channels: quantisation blocks run along
// the checkpoint's order (c, i, j), in which they lie kh·kw apart.
fn scale4(row: u32, k: u32) -> vec4<f32> {
	let at = (k % dims.c4) * 4u * dims.places + k / dims.c4;
	return vec4<f32>(scale(row, at), scale(row, at + dims.places), scale(row, at + 2u * dims.places), scale(row, at + 3u * dims.places));
}

fn scale(row: u32, at: u32) -> f32 {
	let i = row * dims.blocks + min(at / select(32u, 128u, weights == 5u), dims.blocks - 1u); // channels of the padding have none
	return unpack2x16float(scales[i / 2u])[i & 1u];
}

// corner is where the kernel lies for output pixel row: the first row and
// column of the input that it reads, and the pixel at which its image begins.
fn corner(row: u32) -> vec3<i32> {
	if (row >= dims.rows) { return vec3<i32>(-1000000, 0, 0); } // outside of any image
	let line = row / dims.ow;
	let image = line / dims.oh;
	return vec3<i32>(i32(line % dims.oh * dims.step) - dims.top, i32(row % dims.ow * dims.step) - dims.left, i32(image * dims.h * dims.w));
}

// pixel4 is the vector of channels ch, ky below and kx right of a corner.
fn pixel4(at: vec3<i32>, ky: u32, kx: u32, ch: u32) -> vec4<f32> {
	let y = at.x + i32(ky);
	let px = at.y + i32(kx);
	if (y < 0 || px < 0 || y >= i32(dims.h * up) || px >= i32(dims.w * up)) { return vec4<f32>(); }
	return vec4<f32>(x[(u32(at.z) + u32(y) / up * dims.w + u32(px) / up) * dims.c4 + ch]);
}

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

@compute @workgroup_size(16, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let row0 = (group.y + dims.first) * tile_rows;
	let col0 = group.x * 64u;
	var s0 = vec4<f32>(); // one row of sums each: arrays would leave the registers
	var s1 = vec4<f32>();
	var s2 = vec4<f32>();
	var s3 = vec4<f32>();
	var s4 = vec4<f32>();
	var s5 = vec4<f32>();
	var s6 = vec4<f32>();
	var s7 = vec4<f32>();
	var corners: array<vec3<i32>, 2>; // of the rows that this invocation loads
	for (var j = 0u; j < loads; j++) {
		corners[j] = corner(row0 + id / depth + j * (threads / depth));
	}
	for (var k0 = 0u; k0 < dims.k4; k0 += depth) {
		workgroupBarrier();
		let k = k0 + id % depth;
		let place = k / dims.c4;
		for (var j = 0u; j < loads; j++) {
			let i = id / depth + j * (threads / depth);
			if (i < tile_rows) {
				var v = vec4<f32>();
				if (k < dims.k4) { v = pixel4(corners[j], place / kw, place % kw, k % dims.c4); }
				x_tile[(id % depth) * x_step + i] = v;
			}
		}
		for (var i = id / depth; i < 64u; i += threads / depth) {
			var v = vec4<f32>();
			if (col0 + i < dims.cols && k < dims.k4) {
				v = weight4(col0 + i, k);
			}
			w_tile[(id % depth) * w_step + i] = v;
		}
		workgroupBarrier();
		for (var d = 0u; d < depth; d++) {
			let at = d * w_step + local.x;
			let w0 = w_tile[at];
			let w1 = w_tile[at + 16u];
			let w2 = w_tile[at + 32u];
			let w3 = w_tile[at + 48u];
			let first = d * x_step + local.y * rows_per_thread;
			var v = x_tile[first];
			s0 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			v = x_tile[first + 1u];
			s1 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			v = x_tile[first + 2u];
			s2 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			v = x_tile[first + 3u];
			s3 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			if (rows_per_thread == 8u) {
				v = x_tile[first + 4u];
				s4 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
				v = x_tile[first + 5u];
				s5 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
				v = x_tile[first + 6u];
				s6 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
				v = x_tile[first + 7u];
				s7 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			}
		}
	}
	let row = row0 + local.y * rows_per_thread;
	let col = col0 + local.x;
	for (var r = 0u; r < rows_per_thread; r++) {
		var sums = s0;
		switch r { // in a loop, so that what finishes a sum is compiled once
			case 1u: { sums = s1; }
			case 2u: { sums = s2; }
			case 3u: { sums = s3; }
			case 4u: { sums = s4; }
			case 5u: { sums = s5; }
			case 6u: { sums = s6; }
			case 7u: { sums = s7; }
			default: {}
		}
		for (var c = 0u; c < 4u; c++) {
			store(row + r, col + 16u * c, sums[c]);
		}
	}
}

fn store(row: u32, col: u32, total: f32) {
	if (row >= dims.rows || col >= dims.cols) { return; }
	var v = total;
	let at = row * dims.width + dims.col0 + col;
	if (dims.has_bias > 0u) { v += bias[dims.col0 + col]; }
	if (dims.has_residual > 0u) { v += f32(residual[at]); }
	out[at] = elem(activate(v));
}
