// What ends a product: bias, residual, activation.

// finish stores the sum of row and column col of this part of w.
fn finish(row: u32, col: u32, sum: f32) {
	var v = sum;
	let at = row * dims.width + dims.col0 + col;
	if (dims.has_bias > 0u) { v += bias[dims.col0 + col]; }
	if (dims.has_residual > 0u) { v += f32(residual[at]); }
	out[at] = elem(activate(v, dims.act));
}
