package enginetest

import (
	"fmt"
	"math/rand/v2"

	"wisp/engine"
)

// Random draws an op and its shapes, most of them awkward: below one tile, odd,
// not a multiple of a vector. Half of its weights are f16.
func Random(r *rand.Rand) Case {
	name, build := randomOp(r)
	return Case{Name: name, Weights: engine.DType(r.IntN(2)), Build: func(g *engine.Graph) { g.Output("y", build(g)) }}
}

func randomOp(r *rand.Rand) (string, func(g *engine.Graph) *engine.Node) {
	in := func(g *engine.Graph, name string, shape ...int) *engine.Node {
		return g.Input(name, engine.F32, shape...)
	}
	upTo := func(n int) int { return 1 + r.IntN(n) }
	switch r.IntN(11) {
	case 0:
		n, h, w, c, o, kh, kw, s := upTo(2), upTo(9), upTo(9), upTo(21), upTo(35), upTo(4), upTo(4), upTo(3)
		pad := [4]int{r.IntN(3), r.IntN(3), r.IntN(3), r.IntN(3)}
		pad[2] += max(0, kh-h-pad[0]-pad[2])
		pad[3] += max(0, kw-w-pad[1]-pad[3])
		return fmt.Sprintf("conv2d_%dx%dx%dx%d_%d_%dx%d_s%d_%v", n, h, w, c, o, kh, kw, s, pad), func(g *engine.Graph) *engine.Node {
			x := in(g, "x", n, h, w, c)
			y := engine.Conv2D(x, g.Weight("w", o, c, kh, kw), g.Weight("b", o), s, pad)
			return engine.SiLU(engine.Add(y, in(g, "r", y.Shape...)))
		}
	case 1:
		m, k, n := upTo(70), upTo(40), upTo(50)
		return fmt.Sprintf("linear_%dx%dx%d", m, k, n), func(g *engine.Graph) *engine.Node {
			return engine.GELU(engine.Linear(in(g, "x", m, k), g.Weight("w", n, k), g.Weight("b", n)))
		}
	case 2:
		b, m, k, n, trans := upTo(3), upTo(20), upTo(20), upTo(20), r.IntN(2) == 0
		return fmt.Sprintf("matmul_%dx%dx%dx%d_%v", b, m, k, n, trans), func(g *engine.Graph) *engine.Node {
			if trans {
				return engine.MatMul(in(g, "a", b, m, k), in(g, "b", b, n, k), true)
			}
			return engine.MatMul(in(g, "a", b, m, k), in(g, "b", b, k, n), false)
		}
	case 3:
		b, tq, tk, heads, hd, causal := upTo(2), upTo(90), upTo(150), upTo(3), upTo(20), r.IntN(2) == 0
		if causal {
			tk = tq
		}
		return fmt.Sprintf("attention_%dx%dx%d_%dx%d_%v", b, tq, tk, heads, hd, causal), func(g *engine.Graph) *engine.Node {
			return engine.Attention(in(g, "q", b, tq, heads*hd), in(g, "k", b, tk, heads*hd), in(g, "v", b, tk, heads*hd), heads, 0.4, causal)
		}
	case 4:
		n, h, groups, per := upTo(2), upTo(12), upTo(8), upTo(9)
		return fmt.Sprintf("group_norm_%dx%dx%d_%d", n, h, groups*per, groups), func(g *engine.Graph) *engine.Node {
			x := engine.Affine(in(g, "x", n, h, h+1, groups*per), 1, 30) // far from zero
			return engine.SiLU(engine.GroupNorm(x, g.Weight("g", groups*per), g.Weight("b", groups*per), groups, 1e-5))
		}
	case 5:
		m, d := upTo(9), upTo(70)
		return fmt.Sprintf("rows_%dx%d", m, d), func(g *engine.Graph) *engine.Node {
			x := engine.LayerNorm(in(g, "x", m, d), g.Weight("g", d), g.Weight("b", d), 1e-5)
			return engine.Softmax(engine.Affine(x, 5, 0))
		}
	case 6:
		a, b := make([]int, 4), make([]int, 1+r.IntN(4))
		for i := range a {
			a[i] = upTo(6)
		}
		for i := range b {
			if b[len(b)-1-i] = a[3-i]; r.IntN(2) == 0 {
				b[len(b)-1-i] = 1
			}
		}
		if r.IntN(3) == 0 {
			a[r.IntN(4)] = 1
		}
		return fmt.Sprintf("sub_%v_%v", a, b), func(g *engine.Graph) *engine.Node {
			return engine.Sub(in(g, "a", a...), in(g, "b", b...))
		}
	case 7:
		shape, axes := []int{upTo(6), upTo(6), upTo(6), upTo(6)}, r.Perm(4)
		axis, more := r.IntN(4), upTo(5)
		return fmt.Sprintf("move_%v_%v_%d", shape, axes, axis), func(g *engine.Graph) *engine.Node {
			x := in(g, "x", shape...)
			other := append([]int(nil), shape...)
			other[axis] = more
			joined := engine.Concat(axis, x, in(g, "y", other...), x)
			return engine.Permute(engine.Slice(joined, axis, shape[axis]/2, shape[axis]+more), axes...)
		}
	case 8:
		n, h, w, c, kh, kw, s, p := upTo(2), 3+upTo(9), 3+upTo(9), upTo(21), upTo(4), upTo(4), upTo(3), r.IntN(3)
		return fmt.Sprintf("depthwise_conv2d_%dx%dx%dx%d_%dx%d_s%d_%d", n, h, w, c, kh, kw, s, p), func(g *engine.Graph) *engine.Node {
			y := engine.DepthwiseConv2D(in(g, "x", n, h, w, c), g.Weight("w", c, 1, kh, kw), g.Weight("b", c), s, [4]int{p, 0, 1, p})
			return engine.SiLU(engine.Add(y, in(g, "r", y.Shape...)))
		}
	case 9:
		n, h, w, c, o, k, s := upTo(2), upTo(6), upTo(6), upTo(9), upTo(13), upTo(5), upTo(4)
		p, more := r.IntN((k+1)/2), r.IntN(s)
		return fmt.Sprintf("conv_transpose2d_%dx%dx%dx%d_%d_%d_s%d_%d_%d", n, h, w, c, o, k, s, p, more), func(g *engine.Graph) *engine.Node {
			return engine.ConvTranspose2D(in(g, "x", n, h, w, c), g.Weight("w", c, o, k, k), g.Weight("b", o), s, p, more)
		}
	default:
		h, w, c, oh, ow := upTo(6), upTo(6), upTo(9), upTo(13), upTo(13)
		return fmt.Sprintf("upsample2d_%dx%dx%d_%dx%d", h, w, c, oh, ow), func(g *engine.Graph) *engine.Node {
			return engine.GEGLU(engine.Concat(-1, engine.Upsample2D(in(g, "x", 2, h, w, c), oh, ow), engine.Upsample2D(in(g, "y", 2, h, w, c), oh, ow)))
		}
	}
}
