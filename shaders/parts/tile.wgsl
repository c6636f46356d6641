// A matrix product in tiles. Each of 16×8 invocations makes rows_per_thread rows
// of four columns, 16 apart; sixteen k at a time go through workgroup memory as
// vectors along k, so neither operand is transposed. source(row) is what the
// kernel keeps of a row, and x4(source, k) four of its elements, or zeros.

override rows_per_thread: u32 = 8; // or 4

const threads = 128u;
const depth = 4u;            // vectors of k in a tile
const w_step = 64u + 2u;     // padded against bank conflicts
override tile_rows = 8u * rows_per_thread;
override x_step = tile_rows + 2u;
override loads = (tile_rows * depth + threads - 1u) / threads; // at most 2

var<workgroup> x_tile: array<vec4<f32>, depth * x_step>;
var<workgroup> w_tile: array<vec4<f32>, depth * w_step>;

@compute @workgroup_size(16, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let row0 = (group.y + dims.first) * tile_rows;
	var s0 = vec4<f32>(); // one row of sums each: arrays would leave the registers
	var s1 = vec4<f32>();
	var s2 = vec4<f32>();
	var s3 = vec4<f32>();
	var s4 = vec4<f32>();
	var s5 = vec4<f32>();
	var s6 = vec4<f32>();
	var s7 = vec4<f32>();
	var sources: array<Source, 2>; // of the rows that this invocation loads
	for (var j = 0u; j < loads; j++) {
		sources[j] = source(row0 + id / depth + j * (threads / depth));
	}
	for (var k0 = 0u; k0 < dims.k4; k0 += depth) {
		workgroupBarrier();
		let k = k0 + id % depth;
		for (var j = 0u; j < loads; j++) {
			let i = id / depth + j * (threads / depth);
			if (i < tile_rows) {
				var v = vec4<f32>();
				if (k < dims.k4) { v = x4(sources[j], k); }
				x_tile[(id % depth) * x_step + i] = v;
			}
		}
		for (var i = id / depth; i < 64u; i += threads / depth) {
			var v = vec4<f32>();
			let col = column(group.x, i);
			if (col < dims.cols && k < dims.k4) { v = weight4(col, k); }
			w_tile[(id % depth) * w_step + i] = v;
		}
		workgroupBarrier();
		for (var d = 0u; d < depth; d++) {
			let at = d * w_step + local.x;
			let w0 = w_tile[at];
			let w1 = w_tile[at + 16u];
			let w2 = w_tile[at + 32u];
			let w3 = w_tile[at + 48u];
			let first = d * x_step + local.y * rows_per_thread;
			var v = x_tile[first];
			s0 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			v = x_tile[first + 1u];
			s1 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			v = x_tile[first + 2u];
			s2 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			v = x_tile[first + 3u];
			s3 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			if (rows_per_thread == 8u) {
				v = x_tile[first + 4u];
				s4 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
				v = x_tile[first + 5u];
				s5 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
				v = x_tile[first + 6u];
				s6 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
				v = x_tile[first + 7u];
				s7 += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
			}
		}
	}
	let row = row0 + local.y * rows_per_thread;
	for (var r = 0u; r < rows_per_thread; r++) {
		var sums = s0;
		switch r { // in a loop, so that what finishes a sum is compiled once
			case 1u: { sums = s1; }
			case 2u: { sums = s2; }
			case 3u: { sums = s3; }
			case 4u: { sums = s4; }
			case 5u: { sums = s5; }
			case 6u: { sums = s6; }
			case 7u: { sums = s7; }
			default: {}
		}
		if (row + r >= dims.rows) { break; }
		for (var c = 0u; c < 4u - 2u * gated; c++) {
			let col = column(group.x, local.x + 16u * c);
			if (col >= dims.cols) { break; }
			if (gated == 0u) { finish(row + r, col, sums[c]); } else { finish_gated(row + r, col, sums[c], sums[c + 2u]); }
		}
	}
}
