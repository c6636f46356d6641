// conv2d: out[n, y, x, o] = act(Σ w[o, i, j, c]·in[n, y·step+i−top, x·step+j−left, c] + bias[o] + residual),
// as the matrix product of linear.wgsl whose row is an output pixel and whose k
// runs over (i, j, c); no patch matrix is ever stored. With up > 1 the image
// is read as if each pixel were up × up pixels: upsample2d before conv2d.
//
// Grid (channels / 64, pixels / (8·rows_per_thread), 1) of 16×8 invocations, as
// in linear.wgsl.
//
// Bindings: 0 dims, 1 x (n, h, w, c), c a multiple of 4, 2 w (out, kh, kw, c)
// and 3 its scales (see webgpu/weights.go), 4 bias (out), 5 residual
// (n, oh, ow, out), 6 out (n, oh, ow, out). What is switched off is
// bound to anything. Mirrors engine/cpu/conv2d.go.
// With tile, conv2d_dims, matrix, weight4, epilogue, activate.

override kw: u32 = 3;

// Source is where the kernel lies for an output pixel: the first row and
// column of the input that it reads, and the pixel at which its image begins.
alias Source = vec3<i32>;

fn source(row: u32) -> Source {
	if (row >= dims.rows) { return vec3<i32>(-1000000, 0, 0); } // outside of any image
	let line = row / dims.ow;
	let image = line / dims.oh;
	return vec3<i32>(i32(line % dims.oh * dims.step) - dims.top, i32(row % dims.ow * dims.step) - dims.left, i32(image * dims.h * dims.w));
}

fn x4(at: Source, k: u32) -> vec4<f32> {
	let place = k / dims.c4;
	return pixel4(at, place / kw, place % kw, k % dims.c4);
}
