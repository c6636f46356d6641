// linear: out[r, c] = act(Σ_k x[r, k]·w[c, k] + bias[c] + residual[r, c]).
//
// Grid (columns / 64, rows / (8·rows_per_thread), 1) of 16×8 invocations.
// Products and sums are f32.
//
// Bindings: 0 dims, 1 x (rows, k), 2 w and 3 its scales (see webgpu/weights.go),
// 4 bias (width), 5 residual (rows, width), 6 out (rows, width). What is
// switched off is bound to anything. Mirrors engine/cpu/matmul.go.
// With tile, linear_dims, matrix, weight4, epilogue, activate.

alias Source = u32; // a row's first vector

const outside = 0xffffffffu;

fn source(row: u32) -> Source { return select(outside, row * dims.k4, row < dims.rows); }

fn x4(at: Source, k: u32) -> vec4<f32> {
	if (at == outside) { return vec4<f32>(); }
	return vec4<f32>(x[at + k]);
}
