// copy: moves elements from one set of strides to another, which is permute,
// slice, and concat one operand at a time.
//
// Bindings: 0 dims, 1 x, 2 out. Mirrors engine/cpu/move.go.
// With each, unary.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements to move
	x0: u32,    // where to begin in x and out
	out0: u32,
	rank: u32,  // axes in use
	pad0: u32,
	pad1: u32,
	pad2: u32,
	shape: array<vec4<u32>, 2>, // innermost first
	x: array<vec4<u32>, 2>,     // strides
	out: array<vec4<u32>, 2>,
}

fn each(i: u32) {
	var rest = i;
	var src = dims.x0;
	var dst = dims.out0;
	for (var axis = 0u; axis < dims.rank; axis++) {
		let n = dims.shape[axis / 4u][axis % 4u];
		let at = rest % n;
		rest /= n;
		src += at * dims.x[axis / 4u][axis % 4u];
		dst += at * dims.out[axis / 4u][axis % 4u];
	}
	out[dst] = x[src];
}
