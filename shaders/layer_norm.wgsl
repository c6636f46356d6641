// layer_norm: y = (x − mean)/√(var + eps)·gamma + beta over the last dimension,
// one workgroup to a row, in f32; with rms, mean is 0 and var the mean square;
// with per, y·(1 + scale) + shift of the row's batch, as adaptive norms have it.
//
// Grid (rows in rows of 32768, rows, 1) of 64 invocations.
//
// Bindings: 0 dims, 1 x (rows, d), 2 gamma (d), 3 beta (d), 4 scale and 5 shift
// (batches, d), 6 out as x. What is switched off is bound to anything. Mirrors
// engine/cpu/norm.go.
// With each_row, reduce.

struct Dims {
	first: u32, // first row of workgroups
	rows: u32,
	d: u32,
	eps: f32,
	rms: u32,  // 1: no mean is taken off and no beta added
	per: u32,  // rows of a batch; 0 for no scale and shift
	row0: u32, // first row of this part of x
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read> scales: array<elem>;
@group(0) @binding(5) var<storage, read> shifts: array<elem>;
@group(0) @binding(6) var<storage, read_write> out: array<elem>;

fn each_row(row: u32, id: u32) {
	let base = row * dims.d;
	var mean = 0.0;
	if (dims.rms == 0u) {
		var sum = 0.0;
		for (var i = id; i < dims.d; i += threads) { sum += f32(x[base + i]); }
		mean = add_up(sum, id) / f32(dims.d);
	}
	var squares = 0.0;
	for (var i = id; i < dims.d; i += threads) {
		let d = f32(x[base + i]) - mean;
		squares += d * d;
	}
	let scale = inverseSqrt(add_up(squares, id) / f32(dims.d) + dims.eps);
	let batch = (row + dims.row0) / max(dims.per, 1u) * dims.d;
	for (var i = id; i < dims.d; i += threads) {
		var y = (f32(x[base + i]) - mean) * scale * gamma[i];
		if (dims.rms == 0u) { y += beta[i]; }
		if (dims.per > 0u) { y = y * (1.0 + f32(scales[batch + i])) + f32(shifts[batch + i]); }
		out[base + i] = elem(y);
	}
}
