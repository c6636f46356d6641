// modulate: x·(1 + scale) + shift, scale and shift the same for all rows of a
// batch.
//
// Grid (elements / 256 in rows of 32768, rows, 1) of 256 invocations.
//
// Bindings: 0 dims, 1 x (rows, d), 2 shift and 3 scale (batches, d), 4 out as
// x. Mirrors engine/cpu/elementwise.go.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	d: u32,
	per: u32,  // rows of a batch
	row0: u32, // first row of this part of x
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read> shift: array<elem>;
@group(0) @binding(3) var<storage, read> scale: array<elem>;
@group(0) @binding(4) var<storage, read_write> out: array<elem>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i >= dims.count) { return; }
	let at = (i / dims.d + dims.row0) / dims.per * dims.d + i % dims.d;
	out[i] = elem(f32(x[i]) * (1.0 + f32(scale[at])) + f32(shift[at]));
}
