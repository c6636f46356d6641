// group_norm: act((x − mean)/√(var + eps)·gamma + beta) over each image's group
// of channels, one workgroup to a group: for images so small that this keeps
// the device busy. The variance is of the distances from the mean, in f32.
//
// Grid (groups, n, 1) of 256 invocations.
//
// Bindings: 0 dims, 1 x (n, places, c), 2 gamma (c), 3 beta (c), 4 out as x.
// Mirrors engine/cpu/norm.go.
// With group_norm, group_norm_apply, reduce, activate.

struct Dims {
	first: u32,  // first row of workgroups
	places: u32, // pixels of an image
	c: u32,
	per: u32,    // channels of a group
	act: u32,    // 0 none, 1 silu, ... as in activate
	eps: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<elem>;

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let base = (group.y + dims.first) * dims.places * dims.c + group.x * dims.per;
	let count = dims.places * dims.per;
	let m = moments(base, count, id);
	let scale = inverseSqrt(m.y / f32(count) + dims.eps);
	normalise(base, count, group.x, m.x, scale, id);
}
