// matmul: out[b, i, j] = Σ_l a[b, i, l]·b[b, l, j], or ·b[b, j, l] where trans_b is 1.
//
// Grid (n / 16, m / 16, batch) of 16×16 invocations, one element each, for any
// sizes: networks meet it only where attention is lowered. Sums are f32.
//
// Bindings: 0 dims, 1 a (batch, m, k), 2 b, 3 out (batch, m, n). Mirrors
// engine/cpu/matmul.go.

struct Dims {
	first: u32, // first row of workgroups
	m: u32,
	n: u32,
	k: u32,
	trans_b: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<elem>;
@group(0) @binding(2) var<storage, read> b: array<elem>;
@group(0) @binding(3) var<storage, read_write> out: array<elem>;

var<workgroup> a_tile: array<array<f32, 17>, 16>; // (row, l)
var<workgroup> b_tile: array<array<f32, 17>, 16>; // (column, l)

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let row = (group.y + dims.first) * 16u + local.y;
	let col = group.x * 16u + local.x;
	let a0 = group.z * dims.m * dims.k;
	let b0 = group.z * dims.n * dims.k;
	var sum = 0.0;
	for (var l0 = 0u; l0 < dims.k; l0 += 16u) {
		workgroupBarrier();
		var v = 0.0;
		if (row < dims.m && l0 + local.x < dims.k) {
			v = f32(a[a0 + row * dims.k + l0 + local.x]);
		}
		a_tile[local.y][local.x] = v;
		v = 0.0;
		if (dims.trans_b > 0u) { // neighbours read neighbouring l
			let j = group.x * 16u + local.y;
			if (j < dims.n && l0 + local.x < dims.k) { v = f32(b[b0 + j * dims.k + l0 + local.x]); }
			b_tile[local.y][local.x] = v;
		} else {
			if (col < dims.n && l0 + local.y < dims.k) { v = f32(b[b0 + (l0 + local.y) * dims.n + col]); }
			b_tile[local.x][local.y] = v;
		}
		workgroupBarrier();
		for (var l = 0u; l < 16u; l++) {
			sum += a_tile[local.y][l] * b_tile[local.x][l];
		}
	}
	if (row < dims.m && col < dims.n) {
		out[(group.z * dims.m + row) * dims.n + col] = elem(sum);
	}
}
