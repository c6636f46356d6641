// softmax_subgroup: softmax for devices with subgroups, whose sums take two barriers
// instead of one for each halving. Grid, bindings, result and mirror are those
// of softmax.wgsl.

struct Dims {
	first: u32, // first row of workgroups
	rows: u32,
	d: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read_write> out: array<elem>;

const threads = 64u;
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

// most is the largest v of the workgroup, found likewise.
fn most(v: f32, id: u32) -> f32 {
	let top = subgroupMax(v);
	let rank = subgroupExclusiveAdd(1u);
	let size = subgroupAdd(1u);
	part[id] = top;
	workgroupBarrier();
	var total = top;
	for (var i = rank; i < threads; i += size) { total = max(total, part[i]); }
	return subgroupMax(total);
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let row = (group.y + dims.first) * 32768u + group.x;
	if (row >= dims.rows) { return; }
	let base = row * dims.d;
	var top = -3e38;
	for (var i = id; i < dims.d; i += threads) { top = max(top, f32(x[base + i])); }
	top = most(top, id);
	var sum = 0.0;
	for (var i = id; i < dims.d; i += threads) { sum += exp(f32(x[base + i]) - top); }
	let scale = 1.0 / add_up(sum, id);
	for (var i = id; i < dims.d; i += threads) {
		out[base + i] = elem(exp(f32(x[base + i]) - top) * scale);
	}
}
