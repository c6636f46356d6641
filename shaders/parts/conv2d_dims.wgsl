// The counts of a convolution, and its pixels.

override up: u32 = 1;

struct Dims {
	first: u32,  // first row of workgroups: a grid may run in several pieces
	rows: u32,   // pixels of out, or its tiles
	cols: u32,   // channels of out in this part of w
	k4: u32,     // vectors of four along k: kh·kw·c4
	stride: u32, // of a row of w, in vec2<u32>
	blocks: u32, // quantisation blocks of a row of w
	col0: u32,   // first channel of this part
	width: u32,  // channels of out
	act: u32,    // 0 none, 1 silu, ... as in activate
	has_bias: u32,
	has_residual: u32,
	along: u32, // rows of out that have the same row of the residual
	h: u32,
	w: u32,
	c4: u32,
	oh: u32,
	ow: u32,
	top: i32,
	left: i32,
	step: u32,
	places: u32, // kh·kw
	th: u32,     // of conv2d_winograd: tiles of an image, oh and ow over two, rounded up
	tw: u32,
}

// scale4 gathers the scales of four channels: quantisation blocks run along
// the checkpoint's order (c, i, j), in which they lie kh·kw apart.
fn scale4(row: u32, k: u32) -> vec4<f32> {
	let at = (k % dims.c4) * 4u * dims.places + k / dims.c4;
	return vec4<f32>(scale_at(row, at), scale_at(row, at + dims.places), scale_at(row, at + 2u * dims.places), scale_at(row, at + 3u * dims.places));
}

fn scale_at(row: u32, at: u32) -> f32 {
	return scale_of(row, min(at / select(32u, 128u, weights == 5u), dims.blocks - 1u)); // channels of the padding have none
}

// pixel4 is the vector of channels ch, ky below and kx right of a corner.
fn pixel4(at: vec3<i32>, ky: u32, kx: u32, ch: u32) -> vec4<f32> {
	let y = at.x + i32(ky);
	let px = at.y + i32(kx);
	if (y < 0 || px < 0 || y >= i32(dims.h * up) || px >= i32(dims.w * up)) { return vec4<f32>(); }
	return vec4<f32>(x[(u32(at.z) + u32(y) / up * dims.w + u32(px) / up) * dims.c4 + ch]);
}
