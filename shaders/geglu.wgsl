// geglu: a·gelu(gate) for the halves a, gate of the last dimension.
//
// Grid (elements of out / 256 in rows of 32768, rows, 1) of 256 invocations.
//
// Bindings: 0 dims, 1 x (rows, 2d), 2 out (rows, d). Mirrors
// engine/cpu/elementwise.go.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	d: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read_write> out: array<elem>;

// erf by Abramowitz & Stegun 7.1.26, error below 1.5e-7.
fn erf(v: f32) -> f32 {
	let t = 1.0 / (1.0 + 0.3275911 * abs(v));
	let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
	return sign(v) * (1.0 - p * exp(-min(v * v, 80.0)));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i >= dims.count) { return; }
	let at = i / dims.d * 2u * dims.d + i % dims.d;
	let gate = f32(x[at + dims.d]);
	out[i] = elem(f32(x[at]) * 0.5 * gate * (1.0 + erf(gate * 0.70710678)));
}
