// Elements of a weight w as it is stored (webgpu/weights.go), four at a time.

override weights: u32 = 0; // 0 f32, 1 f16, 2 bf16, 3 q8, 4 q4, 5 q2

// weight4 is w[row, 4k .. 4k+3] as it is stored, with the scales that scale4 says.
fn weight4(row: u32, k: u32) -> vec4<f32> {
	let base = row * dims.stride;
	switch weights {
		case 1u: {
			let v = w[base + k];
			return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
		}
		case 2u: {
			let v = w[base + k];
			return bitcast<vec4<f32>>(vec4<u32>(v.x << 16u, v.x & 0xffff0000u, v.y << 16u, v.y & 0xffff0000u));
		}
		case 3u: {
			let v = bitcast<i32>(w[base + k / 2u][k & 1u]);
			let q = vec4<i32>(extractBits(v, 0u, 8u), extractBits(v, 8u, 8u), extractBits(v, 16u, 8u), extractBits(v, 24u, 8u));
			return vec4<f32>(q) * scale4(row, k);
		}
		case 4u: {
			let v = w[base + k / 4u][(k / 2u) & 1u] >> (16u * (k & 1u));
			let q = vec4<u32>(v & 15u, (v >> 4u) & 15u, (v >> 8u) & 15u, (v >> 12u) & 15u);
			return (vec4<f32>(q) - 8.0) * scale4(row, k);
		}
		case 5u: {
			let v = w[base + k / 8u][(k / 4u) & 1u] >> (8u * (k & 3u));
			let q = vec4<u32>(v & 3u, (v >> 2u) & 3u, (v >> 4u) & 3u, (v >> 6u) & 3u);
			return (vec4<f32>(q) - 1.0) * scale4(row, k);
		}
		default: {
			return bitcast<vec4<f32>>(vec4<u32>(w[base + 2u * k], w[base + 2u * k + 1u]));
		}
	}
}

// scale_of is a scale of w's row.
fn scale_of(row: u32, block: u32) -> f32 {
	let i = row * dims.blocks + block;
	return unpack2x16float(scales[i / 2u])[i & 1u];
}
