// The counts of a linear layer.

struct Dims {
	first: u32,  // first row of workgroups: a grid may run in several pieces
	rows: u32,
	cols: u32,   // of this part of w
	k4: u32,     // vectors of four along k
	stride: u32, // of a row of w, in vec2<u32>
	blocks: u32, // quantisation blocks of a row of w
	col0: u32,   // first column of this part
	width: u32,  // columns of out
	act: u32,    // 0 none, 1 silu, ... as in activate
	has_bias: u32,
	has_residual: u32,
	along: u32, // rows of out that have the same row of the residual
}

// scale4 is the scale of four elements along k.
fn scale4(row: u32, k: u32) -> vec4<f32> { return vec4<f32>(scale_of(row, k / select(8u, 32u, weights == 5u))); }
