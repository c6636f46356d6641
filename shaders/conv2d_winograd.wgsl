// conv2d_winograd: conv2d with kernels of 3 × 3 and step 1 by Winograd's
// F(2×2, 3×3) (Lavin & Gray 2016): out tile = Aᵀ[Σ_c (G w Gᵀ) ∘ (Bᵀ in B)]A,
// 16 products for four pixels instead of 36. The transforms are made in the
// kernel, a vector of channels at a time, so nothing but operands and result
// crosses memory, and weights are read as they are stored.
//
// Grid (channels / 16, tiles / 32, 1) of 128 invocations. Invocation id sums
// position id / 8 of the 4 × 4 transformed tile for eight tiles and eight
// channels. Products and sums are f32.
//
// Bindings as in conv2d.wgsl. Mirrors engine/cpu/conv2d.go.

override up: u32 = 1;
override weights: u32 = 0; // 0 f32, 1 f16, 2 bf16, 3 q8, 4 q4, 5 q2

struct Dims {
	first: u32,  // first row of workgroups: a grid may run in several pieces
	rows: u32,   // tiles of out: images · th · tw
	cols: u32,   // channels of out in this part of w
	k4: u32,     // vectors of four along k: 9·c4
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
	th: u32,     // tiles of an image: oh and ow over two, rounded up
	tw: u32,
	places: u32, // 9
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<vec4<elem>>;
@group(0) @binding(2) var<storage, read> w: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<elem>;
@group(0) @binding(6) var<storage, read_write> out: array<elem>;

const tiles = 32u; // of a workgroup
const cols = 16u;  // its channels

var<workgroup> v_tile: array<vec4<f32>, 16u * tiles>;          // (position, tile), four channels of the input; at the end four sums
var<workgroup> u_tile: array<vec4<f32>, 16u * cols>;           // (position, channel), four channels of the input

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

// corner is where tile row reads its input from: the first row and column,
// and the pixel at which its image begins.
fn corner(row: u32) -> vec3<i32> {
	if (row >= dims.rows) { return vec3<i32>(-1000000, 0, 0); } // outside of any image
	let line = row / dims.tw;
	let image = line / dims.th;
	return vec3<i32>(i32(line % dims.th * 2u) - dims.top, i32(row % dims.tw * 2u) - dims.left, i32(image * dims.h * dims.w));
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

// input_column transforms column j of a tile: Bᵀ in B, rows in order.
fn input_column(at: vec3<i32>, j: u32, ch: u32) -> mat4x4<f32> {
	var e: mat4x4<f32>;
	let a = select(j, 1u, j > 1u);      // columns 0, 1, 1, 1
	let b = select(2u, j, j == 3u);     // less or plus columns 2, 2, 2, 3
	let plus = select(-1.0, 1.0, j == 1u);
	let sign = select(1.0, -1.0, j == 2u);
	for (var y = 0u; y < 4u; y++) {
		e[y] = sign * (pixel4(at, y, a, ch) + plus * pixel4(at, y, b, ch));
	}
	return mat4x4<f32>(e[0] - e[2], e[1] + e[2], e[2] - e[1], e[1] - e[3]);
}

// weight_column transforms column j of the kernel of channel row: G w Gᵀ.
fn weight_column(row: u32, j: u32, ch: u32) -> mat4x4<f32> {
	var h: mat3x4<f32>; // columns 0, (0 + 1 + 2)/2, (0 − 1 + 2)/2, 2
	let edge = j == 0u || j == 3u;
	let end = select(3u, 1u, j == 0u);
	for (var y = 0u; y < 3u; y++) {
		var sum = vec4<f32>();
		for (var kx = select(0u, 2u, j == 3u); kx < end; kx++) {
			let part = select(0.5, 1.0, edge) * select(1.0, -1.0, j == 2u && kx == 1u);
			sum += part * weight4(row, (3u * y + kx) * dims.c4 + ch);
		}
		h[y] = sum;
	}
	let ends = h[0] + h[2];
	return mat4x4<f32>(h[0], 0.5 * (ends + h[1]), 0.5 * (ends - h[1]), h[2]);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let row0 = (group.y + dims.first) * tiles;
	let col0 = group.x * cols;
	let place = id / 8u;          // of the transformed tile
	let first = id / 2u % 4u * 8u; // tile
	let pair = id % 2u;           // of vectors of channels: pair and pair + 2
	let at = corner(row0 + id % tiles); // of the tile that this invocation transforms
	var s0 = vec4<f32>(); // a tile each; arrays would leave the registers
	var t0 = vec4<f32>();
	var s1 = vec4<f32>();
	var t1 = vec4<f32>();
	var s2 = vec4<f32>();
	var t2 = vec4<f32>();
	var s3 = vec4<f32>();
	var t3 = vec4<f32>();
	var s4 = vec4<f32>();
	var t4 = vec4<f32>();
	var s5 = vec4<f32>();
	var t5 = vec4<f32>();
	var s6 = vec4<f32>();
	var t6 = vec4<f32>();
	var s7 = vec4<f32>();
	var t7 = vec4<f32>();
	for (var ch = 0u; ch < dims.c4; ch++) {
		workgroupBarrier();
		let j = id / tiles;
		let pixels = input_column(at, j, ch);
		for (var i = 0u; i < 4u; i++) {
			v_tile[(4u * i + j) * tiles + id % tiles] = pixels[i];
		}
		if (id < 4u * cols) {
			let col = id % cols;
			var u: mat4x4<f32>;
			if (col0 + col < dims.cols) { u = weight_column(col0 + col, id / cols, ch); }
			for (var i = 0u; i < 4u; i++) {
				u_tile[(4u * i + id / cols) * cols + col] = u[i];
			}
		}
		workgroupBarrier();
		let base = place * cols + 4u * pair;
		let near = transpose(mat4x4<f32>(u_tile[base], u_tile[base + 1u], u_tile[base + 2u], u_tile[base + 3u]));
		let far = transpose(mat4x4<f32>(u_tile[base + 8u], u_tile[base + 9u], u_tile[base + 10u], u_tile[base + 11u]));
		let v = place * tiles + first;
		let a0 = v_tile[v];
		s0 = row4(s0, a0, near);
		t0 = row4(t0, a0, far);
		let a1 = v_tile[v + 1u];
		s1 = row4(s1, a1, near);
		t1 = row4(t1, a1, far);
		let a2 = v_tile[v + 2u];
		s2 = row4(s2, a2, near);
		t2 = row4(t2, a2, far);
		let a3 = v_tile[v + 3u];
		s3 = row4(s3, a3, near);
		t3 = row4(t3, a3, far);
		let a4 = v_tile[v + 4u];
		s4 = row4(s4, a4, near);
		t4 = row4(t4, a4, far);
		let a5 = v_tile[v + 5u];
		s5 = row4(s5, a5, near);
		t5 = row4(t5, a5, far);
		let a6 = v_tile[v + 6u];
		s6 = row4(s6, a6, near);
		t6 = row4(t6, a6, far);
		let a7 = v_tile[v + 7u];
		s7 = row4(s7, a7, near);
		t7 = row4(t7, a7, far);
	}
	for (var turn = 0u; turn < 4u; turn++) { // there is room for a quarter of the sums
		workgroupBarrier();
		if (pair == turn % 2u) {
			let to = place * tiles + first;
			v_tile[to] = select(t0, s0, turn < 2u);
			v_tile[to + 1u] = select(t1, s1, turn < 2u);
			v_tile[to + 2u] = select(t2, s2, turn < 2u);
			v_tile[to + 3u] = select(t3, s3, turn < 2u);
			v_tile[to + 4u] = select(t4, s4, turn < 2u);
			v_tile[to + 5u] = select(t5, s5, turn < 2u);
			v_tile[to + 6u] = select(t6, s6, turn < 2u);
			v_tile[to + 7u] = select(t7, s7, turn < 2u);
		}
		workgroupBarrier();
		store_tile(row0 + id / 4u, col0 + turn * 4u + id % 4u, id / 4u, id % 4u);
	}
}

// row4 adds four channels of one tile to its sums; w has a row for each of them.
fn row4(sums: vec4<f32>, v: vec4<f32>, w: mat4x4<f32>) -> vec4<f32> {
	return fma(vec4<f32>(v.w), w[3], fma(vec4<f32>(v.z), w[2], fma(vec4<f32>(v.y), w[1], fma(vec4<f32>(v.x), w[0], sums))));
}

// store_tile finishes the four pixels of a tile: Aᵀ m A, m being component
// lane of every vector of v_tile, tiles apart, from at on.
fn store_tile(tile: u32, col: u32, at: u32, lane: u32) {
	if (tile >= dims.rows || col >= dims.cols) { return; }
	var upper: vec4<f32>; // Aᵀ m
	var lower: vec4<f32>;
	for (var j = 0u; j < 4u; j++) {
		let m0 = v_tile[j * tiles + at][lane];
		let m1 = v_tile[(4u + j) * tiles + at][lane];
		let m2 = v_tile[(8u + j) * tiles + at][lane];
		let m3 = v_tile[(12u + j) * tiles + at][lane];
		upper[j] = m0 + m1 + m2;
		lower[j] = m1 - m2 - m3;
	}
	let line = tile / dims.tw;
	let y = line % dims.th * 2u;
	let px = tile % dims.tw * 2u;
	let pixel = (line / dims.th * dims.oh + y) * dims.ow + px;
	let wide = px + 1u < dims.ow;
	store(pixel, col, upper.x + upper.y + upper.z);
	if (wide) { store(pixel + 1u, col, upper.y - upper.z - upper.w); }
	if (y + 1u >= dims.oh) { return; }
	store(pixel + dims.ow, col, lower.x + lower.y + lower.z);
	if (wide) { store(pixel + dims.ow + 1u, col, lower.y - lower.z - lower.w); }
}

fn store(row: u32, col: u32, total: f32) {
	var v = total;
	let at = row * dims.width + dims.col0 + col;
	if (dims.has_bias > 0u) { v += bias[dims.col0 + col]; }
	if (dims.has_residual > 0u) { v += f32(residual[at]); }
	out[at] = elem(activate(v));
}
