// conv2d_winograd: conv2d with kernels of 3 × 3 and step 1 by Winograd's
// F(2×2, 3×3) (Lavin & Gray 2016): out tile = Aᵀ[Σ_c (G w Gᵀ) ∘ (Bᵀ in B)]A,
// 16 products for four pixels instead of 36. The transforms are made in the
// kernel, a vector of channels at a time, so nothing but operands and result
// crosses memory, and weights are read as they are stored.
//
// Grid (channels / 16, tiles / 32, 1) of 128 invocations. Invocation id sums
// position id / 8 of the 4 × 4 transformed tile for eight tiles and eight
// channels. Products and sums are f32.
//
// Bindings as in conv2d.wgsl. Mirrors engine/cpu/conv2d.go.
// With conv2d_dims, matrix, weight4, epilogue, activate.

const tiles = 32u; // of a workgroup
const cols = 16u;  // its channels

var<workgroup> v_tile: array<vec4<f32>, 16u * tiles>;          // (position, tile), four channels of the input; at the end four sums
var<workgroup> u_tile: array<vec4<f32>, 16u * cols>;           // (position, channel), four channels of the input

// corner is where tile row reads its input from: the first row and column,
// and the pixel at which its image begins.
fn corner(row: u32) -> vec3<i32> {
	if (row >= dims.rows) { return vec3<i32>(-1000000, 0, 0); } // outside of any image
	let line = row / dims.tw;
	let image = line / dims.th;
	return vec3<i32>(i32(line % dims.th * 2u) - dims.top, i32(row % dims.tw * 2u) - dims.left, i32(image * dims.h * dims.w));
}

// input_column transforms column j of a tile: Bᵀ in B, rows in order.
fn input_column(at: vec3<i32>, j: u32, ch: u32) -> mat4x4<f32> {
	var e: mat4x4<f32>;
	let a = select(j, 1u, j > 1u);      // columns 0, 1, 1, 1
	let b = select(2u, j, j == 3u);     // less or plus columns 2, 2, 2, 3
	let plus = select(-1.0, 1.0, j == 1u);
	let sign = select(1.0, -1.0, j == 2u);
	for (var y = 0u; y < 4u; y++) {
		e[y] = sign * (pixel4(at, y, a, ch) + plus * pixel4(at, y, b, ch));
	}
	return mat4x4<f32>(e[0] - e[2], e[1] + e[2], e[2] - e[1], e[1] - e[3]);
}

