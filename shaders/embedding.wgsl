// embedding: out[i, :] = table[ids[i], :], for the ids of this part of the
// table; the host has checked that each lies in some part.
//
// Bindings: 0 dims, 1 ids, 2 w (the table) and 3 its scales (see webgpu/weights.go), 4
// out (ids, d). Mirrors engine/cpu/move.go.
// With each, weight.

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
@group(0) @binding(2) var<storage, read> w: array<u32>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<elem>;

fn each(i: u32) {
	let row = ids[i / dims.d] - dims.row0; // wraps to a large number below row0
	if (row < dims.rows) { out[i] = elem(weight(row, i % dims.d, i % dims.d)); }
}
