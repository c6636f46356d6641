// embedding: out[i, :] = table[ids[i], :], for the ids of this part of the
// table; the host has checked that each lies in some part.
//
// Grid (elements of out / 256 in rows of 32768, rows, 1) of 256 invocations.
//
// Bindings: 0 dims, 1 ids, 2 table and 3 its scales (see webgpu/weights.go), 4
// out (ids, d). Mirrors engine/cpu/move.go.

override weights: u32 = 0; // 0 f32, 1 f16, 2 bf16, 3 q8, 4 q4, 5 q2

struct Dims {
	first: u32,  // first row of workgroups
	count: u32,  // elements of out
	d: u32,
	stride: u32, // of a row of the table, in u32
	blocks: u32, // quantisation blocks of a row
	row0: u32,   // first row of this part of the table
	rows: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<u32>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<elem>;

// weight is table[row, k].
fn weight(row: u32, k: u32) -> f32 {
	let base = row * dims.stride;
	switch weights {
		case 1u: { return unpack2x16float(table[base + k / 2u])[k & 1u]; }
		case 2u: { return bitcast<f32>((table[base + k / 2u] >> (16u * (k & 1u))) << 16u); }
		case 3u: { return f32(extractBits(bitcast<i32>(table[base + k / 4u]), 8u * (k & 3u), 8u)) * scale(row, k); }
		case 4u: { return (f32(extractBits(table[base + k / 8u], 4u * (k & 7u), 4u)) - 8.0) * scale(row, k); }
		case 5u: { return (f32(extractBits(table[base + k / 16u], 2u * (k & 15u), 2u)) - 1.0) * scale(row, k); }
		default: { return bitcast<f32>(table[base + k]); }
	}
}

fn scale(row: u32, k: u32) -> f32 {
	let i = row * dims.blocks + k / select(32u, 128u, weights == 5u);
	return unpack2x16float(scales[i / 2u])[i & 1u];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i >= dims.count) { return; }
	let row = ids[i / dims.d] - dims.row0; // wraps to a large number below row0
	if (row < dims.rows) { out[i] = elem(weight(row, i % dims.d)); }
}
