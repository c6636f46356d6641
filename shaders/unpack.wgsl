// unpack: a weight as plain elements in the order of its checkpoint, for ops
// that take a weight where an activation usually stands.
//
// Grid (elements of this part / 256 in rows of 32768, rows, 1) of 256
// invocations.
//
// Bindings: 0 dims, 1 w and 2 its scales (see webgpu/weights.go), 3 out.
// With each, weight.

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

fn each(i: u32) {
	let at = i % dims.k;
	out[dims.out0 + i] = elem(weight(i / dims.k, at % dims.taps * dims.wide + at / dims.taps, at));
}