// weight_column transforms column j of the kernel of channel row: G w Gᵀ.
fn weight_column(row: u32, j: u32, ch: u32) -> mat4x4<f32> {
	var h: mat3x4<f32>; // columns 0, (0 + 1 + 2)/2, (0 − 1 + 2)/2, 2
	let edge = j == 0u || j == 3u;
	let end = select(3u, 1u, j == 0u);
	for (var y = 0u; y < 3u; y++) {
		var sum = vec4<f32>();
		for (var kx = select(0u, 2u, j == 3u); kx < end; kx++) {
			let part = select(0.5, 1.0, edge) * select(1.0, -1.0, j == 2u && kx == 1u);
			sum += part * weight4(row, (3u * y + kx) * dims.c4 + ch);
		}
		h[y] = sum;
	}
	let ends = h[0] + h[2];
	return mat4x4<f32>(h[0], 0.5 * (ends + h[1]), 0.5 * (ends - h[1]), h[2]);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
	let row0 = (group.y + dims.first) * tiles;
	let col0 = group.x * cols;
	let place = id / 8u;          // of the transformed tile
	let first = id / 2u % 4u * 8u; // tile
	let pair = id % 2u;           // of vectors of channels: pair and pair + 2
	let at = corner(row0 + id % tiles); // of the tile that this invocation transforms
	var s0 = vec4<f32>(); // a tile each; arrays would leave the registers
	var t0 = vec4<f32>();
	var s1 = vec4<f32>();
	var t1 = vec4<f32>();
	var s2 = vec4<f32>();
	var t2 = vec4<f32>();
	var s3 = vec4<f32>();
	var t3 = vec4<f32>();
	var s4 = vec4<f32>();
	var t4 = vec4<f32>();
	var s5 = vec4<f32>();
	var t5 = vec4<f32>();
	var s6 = vec4<f32>();
	var t6 = vec4<f32>();
	var s7 = vec4<f32>();
	var t7 = vec4<f32>();
	for (var ch = 0u; ch < dims.c4; ch++) {
		workgroupBarrier();
		let j = id / tiles;
		let pixels = input_column(at, j, ch);
		for (var i = 0u; i < 4u; i++) {
			v_tile[(4u * i + j) * tiles + id % tiles] = pixels[i];
		}
		if (id < 4u * cols) {
			let col = id % cols;
			var u: mat4x4<f32>;
			if (col0 + col < dims.cols) { u = weight_column(col0 + col, id / cols, ch); }
			for (var i = 0u; i < 4u; i++) {
				u_tile[(4u * i + id / cols) * cols + col] = u[i];
			}
		}
		workgroupBarrier();
		let base = place * cols + 4u * pair;
		let near = transpose(mat4x4<f32>(u_tile[base], u_tile[base + 1u], u_tile[base + 2u], u_tile[base + 3u]));
		let far = transpose(mat4x4<f32>(u_tile[base + 8u], u_tile[base + 9u], u_tile[base + 10u], u_tile[base + 11u]));
		let v = place * tiles + first;
		let a0 = v_tile[v];
		s0 = row4(s0, a0, near);
		t0 = row4(t0, a0, far);
		let a1 = v_tile[v + 1u];
		s1 = row4(s1, a1, near);
		t1 = row4(t1, a1, far);
		let a2 = v_tile[v + 2u];
		s2 = row4(s2, a2, near);
		t2 = row4(t2, a2, far);
		let a3 = v_tile[v + 3u];
		s3 = row4(s3, a3, near);
		t3 = row4(t3, a3, far);
		let a4 = v_tile[v + 4u];
		s4 = row4(s4, a4, near);
		t4 = row4(t4, a4, far);
		let a5 = v_tile[v + 5u];
		s5 = row4(s5, a5, near);
		t5 = row4(t5, a5, far);
		let a6 = v_tile[v + 6u];
		s6 = row4(s6, a6, near);
		t6 = row4(t6, a6, far);
		let a7 = v_tile[v + 7u];
		s7 = row4(s7, a7, near);
		t7 = row4(t7, a7, far);
	}
	for (var turn = 0u; turn < 4u; turn++) { // there is room for a quarter of the sums
		workgroupBarrier();
		if (pair == turn % 2u) {
			let to = place * tiles + first;
			v_tile[to] = select(t0, s0, turn < 2u);
			v_tile[to + 1u] = select(t1, s1, turn < 2u);
			v_tile[to + 2u] = select(t2, s2, turn < 2u);
			v_tile[to + 3u] = select(t3, s3, turn < 2u);
			v_tile[to + 4u] = select(t4, s4, turn < 2u);
			v_tile[to + 5u] = select(t5, s5, turn < 2u);
			v_tile[to + 6u] = select(t6, s6, turn < 2u);
			v_tile[to + 7u] = select(t7, s7, turn < 2u);
		}
		workgroupBarrier();
		store_tile(row0 + id / 4u, col0 + turn * 4u + id % 4u, id / 4u, id % 4u);
	}
}

// row4 adds four channels of one tile to its sums; w has a row for each of them.
fn row4(sums: vec4<f32>, v: vec4<f32>, w: mat4x4<f32>) -> vec4<f32> {
	return fma(vec4<f32>(v.w), w[3], fma(vec4<f32>(v.z), w[2], fma(vec4<f32>(v.y), w[1], fma(vec4<f32>(v.x), w[0], sums))));
}

// store_tile finishes the four pixels of a tile: Aᵀ m A, m being component
// lane of every vector of v_tile, tiles apart, from at on.
fn store_tile(tile: u32, col: u32, at: u32, lane: u32) {
	if (tile >= dims.rows || col >= dims.cols) { return; }
	var upper: vec4<f32>; // Aᵀ m
	var lower: vec4<f32>;
	for (var j = 0u; j < 4u; j++) {
		let m0 = v_tile[j * tiles + at][lane];
		let m1 = v_tile[(4u + j) * tiles + at][lane];
		let m2 = v_tile[(8u + j) * tiles + at][lane];
		let m3 = v_tile[(12u + j) * tiles + at][lane];
		upper[j] = m0 + m1 + m2;
		lower[j] = m1 - m2 - m3;
	}
	let line = tile / dims.tw;
	let y = line % dims.th * 2u;
	let px = tile % dims.tw * 2u;
	let pixel = (line / dims.th * dims.oh + y) * dims.ow + px;
	let wide = px + 1u < dims.ow;
	finish(pixel, col, upper.x + upper.y + upper.z);
	if (wide) { finish(pixel + 1u, col, upper.y - upper.z - upper.w); }
	if (y + 1u >= dims.oh) { return; }
	finish(pixel + dims.ow, col, lower.x + lower.y + lower.z);
	if (wide) { finish(pixel + dims.ow + 1u, col, lower.y - lower.z - lower.w); }
}
