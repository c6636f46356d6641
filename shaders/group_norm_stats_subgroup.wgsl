// group_norm_stats_subgroup: group_norm_stats for devices with subgroups, whose sums take two barriers
// instead of one for each halving. Grid, bindings, result and mirror are those
// of group_norm_stats.wgsl.

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

const threads = 256u;
var<workgroup> part: array<f32, threads>;

// add_up is the sum of v over the workgroup: over each subgroup, then each
// subgroup adds what the firsts of all wrote. It supposes nothing of how many
// invocations make a subgroup, nor which.
fn add_up(v: f32, id: u32) -> f32 {
	let sum = subgroupAdd(v);
	let rank = subgroupExclusiveAdd(1u);
	let size = subgroupAdd(1u);
	workgroupBarrier();
	part[id] = select(0.0, sum, rank == 0u);
	workgroupBarrier();
	var total = 0.0;
	for (var i = rank; i < threads; i += size) { total += part[i]; }
	return subgroupAdd(total);
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let run = group.y + dims.first;
	let place = run * dims.run;
	let base = (group.z * dims.places + place) * dims.c + group.x * dims.per;
	let count = min(dims.run, dims.places - place) * dims.per;
	var sum = 0.0;
	for (var i = id; i < count; i += threads) {
		sum += f32(x[base + i / dims.per * dims.c + i % dims.per]);
	}
	let mean = add_up(sum, id) / f32(count);
	var squares = 0.0;
	for (var i = id; i < count; i += threads) {
		let d = f32(x[base + i / dims.per * dims.c + i % dims.per]) - mean;
		squares += d * d;
	}
	squares = add_up(squares, id);
	if (id == 0u) {
		out[(group.z * grid.x + group.x) * dims.runs + dims.run0 + run] = vec2<f32>(mean, squares);
	}
}
