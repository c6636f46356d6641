// pad: copies rows of c elements into rows of wide ≥ c, the rest zero, for
// kernels that read vectors of four.
//
// Bindings: 0 dims, 1 x (rows, c), 2 out (rows, wide).
// With each, unary.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	c: u32,
	wide: u32,
}

fn each(i: u32) {
	let row = i / dims.wide;
	let col = i % dims.wide;
	var v = elem();
	if (col < dims.c) { v = x[row * dims.c + col]; }
	out[i] = v;
}
