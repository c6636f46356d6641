// affine: out[i] = mul·x[i] + add.
//
// Grid (elements / 256 in rows of 32768, rows, 1) of 256 invocations.
//
// Bindings: 0 dims, 1 x, 2 out. Mirrors engine/cpu/cpu.go.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements
	mul: f32,
	add: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read_write> out: array<elem>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i < dims.count) { out[i] = elem(dims.mul * f32(x[i]) + dims.add); }
}
