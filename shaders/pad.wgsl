// pad: copies rows of c elements into rows of wide ≥ c, the rest zero, for
// kernels that read vectors of four.
//
// Grid (elements of out / 256 in rows of 32768, rows, 1) of 256 invocations.
//
// Bindings: 0 dims, 1 x (rows, c), 2 out (rows, wide).

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	c: u32,
	wide: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read_write> out: array<elem>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i >= dims.count) { return; }
	let row = i / dims.wide;
	let col = i % dims.wide;
	var v = elem();
	if (col < dims.c) { v = x[row * dims.c + col]; }
	out[i] = v;
}
