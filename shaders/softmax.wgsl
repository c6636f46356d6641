// softmax: exp(x − max)/Σ over the last dimension, one workgroup to a row, in f32.
//
// Grid (rows in rows of 32768, rows, 1) of 64 invocations.
//
// Bindings: 0 dims, 1 x (rows, d), 2 out as x. Mirrors engine/cpu/norm.go.

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

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let row = (group.y + dims.first) * 32768u + group.x;
	if (row >= dims.rows) { return; }
	let base = row * dims.d;
	var top = -3e38;
	for (var i = id; i < dims.d; i += threads) { top = max(top, f32(x[base + i])); }
	part[id] = top;
	for (var step = threads / 2u; step > 0u; step /= 2u) {
		workgroupBarrier();
		if (id < step) { part[id] = max(part[id], part[id + step]); }
	}
	workgroupBarrier();
	top = part[0];
	workgroupBarrier();
	var sum = 0.0;
	for (var i = id; i < dims.d; i += threads) { sum += exp(f32(x[base + i]) - top); }
	part[id] = sum;
	for (var step = threads / 2u; step > 0u; step /= 2u) {
		workgroupBarrier();
		if (id < step) { part[id] += part[id + step]; }
	}
	workgroupBarrier();
	let scale = 1.0 / part[0];
	for (var i = id; i < dims.d; i += threads) {
		out[base + i] = elem(exp(f32(x[base + i]) - top) * scale);
	}
}
