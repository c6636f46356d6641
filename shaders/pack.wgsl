// pack: brings a weight from its file's layout into that of webgpu/weights.go:
// a convolution's (c, i, j) becomes (i, j, c) with c padded to a multiple of
// four, and every row is padded with zero bits to whole words. The scales of
// quantised weights are not touched.
//
// Bindings: 0 dims, 1 x (the file's bytes), 2 out (rows, stride).
// With each.

override bits: u32 = 32; // of an element: 32, 16, 8, 4 or 2

struct Dims {
	first: u32,  // first row of workgroups
	count: u32,  // words of out
	stride: u32, // words of a row of out
	row: u32,    // bytes of a row of x
	taps: u32,   // places of a convolution kernel, else 1
	c: u32,      // channels, or elements of a row
	wide: u32,   // channels after padding
	start: u32,  // byte of x at which the first row begins
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// element is element at of a row of x.
fn element(row: u32, at: u32) -> u32 {
	let byte = dims.start + row * dims.row + at * bits / 8u;
	return extractBits(x[byte / 4u], 8u * (byte % 4u) + at * bits % 8u, bits);
}

fn each(i: u32) {
	let row = i / dims.stride;
	let per = 32u / bits;
	var word = 0u;
	for (var j = 0u; j < per; j++) {
		let k = i % dims.stride * per + j;
		let tap = k / dims.wide;
		let ch = k % dims.wide;
		if (tap < dims.taps && ch < dims.c) {
			word |= element(row, ch * dims.taps + tap) << (j * bits);
		}
	}
	out[i] = word;
}
