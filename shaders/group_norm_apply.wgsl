// group_norm_apply: the second half of group_norm on large images:
// act((x − mean)/√(var + eps)·gamma + beta) with the moments of the runs that
// group_norm_stats wrote, combined as by Chan, Golub & LeVeque 1983.
//
// Grid (groups, runs, n) of 256 invocations.
//
// Bindings: 0 dims, 1 x (n, places, c), 2 stats (n, groups, runs), 3 gamma (c),
// 4 beta (c), 5 out as x. Mirrors engine/cpu/norm.go.
// With group_norm, group_norm_apply, reduce, activate.

struct Dims {
	first: u32,  // first row of workgroups
	places: u32, // pixels of this part of the image
	c: u32,
	per: u32,    // channels of a group
	run: u32,    // pixels of a run; the last may be short
	runs: u32,   // of the whole image
	total: u32,  // pixels of the whole image
	act: u32,    // 0 none, 1 silu, ... as in activate
	eps: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read> beta: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<elem>;

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let stats0 = (group.z * grid.x + group.x) * dims.runs;
	var mean = 0.0;
	var squares = 0.0;
	var seen = 0.0; // pixels
	for (var r = 0u; r < dims.runs; r++) {
		let s = stats[stats0 + r];
		let n = f32(min(dims.run, dims.total - r * dims.run));
		let d = s.x - mean;
		mean += d * n / (seen + n);
		squares += s.y + d * d * seen * n / (seen + n) * f32(dims.per);
		seen += n;
	}
	let scale = inverseSqrt(squares / (seen * f32(dims.per)) + dims.eps);
	let place = (group.y + dims.first) * dims.run;
	let base = (group.z * dims.places + place) * dims.c + group.x * dims.per;
	let count = min(dims.run, dims.places - place) * dims.per;
	normalise(base, count, group.x, mean, scale, id);
}
