// linear_wide: linear with eight rows and eight columns to an invocation, which
// reads workgroup memory least: for devices where that costs most, as it does
// where a CPU plays the part.
// out[r, c] = act(Σ_k x[r, k]·w[c, k] + bias[c] + residual[r, c]).
//
// Grid (columns / 64, rows / 64, 1) of 8×8 invocations. The tile of w is
// transposed on its way to workgroup memory, so that sums are vectors of
// columns. Products and sums are f32.
//
// Bindings as in linear.wgsl. Mirrors engine/cpu/matmul.go.
// With linear_dims, matrix, weight4, epilogue, activate.

const threads = 64u;
const depth = 4u;            // vectors of k in a tile
const w_step = 16u + 1u;     // vectors of columns; padded against bank conflicts
const tile_rows = 64u;
const x_step = tile_rows + 2u;

var<workgroup> x_tile: array<vec4<f32>, depth * x_step>;
var<workgroup> w_tile: array<vec4<f32>, 4u * depth * w_step>; // (k, column)

// column4 is weight4, or zeros beyond the matrix.
fn column4(col: u32, k: u32) -> vec4<f32> {
	if (col < dims.cols && k < dims.k4) { return weight4(col, k); }
	return vec4<f32>();
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let row0 = (group.y + dims.first) * tile_rows;
	var s0 = vec4<f32>(); // one row of sums each: arrays would leave the registers
	var s1 = vec4<f32>();
	var s2 = vec4<f32>();
	var s3 = vec4<f32>();
	var s4 = vec4<f32>();
	var s5 = vec4<f32>();
	var s6 = vec4<f32>();
	var s7 = vec4<f32>();
	var t0 = vec4<f32>();
	var t1 = vec4<f32>();
	var t2 = vec4<f32>();
	var t3 = vec4<f32>();
	var t4 = vec4<f32>();
	var t5 = vec4<f32>();
	var t6 = vec4<f32>();
	var t7 = vec4<f32>();
	for (var k0 = 0u; k0 < dims.k4; k0 += depth) {
		workgroupBarrier();
		let k = k0 + id % depth;
		for (var i = id / depth; i < tile_rows; i += threads / depth) {
			var v = vec4<f32>();
			if (row0 + i < dims.rows && k < dims.k4) {
				v = vec4<f32>(x[(row0 + i) * dims.k4 + k]);
			}
			x_tile[(id % depth) * x_step + i] = v;
		}
		let col = id / depth * 4u; // four columns, so that vectors are written whole
		let t = transpose(mat4x4<f32>(column4(column(group.x, col), k), column4(column(group.x, col + 1u), k), column4(column(group.x, col + 2u), k), column4(column(group.x, col + 3u), k)));
		let to = (id % depth) * 4u * w_step + id / depth;
		w_tile[to] = t[0];
		w_tile[to + w_step] = t[1];
		w_tile[to + 2u * w_step] = t[2];
		w_tile[to + 3u * w_step] = t[3];
		workgroupBarrier();
		for (var d = 0u; d < depth; d++) {
			let at = d * 4u * w_step + local.x;
			let w0 = w_tile[at];
			let w1 = w_tile[at + w_step];
			let w2 = w_tile[at + 2u * w_step];
			let w3 = w_tile[at + 3u * w_step];
			let v0 = w_tile[at + 8u];
			let v1 = w_tile[at + w_step + 8u];
			let v2 = w_tile[at + 2u * w_step + 8u];
			let v3 = w_tile[at + 3u * w_step + 8u];
			let first = d * x_step + local.y * 8u;
			let a0 = x_tile[first];
			s0 = row4(s0, a0, w0, w1, w2, w3);
			t0 = row4(t0, a0, v0, v1, v2, v3);
			let a1 = x_tile[first + 1u];
			s1 = row4(s1, a1, w0, w1, w2, w3);
			t1 = row4(t1, a1, v0, v1, v2, v3);
			let a2 = x_tile[first + 2u];
			s2 = row4(s2, a2, w0, w1, w2, w3);
			t2 = row4(t2, a2, v0, v1, v2, v3);
			let a3 = x_tile[first + 3u];
			s3 = row4(s3, a3, w0, w1, w2, w3);
			t3 = row4(t3, a3, v0, v1, v2, v3);
			let a4 = x_tile[first + 4u];
			s4 = row4(s4, a4, w0, w1, w2, w3);
			t4 = row4(t4, a4, v0, v1, v2, v3);
			let a5 = x_tile[first + 5u];
			s5 = row4(s5, a5, w0, w1, w2, w3);
			t5 = row4(t5, a5, v0, v1, v2, v3);
			let a6 = x_tile[first + 6u];
			s6 = row4(s6, a6, w0, w1, w2, w3);
			t6 = row4(t6, a6, v0, v1, v2, v3);
			let a7 = x_tile[first + 7u];
			s7 = row4(s7, a7, w0, w1, w2, w3);
			t7 = row4(t7, a7, v0, v1, v2, v3);
		}
	}
	let row = row0 + local.y * 8u;
	let col = 4u * local.x;
	for (var r = 0u; r < 8u; r++) {
		var sums = s0;
		var more = t0;
		switch r { // in a loop, so that what finishes a sum is compiled once
			case 1u: { sums = s1; more = t1; }
			case 2u: { sums = s2; more = t2; }
			case 3u: { sums = s3; more = t3; }
			case 4u: { sums = s4; more = t4; }
			case 5u: { sums = s5; more = t5; }
			case 6u: { sums = s6; more = t6; }
			case 7u: { sums = s7; more = t7; }
			default: {}
		}
		if (row + r >= dims.rows) { break; }
		for (var c = 0u; c < 4u; c++) {
			let near = column(group.x, col + c);
			let far = column(group.x, col + 32u + c);
			if (gated > 0u) {
				if (near < dims.cols) { finish_gated(row + r, near, sums[c], more[c]); }
				continue;
			}
			if (near < dims.cols) { finish(row + r, near, sums[c]); }
			if (far < dims.cols) { finish(row + r, far, more[c]); }
		}
	}
}

// row4 adds four k of one row to its sums.
fn row4(sums: vec4<f32>, v: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
	return fma(vec4<f32>(v.w), w3, fma(vec4<f32>(v.z), w2, fma(vec4<f32>(v.y), w1, fma(vec4<f32>(v.x), w0, sums))));
}
