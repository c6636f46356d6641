// Elements of a weight w as it is stored (webgpu/weights.go), scales beside it.

override weights: u32 = 0; // 0 f32, 1 f16, 2 bf16, 3 q8, 4 q4, 5 q2

// weight is the element at k of a stored row of w; at is its place in the checkpoint's row.
fn weight(row: u32, k: u32, at: u32) -> f32 {
	let base = row * dims.stride;
	switch weights {
		case 1u: { return unpack2x16float(w[base + k / 2u])[k & 1u]; }
		case 2u: { return bitcast<f32>((w[base + k / 2u] >> (16u * (k & 1u))) << 16u); }
		case 3u: { return f32(extractBits(bitcast<i32>(w[base + k / 4u]), 8u * (k & 3u), 8u)) * scale(row, at); }
		case 4u: { return (f32(extractBits(w[base + k / 8u], 4u * (k & 7u), 4u)) - 8.0) * scale(row, at); }
		case 5u: { return (f32(extractBits(w[base + k / 16u], 2u * (k & 15u), 2u)) - 1.0) * scale(row, at); }
		default: { return bitcast<f32>(w[base + k]); }
	}
}

fn scale(row: u32, at: u32) -> f32 {
	let i = row * dims.blocks + at / select(32u, 128u, weights == 5u);
	return unpack2x16float(scales[i / 2u])[i & 1u];
}
