// linear_vec: linear for at most four rows, where reading w is all the work.
// out[r, c] = act(Σ_k x[r, k]·w[c, k] + bias[c] + residual[r, c]).
//
// Grid (columns / 4, 1, 1) of 64 invocations: sixteen to a column. Sums are f32.
//
// Bindings as in linear.wgsl. Mirrors engine/cpu/matmul.go.
// With linear_dims, matrix, weight4, epilogue, activate.

var<workgroup> part: array<vec4<f32>, 64>; // sums of four rows

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
			finish(r, col, part[id][r]);
		}
	}
}
