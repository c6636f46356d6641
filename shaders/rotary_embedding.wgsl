// rotary_embedding: each pair (p, q) of a head becomes (p·cos − q·sin,
// q·cos + p·sin) by its place's angles.
//
// Grid (pairs / 256 in rows of 32768, rows, 1) of 256 invocations, one a pair.
//
// Bindings: 0 dims, 1 x (rows, heads·hd), 2 cos and 3 sin (places, hd/2), 4 out
// as x. Mirrors engine/cpu/rotary_embedding.go.
// With each.

struct Dims {
	first: u32, // first row of workgroups
	count: u32, // pairs
	width: u32, // pairs of a row
	half: u32,  // pairs of a head
	interleaved: u32, // 1: pairs are neighbours; 0: half a head apart
	places: u32, // rows of the angles: row i has those of row i modulo places
	row0: u32,   // first row of this part of x
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<elem>;
@group(0) @binding(2) var<storage, read> cosines: array<elem>;
@group(0) @binding(3) var<storage, read> sines: array<elem>;
@group(0) @binding(4) var<storage, read_write> out: array<elem>;

fn each(i: u32) {
	let j = i % dims.half; // of its head, which begins at element 2(i − j)
	let at = (i / dims.width + dims.row0) % dims.places * dims.half + j;
	let first = 2u * (i - j) + select(j, 2u * j, dims.interleaved > 0u);
	let second = first + select(dims.half, 1u, dims.interleaved > 0u);
	let p = f32(x[first]);
	let q = f32(x[second]);
	let c = f32(cosines[at]);
	let s = f32(sines[at]);
	out[first] = elem(p * c - q * s);
	out[second] = elem(q * c + p * s);
}
