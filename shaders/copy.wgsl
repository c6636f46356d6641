// copy: moves elements from one set of strides to another, which is permute,
// slice, and concat one operand at a time.
//
// Grid (elements / 256 in rows of 32768, rows, 1) of 256 invocations.
//
// Bindings: 0 dims, 1 x, 2 out. Mirrors engine/cpu/move.go.

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

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read_write> out: array<elem>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i >= dims.count) { return; }
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
