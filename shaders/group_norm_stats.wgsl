// group_norm_stats: the first half of group_norm on large images. Each image is
// cut into runs of pixels; for each run and group it writes the mean and the
// sum of squared distances from that mean, which group_norm_apply combines.
//
// Grid (groups, runs, n) of 256 invocations.
//
// Bindings: 0 dims, 1 x (n, places, c), 2 out (n, groups, runs). Mirrors
// engine/cpu/norm.go.
// With group_norm, reduce.

struct Dims {
	first: u32,  // first row of workgroups
	places: u32, // pixels of an image
	c: u32,
	per: u32,    // channels of a group
	run: u32,    // pixels of a run; the last may be short
	runs: u32,   // of the whole image
	run0: u32,   // first run of this part of the image
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read_write> out: array<vec2<f32>>;

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let run = group.y + dims.first;
	let place = run * dims.run;
	let base = (group.z * dims.places + place) * dims.c + group.x * dims.per;
	let count = min(dims.run, dims.places - place) * dims.per;
	let m = moments(base, count, id);
	if (id == 0u) {
		out[(group.z * grid.x + group.x) * dims.runs + dims.run0 + run] = m;
	}
}
