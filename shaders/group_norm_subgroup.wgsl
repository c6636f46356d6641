// group_norm_subgroup: group_norm for devices with subgroups, whose sums take two barriers
// instead of one for each halving. Grid, bindings, result and mirror are those
// of group_norm.wgsl.

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

fn sigmoid(v: f32) -> f32 { return 1.0 / (1.0 + exp(min(-v, 80.0))); }

// erf by Abramowitz & Stegun 7.1.26, error below 1.5e-7.
fn erf(v: f32) -> f32 {
	let t = 1.0 / (1.0 + 0.3275911 * abs(v));
	let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
	return sign(v) * (1.0 - p * exp(-min(v * v, 80.0)));
}

fn activate(v: f32) -> f32 {
	switch dims.act {
		case 1u: { return v * sigmoid(v); }                                                                // silu
		case 2u: { return 0.5 * v * (1.0 + erf(v * 0.70710678)); }                                         // gelu
		case 3u: { return v * sigmoid(1.5957691216 * (v + 0.044715 * v * v * v)); }                        // gelu_tanh
		case 4u: { return v * sigmoid(1.702 * v); }                                                        // quick_gelu
		case 5u: { return max(v, 0.0); }                                                                   // relu
		case 6u: { return 2.0 * sigmoid(2.0 * v) - 1.0; }                                                  // tanh
		case 7u: { return sigmoid(v); }                                                                    // sigmoid
		default: { return v; }
	}
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let base = (group.y + dims.first) * dims.places * dims.c + group.x * dims.per;
	let count = dims.places * dims.per;
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
	let scale = inverseSqrt(add_up(squares, id) / f32(count) + dims.eps);
	for (var i = id; i < count; i += threads) {
		let at = base + i / dims.per * dims.c + i % dims.per;
		let ch = group.x * dims.per + i % dims.per;
		out[at] = elem(activate((f32(x[at]) - mean) * scale * gamma[ch] + beta[ch]));
	}
}
