// What ends a product: bias, residual, activation; or, where it is gated, GEGLU:
// half of w's rows make values, the other half their gates, and a workgroup of
// 64 columns has 32 of each.

override gated: u32 = 0; // or 1

// column is a row of w: the i-th of a workgroup's 64.
fn column(group: u32, i: u32) -> u32 {
	if (gated == 0u) { return group * 64u + i; }
	let at = group * 32u + i % 32u;
	return select(dims.cols, at + i / 32u * dims.width, at < dims.width);
}

fn finish_gated(row: u32, col: u32, value: f32, gate: f32) {
	var v = value;
	var g = gate;
	if (dims.has_bias > 0u) {
		v += bias[col];
		g += bias[dims.width + col];
	}
	out[row * dims.width + col] = elem(v * activate(g, 2u));
}

// finish stores the sum of row and column col of this part of w.
fn finish(row: u32, col: u32, sum: f32) {
	var v = sum;
	let at = row * dims.width + dims.col0 + col;
	if (dims.has_bias > 0u) { v += bias[dims.col0 + col]; }
	if (dims.has_residual > 0u) { v += f32(residual[row / dims.along * dims.width + dims.col0 + col]); }
	out[at] = elem(activate(v, dims.act));
}
