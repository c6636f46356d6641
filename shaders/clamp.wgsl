// clamp: out[i] = x[i] limited to low..high.
//
// Bindings: 0 dims, 1 x, 2 out. Mirrors engine/cpu/cpu.go.
// With each, unary.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements
	low: f32,
	high: f32,
}

fn each(i: u32) {
	out[i] = elem(limited(f32(x[i])));
}

// limited leaves NaN, which clamp may take for a number.
fn limited(v: f32) -> f32 { return select(select(v, dims.high, v > dims.high), dims.low, v < dims.low); }
