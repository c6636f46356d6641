// elementwise: out = a + b, a − b or a·b, each operand read by its own strides:
// 0 along the axes in which it is repeated.
//
// Bindings: 0 dims, 1 a, 2 b, 3 out. Mirrors engine/cpu/elementwise.go.
// With each.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	op: u32,    // 0 add, 1 sub, 2 mul
	rank: u32,  // axes in use
	shape: array<vec4<u32>, 2>, // innermost first
	a: array<vec4<u32>, 2>,     // strides
	b: array<vec4<u32>, 2>,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<elem>;
@group(0) @binding(2) var<storage, read> b: array<elem>;
@group(0) @binding(3) var<storage, read_write> out: array<elem>;

fn each(i: u32) {
	var rest = i;
	var ia = 0u;
	var ib = 0u;
	for (var axis = 0u; axis < dims.rank; axis++) {
		let n = dims.shape[axis / 4u][axis % 4u];
		let at = rest % n;
		rest /= n;
		ia += at * dims.a[axis / 4u][axis % 4u];
		ib += at * dims.b[axis / 4u][axis % 4u];
	}
	let x = f32(a[ia]);
	let y = f32(b[ib]);
	switch dims.op {
		case 0u: { out[i] = elem(x + y); }
		case 1u: { out[i] = elem(x - y); }
		default: { out[i] = elem(x * y); }
	}
}
