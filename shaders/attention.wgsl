// attention: out = softmax(scale·q·kᵀ + bias)·v for each head, with the softmax kept
// as a running maximum and sum (Milakov & Gimelshein 2018, Dao et al. 2022):
// the scores live in workgroup memory, one tile at a time.
//
// Grid (column blocks of a head, queries / (8·rows), b·heads) of 8×8
// invocations. Invocation (x, y) owns rows query rows from y·rows, the keys
// x + 8c of a tile and the vectors x + 8c of the column block. A head too wide
// for the tiles is multiplied piece by piece; one wider than a column
// block (8·cols vectors) is computed by several workgroups, each with the
// scores of its own. Everything but storage is f32.
//
// Bindings: 0 dims, 1 q (b, tq, heads·hd), 2 k and 3 v (b, tk, heads/group·hd),
// 4 bias (b, tk), or anything where there is none, 5 out as q. hd is a multiple
// of 4. Mirrors engine/cpu/attention.go.

override rows: u32 = 4;   // query rows of an invocation, at most 4
override keys: u32 = 2;   // keys of an invocation in a tile, at most 4
override cols: u32 = 2;   // output vectors of an invocation; rows·cols is at most 20
override depth: u32 = 16; // vectors of a head that the tiles hold

struct Dims {
	first: u32, // first row of workgroups
	tq: u32,
	tk: u32,
	heads: u32,
	hd4: u32,   // vectors of a head
	piece: u32,  // vectors of a head that go through the tiles at a time
	causal: u32,
	group: u32,  // heads that share a head of k and v
	biased: u32, // 1: bias is added to the scores
	scale: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> q: array<vec4<elem>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<elem>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<elem>>;
@group(0) @binding(4) var<storage, read> bias: array<elem>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<elem>>;

const threads = 64u;
const lowest = -1e30; // finite: WGSL promises nothing about infinities
const least_bias = -1e29;
override tile_q = 8u * rows;
override tile_k = 8u * keys;
override block = 8u * cols;
override k_step = depth + 1u; // padded against bank conflicts

var<workgroup> q_tile: array<vec4<f32>, tile_q * depth>;
var<workgroup> kv_tile: array<vec4<f32>, max(tile_k * k_step, tile_k * block)>;
var<workgroup> p_tile: array<f32, tile_q * tile_k>;
var<workgroup> top: array<f32, tile_q * 8u>; // each invocation's row maxima

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let q0 = (group.y + dims.first) * tile_q;
	let d4 = dims.heads * dims.hd4;
	let batch = group.z / dims.heads;
	let head = (group.z % dims.heads) * dims.hd4; // its first vector
	let q_base = batch * dims.tq * d4 + head;
	let kd4 = d4 / dims.group;
	let k_base = batch * dims.tk * kd4 + group.z % dims.heads / dims.group * dims.hd4;
	let end = select(dims.tk, min(dims.tk, q0 + tile_q), dims.causal > 0u);

	var acc: array<vec4<f32>, 20>;
	var largest = vec4<f32>(lowest); // of each row so far
	var total = vec4<f32>();
	for (var k0 = 0u; k0 < end; k0 += tile_k) {
		// Set by hand: compilers were seen to leave it as the last tile did.
		var score = array<vec4<f32>, 4>(); // (row, key)
		for (var d0 = 0u; d0 < dims.hd4; d0 += dims.piece) {
			workgroupBarrier();
			if (k0 == 0u || dims.piece < dims.hd4) { // else the queries are there already
				for (var i = id; i < tile_q * dims.piece; i += threads) {
					let row = i / dims.piece;
					let d = i % dims.piece;
					var a = vec4<f32>();
					if (q0 + row < dims.tq && d0 + d < dims.hd4) {
						a = vec4<f32>(q[q_base + (q0 + row) * d4 + d0 + d]);
					}
					q_tile[row * depth + d] = a;
				}
			}
			for (var i = id; i < tile_k * dims.piece; i += threads) {
				let row = i / dims.piece;
				let d = i % dims.piece;
				var a = vec4<f32>();
				if (k0 + row < end && d0 + d < dims.hd4) {
					a = vec4<f32>(k[k_base + (k0 + row) * kd4 + d0 + d]);
				}
				kv_tile[row * k_step + d] = a;
			}
			workgroupBarrier();
			for (var d = 0u; d < dims.piece; d++) {
				var b: array<vec4<f32>, 4>;
				for (var c = 0u; c < keys; c++) {
					b[c] = kv_tile[(local.x + 8u * c) * k_step + d];
				}
				for (var r = 0u; r < rows; r++) {
					let a = q_tile[(local.y * rows + r) * depth + d];
					for (var c = 0u; c < keys; c++) {
						score[r][c] += dot(a, b[c]);
					}
				}
			}
		}
		for (var r = 0u; r < rows; r++) {
			var mine = lowest;
			for (var c = 0u; c < keys; c++) {
				let key = k0 + local.x + 8u * c;
				let seen = key < end && (dims.causal == 0u || key <= q0 + local.y * rows + r);
				var s = score[r][c] * dims.scale;
				if (dims.biased > 0u && seen) { s += max(f32(bias[batch * dims.tk + key]), least_bias); }
				score[r][c] = select(lowest, s, seen);
				mine = max(mine, score[r][c]);
			}
			top[(local.y * rows + r) * 8u + local.x] = mine;
		}
		workgroupBarrier();
		for (var i = id; i < tile_k * block; i += threads) {
			let col = group.x * block + i % block;
			var a = vec4<f32>();
			if (k0 + i / block < end && col < dims.hd4) {
				a = vec4<f32>(v[k_base + (k0 + i / block) * kd4 + col]);
			}
			kv_tile[i] = a;
		}
		for (var r = 0u; r < rows; r++) {
			let row = local.y * rows + r;
			var now = largest[r];
			for (var i = 0u; i < 8u; i++) {
				now = max(now, top[row * 8u + i]);
			}
			let shrink = exp(largest[r] - now);
			largest[r] = now;
			total[r] *= shrink;
			for (var c = 0u; c < cols; c++) {
				acc[r * cols + c] *= shrink;
			}
			for (var c = 0u; c < keys; c++) {
				p_tile[row * tile_k + local.x + 8u * c] = select(0.0, exp(score[r][c] - now), score[r][c] > lowest);
			}
		}
		workgroupBarrier();
		for (var j = 0u; j < tile_k; j++) {
			var p = vec4<f32>();
			for (var r = 0u; r < rows; r++) {
				p[r] = p_tile[(local.y * rows + r) * tile_k + j];
			}
			total += p;
			for (var c = 0u; c < cols; c++) {
				let b = kv_tile[j * block + local.x + 8u * c];
				for (var r = 0u; r < rows; r++) {
					acc[r * cols + c] += p[r] * b;
				}
			}
		}
	}
	for (var r = 0u; r < rows; r++) {
		let row = q0 + local.y * rows + r;
		for (var c = 0u; c < cols; c++) {
			let col = group.x * block + local.x + 8u * c;
			if (row < dims.tq && col < dims.hd4) {
				out[q_base + row * d4 + col] = vec4<elem>(acc[r * cols + c] / total[r]);
			}
		}
	}
}
