// softmax: exp(x − max)/Σ over the last dimension, one workgroup to a row, in f32.
//
// Grid (rows in rows of 32768, rows, 1) of 64 invocations.
//
// Bindings: 0 dims, 1 x (rows, d), 2 out as x. Mirrors engine/cpu/norm.go.
// With each_row, unary, reduce.

struct Dims {
	first: u32, // first row of workgroups
	rows: u32,
	d: u32,
}

fn each_row(row: u32, id: u32) {
	let base = row * dims.d;
	var top = -3e38;
	for (var i = id; i < dims.d; i += threads) { top = max(top, f32(x[base + i])); }
	top = most(top, id);
	var sum = 0.0;
	for (var i = id; i < dims.d; i += threads) { sum += exp(f32(x[base + i]) - top); }
	let scale = 1.0 / add_up(sum, id);
	for (var i = id; i < dims.d; i += threads) {
		out[base + i] = elem(exp(f32(x[base + i]) - top) * scale);
	}
}
