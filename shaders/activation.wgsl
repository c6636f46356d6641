// activation: out[i] = act(x[i]) for silu, gelu, gelu_tanh, quick_gelu, relu, tanh
// and sigmoid.
//
// Bindings: 0 dims, 1 x, 2 out. Mirrors engine/cpu/elementwise.go.
// With each, unary, activate.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements
	act: u32,   // 1 silu, ... as in activate
}

fn each(i: u32) {
	out[i] = elem(activate(f32(x[i]), dims.act));
}
