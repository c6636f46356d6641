// geglu: a·gelu(gate) for the halves a, gate of the last dimension.
//
// Bindings: 0 dims, 1 x (rows, 2d), 2 out (rows, d). Mirrors
// engine/cpu/elementwise.go.
// With each, unary, activate.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	d: u32,
}

fn each(i: u32) {
	let at = i / dims.d * 2u * dims.d + i % dims.d;
	out[i] = elem(f32(x[at]) * activate(f32(x[at + dims.d]), 2u));
}
