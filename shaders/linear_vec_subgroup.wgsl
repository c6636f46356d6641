// linear_vec_subgroup: linear_vec for devices with subgroups. out[r, c] =
// act(Σ_k x[r, k]·w[c, k] + bias[c] + residual[r, c]) for at most four rows.
//
// Grid (columns / 4, 1, 1) of 64 invocations, which go through k together and
// so read w in long runs. It supposes nothing of how many invocations make a
// subgroup, nor which. Sums are f32.
//
// Bindings as in linear.wgsl. Mirrors engine/cpu/matmul.go.
// With linear_dims, matrix, weight4, epilogue, activate.

const threads = 64u;
var<workgroup> part: array<vec4<f32>, 4u * threads>; // (column, invocation): sums of four rows

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let col0 = (group.x + (group.y + dims.first) * 32768u) * 4u;
	var s0 = vec4<f32>(); // a column each; arrays would leave the registers
	var s1 = vec4<f32>();
	var s2 = vec4<f32>();
	var s3 = vec4<f32>();
	let last = dims.cols - 1u; // what lies beyond is computed and not stored
	for (var k = id; k < dims.k4; k += threads) {
		let w0 = weight4(min(col0, last), k);
		let w1 = weight4(min(col0 + 1u, last), k);
		let w2 = weight4(min(col0 + 2u, last), k);
		let w3 = weight4(min(col0 + 3u, last), k);
		for (var r = 0u; r < dims.rows; r++) {
			let v = vec4<f32>(x[r * dims.k4 + k]);
			s0[r] += dot(v, w0);
			s1[r] += dot(v, w1);
			s2[r] += dot(v, w2);
			s3[r] += dot(v, w3);
		}
	}
	s0 = subgroupAdd(s0);
	s1 = subgroupAdd(s1);
	s2 = subgroupAdd(s2);
	s3 = subgroupAdd(s3);
	let first = subgroupExclusiveAdd(1u) == 0u; // of its subgroup
	part[id] = select(vec4<f32>(), s0, first);
	part[threads + id] = select(vec4<f32>(), s1, first);
	part[2u * threads + id] = select(vec4<f32>(), s2, first);
	part[3u * threads + id] = select(vec4<f32>(), s3, first);
	workgroupBarrier();
	let col = col0 + id / 4u;
	let row = id % 4u;
	if (id >= 16u || col >= dims.cols || row >= dims.rows) { return; }
	var total = 0.0;
	for (var i = 0u; i < threads; i++) { total += part[id / 4u * threads + i][row]; }
	finish(row, col, total);
}
