// layer_norm_subgroup: layer_norm for devices with subgroups, whose sums take two barriers
// instead of one for each halving. Grid, bindings, result and mirror are those
// of layer_norm.wgsl.

struct Dims {
	first: u32, // first row of workgroups
	rows: u32,
	d: u32,
	eps: f32,
	rms: u32,  // 1: no mean is taken off and no beta added
	per: u32,  // rows of a batch; 0 for no scale and shift
	row0: u32, // first row of this part of x
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read> scales: array<elem>;
@group(0) @binding(5) var<storage, read> shifts: array<elem>;
@group(0) @binding(6) var<storage, read_write> out: array<elem>;

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

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let row = (group.y + dims.first) * 32768u + group.x;
	if (row >= dims.rows) { return; }
	let base = row * dims.d;
	var mean = 0.0;
	if (dims.rms == 0u) {
		var sum = 0.0;
		for (var i = id; i < dims.d; i += threads) { sum += f32(x[base + i]); }
		mean = add_up(sum, id) / f32(dims.d);
	}
	var squares = 0.0;
	for (var i = id; i < dims.d; i += threads) {
		let d = f32(x[base + i]) - mean;
		squares += d * d;
	}
	let scale = inverseSqrt(add_up(squares, id) / f32(dims.d) + dims.eps);
	let batch = (row + dims.row0) / max(dims.per, 1u) * dims.d;
	for (var i = id; i < dims.d; i += threads) {
		var y = (f32(x[base + i]) - mean) * scale * gamma[i];
		if (dims.rms == 0u) { y += beta[i]; }
		if (dims.per > 0u) { y = y * (1.0 + f32(scales[batch + i])) + f32(shifts[batch + i]); }
		out[base + i] = elem(y);
	}
}
