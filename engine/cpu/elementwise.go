package cpu

import (
	"math"

	"wisp/engine"
)

// elementwise: a op b with NumPy broadcasting.
func elementwise(n *engine.Node, args []array, out []float32) {
	a, b := args[0], args[1]
	f := map[engine.Op]func(x, y float32) float32{
		engine.OpAdd: func(x, y float32) float32 { return x + y },
		engine.OpSub: func(x, y float32) float32 { return x - y },
		engine.OpMul: func(x, y float32) float32 { return x * y },
	}[n.Op]
	sa, sb := a.shape.Broadcast(n.Shape), b.shape.Broadcast(n.Shape)
	for i := range out {
		out[i] = f(a.f[offset(i, n.Shape, sa)], b.f[offset(i, n.Shape, sb)])
	}
}

// offset turns the linear index i of shape into an offset by strides.
func offset(i int, shape engine.Shape, strides []int) (at int) {
	for a := len(shape) - 1; a >= 0; a-- {
		at += i % shape[a] * strides[a]
		i /= shape[a]
	}
	return at
}

// activation returns the function of one element that op names; the identity
// for OpNone.
func activation(op engine.Op) func(float32) float32 {
	switch op {
	case engine.OpSiLU:
		return func(x float32) float32 { return x * sigmoid(x) }
	case engine.OpGELU:
		return gelu
	case engine.OpGELUTanh:
		return func(x float32) float32 {
			return x / 2 * (1 + tanh(0.7978845608*(x+0.044715*x*x*x))) // √(2/π)
		}
	case engine.OpQuickGELU:
		return func(x float32) float32 { return x * sigmoid(1.702*x) }
	case engine.OpReLU:
		return func(x float32) float32 { return max(x, 0) }
	case engine.OpTanh:
		return tanh
	case engine.OpSigmoid:
		return sigmoid
	case engine.OpNone:
		return func(x float32) float32 { return x }
	}
	panic("cpu: no activation " + op.String())
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
func tanh(x float32) float32    { return float32(math.Tanh(float64(x))) }
func gelu(x float32) float32 {
	return float32(float64(x) / 2 * (1 + math.Erf(float64(x)/math.Sqrt2)))
}

// geglu: a·GELU(gate) for the halves a, gate of the last dimension.
func geglu(_ *engine.Node, args []array, out []float32) {
	x, d := args[0], args[0].shape.Dim(-1)/2
	for i := range out {
		at := i/d*2*d + i%d
		out[i] = x.f[at] * gelu(x.f[at+d])
	}
}

// affine: mul·x + add.
func affine(n *engine.Node, args []array, out []float32) {
	a := n.Attrs.(engine.AffineAttrs)
	for i, x := range args[0].f {
		out[i] = a.Mul*x + a.Add
	}
}

// clamp: x limited to min…max.
func clamp(n *engine.Node, args []array, out []float32) {
	a := n.Attrs.(engine.ClampAttrs)
	for i, x := range args[0].f {
		out[i] = min(max(x, a.Min), a.Max)
	}
}

// modulate: x·(1 + scale) + shift, scale and shift the same for all rows of a batch.
func modulate(n *engine.Node, args []array, out []float32) {
	x, shift, scale := args[0].f, args[1].f, args[2].f
	d := n.Shape.Dim(-1)
	per := len(out) / n.Shape[0] // elements of a batch
	for i, v := range x {
		at := i/per*d + i%d
		out[i] = v*(1+scale[at]) + shift[at]
	}
}
