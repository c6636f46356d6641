// upsample2d: out[n, y, x] = in[n, ⌊y·h/oh⌋, ⌊x·w/ow⌋], all channels.
//
// Bindings: 0 dims, 1 x (n, h, w, c), 2 out (n, oh, ow, c). Mirrors
// engine/cpu/move.go.
// With each, unary.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	h: u32,
	w: u32,
	oh: u32,
	ow: u32,
	c: u32,
}

fn each(i: u32) {
	let place = i / dims.c;
	let y = place / dims.ow % dims.oh * dims.h / dims.oh;
	let px = place % dims.ow * dims.w / dims.ow;
	let image = place / dims.ow / dims.oh;
	out[i] = x[((image * dims.h + y) * dims.w + px) * dims.c + i % dims.c];
}
