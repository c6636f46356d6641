// upsample2d: out[n, y, x] = in[n, ⌊y·h/oh⌋, ⌊x·w/ow⌋], all channels.
//
// Grid (elements of out / 256 in rows of 32768, rows, 1) of 256 invocations.
//
// Bindings: 0 dims, 1 x (n, h, w, c), 2 out (n, oh, ow, c). Mirrors
// engine/cpu/move.go.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // elements of out
	h: u32,
	w: u32,
	oh: u32,
	ow: u32,
	c: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read_write> out: array<elem>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let i = ((group.y + dims.first) * 32768u + group.x) * 256u + id;
	if (i >= dims.count) { return; }
	let place = i / dims.c;
	let y = place / dims.ow % dims.oh * dims.h / dims.oh;
	let px = place % dims.ow * dims.w / dims.ow;
	let image = place / dims.ow / dims.oh;
	out[i] = x[((image * dims.h + y) * dims.w + px) * dims.c + i % dims.c];
}
