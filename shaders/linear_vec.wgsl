// linear_vec: linear for at most four rows, where reading w is all the work.
// out[r, c] = act(Σ_k x[r, k]·w[c, k] + bias[c] + residual[r, c]).
//
// Grid (columns / 4, 1, 1) of 64 invocations: sixteen to a column. Sums are f32.
//
// Bindings as in linear.wgsl. Mirrors engine/cpu/matmul.go.

override weights: u32 = 0; // 0 f32, 1 f16, 2 bf16, 3 q8, 4 q4, 5 q2

struct Dims {
	first: u32,
	rows: u32,
	cols: u32,   // of this part of w
	k4: u32,     // vectors of four along k
	stride: u32, // of a row of w, in vec2<u32>
	blocks: u32, // quantisation blocks of a row of w
	col0: u32,   // first column of this part
	width: u32,  // columns of out
	act: u32,    // 0 none, 1 silu, ... as in activate
	has_bias: u32,
	has_residual: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<vec4<elem>>;
@group(0) @binding(2) var<storage, read> w: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<elem>;
@group(0) @binding(6) var<storage, read_write> out: array<elem>;

var<workgroup> part: array<vec4<f32>, 64>; // sums of four rows

// weight4 is w[row, 4k .. 4k+3].
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
			return vec4<f32>(q) * scale(row, k / 8u);
		}
		case 4u: {
			let v = w[base + k / 4u][(k / 2u) & 1u] >> (16u * (k & 1u));
			let q = vec4<u32>(v & 15u, (v >> 4u) & 15u, (v >> 8u) & 15u, (v >> 12u) & 15u);
			return (vec4<f32>(q) - 8.0) * scale(row, k / 8u);
		}
		case 5u: {
			let v = w[base + k / 8u][(k / 4u) & 1u] >> (8u * (k & 3u));
			let q = vec4<u32>(v & 3u, (v >> 2u) & 3u, (v >> 4u) & 3u, (v >> 6u) & 3u);
			return (vec4<f32>(q) - 1.0) * scale(row, k / 32u);
		}
		default: {
			return bitcast<vec4<f32>>(vec4<u32>(w[base + 2u * k], w[base + 2u * k + 1u]));
		}
	}
}

fn scale(row: u32, block: u32) -> f32 {
	let i = row * dims.blocks + block;
	return unpack2x16float(scales[i / 2u])[i & 1u];
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

@compute @workgroup_size(16, 4)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let col = (group.x + (group.y + dims.first) * 32768u) * 4u + local.y;
	var sum = vec4<f32>();
	if (col < dims.cols) {
		for (var k = local.x; k < dims.k4; k += 16u) {
			let v = weight4(col, k);
			for (var r = 0u; r < dims.rows; r++) {
				sum[r] += dot(v, vec4<f32>(x[r * dims.k4 + k]));
			}
		}
	}
	part[id] = sum;
	for (var step = 8u; step > 0u; step /= 2u) {
		workgroupBarrier();
		if (local.x < step) { part[id] += part[id + step]; }
	}
	if (local.x == 0u && col < dims.cols) {
		for (var r = 0u; r < dims.rows; r++) {
			store(r, dims.col0 + col, part[id][r]);
		}
	}
}

fn store(row: u32, col: u32, total: f32) {
	var v = total;
	let at = row * dims.width + col;
	if (dims.has_bias > 0u) { v += bias[col]; }
	if (dims.has_residual > 0u) { v += f32(residual[at]); }
	out[at] = elem(activate(v));
}
