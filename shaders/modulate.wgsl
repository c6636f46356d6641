// modulate: x·(1 + scale) + shift, scale and shift the same for all rows of a
// batch.
//
// Bindings: 0 dims, 1 x (rows, d), 2 shift and 3 scale (batches, d), 4 out as
// x. Mirrors engine/cpu/elementwise.go.
// With each.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	d: u32,
	per: u32,  // rows of a batch
	row0: u32, // first row of this part of x
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read> shift: array<elem>;
@group(0) @binding(3) var<storage, read> scale: array<elem>;
@group(0) @binding(4) var<storage, read_write> out: array<elem>;

fn each(i: u32) {
	let at = (i / dims.d + dims.row0) / dims.per * dims.d + i % dims.d;
	out[i] = elem(f32(x[i]) * (1.0 + f32(scale[at])) + f32(shift[at]));
}
