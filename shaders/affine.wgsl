// affine: out[i] = mul·x[i] + add.
//
// Bindings: 0 dims, 1 x, 2 out. Mirrors engine/cpu/cpu.go.
// With each, unary.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements
	mul: f32,
	add: f32,
}

fn each(i: u32) {
	out[i] = elem(dims.mul * f32(x[i]) + dims.add);
}
