package cpu

import "wisp/engine"

// linear: out[r,o] = act(Σ x[r,i]·w[o,i] + bias[o] + residual[r,o]).
func linear(n *engine.Node, args []array, out []float32) {
	x, w := args[0], args[1]
	o, k := w.shape[0], w.shape[1]
	finish := epilogue(n.Attrs.(engine.LinearAttrs).Epilogue, args[2:], o)
	for i := range out {
		r, c := i/o, i%o
		out[i] = finish(i, dot(x.f[r*k:(r+1)*k], w.f[c*k:]))
	}
}

// matmul: out[…,i,j] = Σ a[…,i,l]·b[…,l,j], or b[…,j,l] where transposed.
func matmul(n *engine.Node, args []array, out []float32) {
	a, b := args[0], args[1]
	m, cols, k := n.Shape.Dim(-2), n.Shape.Dim(-1), a.shape.Dim(-1)
	stepL, stepJ := cols, 1
	if n.Attrs.(engine.MatMulAttrs).TransB {
		stepL, stepJ = 1, k
	}
	for i := range out {
		batch, row, col := i/(m*cols), i/cols%m, i%cols
		av, bv := a.f[(batch*m+row)*k:], b.f[batch*k*cols:]
		var sum float32
		for l := range k {
			sum += av[l] * bv[l*stepL+col*stepJ]
		}
		out[i] = sum
	}
}
