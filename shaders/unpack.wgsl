// unpack: a weight as plain elements in the order of its checkpoint, for ops
// that take a weight where an activation usually stands.
//
// Grid (elements of this part / 256 in rows of 32768, rows, 1) of 256
// invocations.
//
// Bindings: 0 dims, 1 w and 2 its scales (see webgpu/weights.go), 3 out.

override weights: u32 = 0; // 0 f32, 1 f16, 2 bf16, 3 q8, 4 q4, 5 q2

struct Dims {
	first: u32,  // first row of workgroups
	count: u32,  // elements of this part
	k: u32,      // elements of a row
	stride: u32, // of a row of w, in u32
	blocks: u32, // quantisation blocks of a row of w
	taps: u32,   // places of a convolution kernel, else 1
	wide: u32,   // channels after padding
	out0: u32,   // where this part begins in out
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> w: array<u32>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<elem>;

// weight is the element at k of a packed row; at is its place in the checkpoint's row.
fn weight(row: u32, k: u32, at: u32) -> f32 {
	let base = row * dims.stride;
	switch weights {
		case 1u: { return unpack2x16float(w[base + k / 2u])[k & 1u]; }
		case 2u: { return bitcast<f32>((w[base + k / 2u] >> (16u * (k & 1u))) << 16u); }
		case 3u: { return f32(extractBits(bitcast<i32>(w[base + k / 4u]), 8u * (k & 3u), 8u)) * scale(row, at); }
		case 4u: { return (f32(extractBits(w[base + k / 8u], 4u * (k & 7u), 4u)) - 8.0) * scale(row, at); }
		case 5u: { return (f32(extractBits(w[base + k / 16u], 2u * (k & 15u), 2u)) - 1.0) * scale(row, at); }
		default: { return bitcast<f32>(w[base + k]); }
	}
}

fn scale(row: u32, at: u32) -> f32 {
	let i = row * dims.blocks + at / select(32u, 128u, weights == 5u);
	return unpack2x16float(scales[i / 2u])[i & 1u];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i >= dims.count) { return; }
	let at = i % dims.k;
	out[dims.out0 + i] = elem(weight(i / dims.k, at % dims.taps * dims.wide + at / dims.taps, at));
}
