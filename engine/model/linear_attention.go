package model

import (
	"slices"

	"wisp/engine"
)

// linearAttention is attention without a softmax: each query's answer is the
// mean of the values, weighted by ReLU(q)·ReLU(k). Katharopoulos et al. 2020, as
// Xie et al. 2024 (SANA) and Cai et al. 2023 (EfficientViT) have it. The keys are
// summed up once, so it takes time linear in their number. q, k and v are
// (b, heads, tokens, d).
func linearAttention(g *engine.Graph, q, k, v *engine.Node) *engine.Node {
	b, heads, n, d := v.Shape[0], v.Shape[1], v.Shape[2], v.Shape[3]
	ones := g.Const(engine.FromFloat32s(slices.Repeat([]float32{1}, b*heads*n), b, heads, n, 1))
	sums := engine.MatMul(engine.Permute(engine.ReLU(k), 0, 1, 3, 2), engine.Concat(3, v, ones), false) // (b, heads, d, d+1)
	h := engine.MatMul(engine.ReLU(q), sums, false)
	return engine.Mul(engine.Slice(h, 3, 0, d), reciprocal(g, engine.Slice(h, 3, d, d+1)))
}

// reciprocal is 1/x for x (…, 1) of at least 1e-2, within 1e-8, and at most 1e6
// for x ≥ 0: of the pair (1e6·x, 1), divided by its root mean square, the second.
func reciprocal(g *engine.Graph, x *engine.Node) *engine.Node {
	const most = 1e6
	ones := g.Const(engine.FromFloat32s(slices.Repeat([]float32{1}, x.Shape.Elems()), x.Shape...))
	gamma := g.Const(engine.FromFloat32s([]float32{1, most / 1.41421356}, 2))
	last := len(x.Shape) - 1
	return engine.Slice(engine.RMSNorm(engine.Concat(last, engine.Affine(x, most, 0), ones), gamma, 1e-30), last, 1, 2)
}

// splitHeads is x (b, n, heads·d) as (b, heads, n, d), and joinHeads the reverse.
func splitHeads(x *engine.Node, heads int) *engine.Node {
	return engine.Permute(engine.Reshape(x, x.Shape[0], x.Shape[1], heads, x.Shape[2]/heads), 0, 2, 1, 3)
}

func joinHeads(x *engine.Node) *engine.Node {
	return engine.Reshape(engine.Permute(x, 0, 2, 1, 3), x.Shape[0], x.Shape[2], -1)
}

// gluConv is diffusers' GLUMBConv without its norm and its residual, for x
// (n,h,w,c): a gated perceptron that looks at each pixel's neighbours.
func gluConv(g *engine.Graph, p path, x *engine.Node, hidden int) *engine.Node {
	c := x.Shape[3]
	x = engine.SiLU(conv(g, p.Sub("conv_inverted"), x, 2*hidden, 1))
	d := p.Sub("conv_depth")
	x = engine.DepthwiseConv2D(x, d.weight(g, "weight", 2*hidden, 1, 3, 3), d.weight(g, "bias", 2*hidden), 1, samePad(3))
	x = engine.Mul(engine.SiLU(engine.Slice(x, 3, hidden, 2*hidden)), engine.Slice(x, 3, 0, hidden))
	return engine.Conv2D(x, p.Sub("conv_point").weight(g, "weight", c, hidden, 1, 1), nil, 1, [4]int{})
}

// biasedRMSNorm is a root-mean-square norm with a weight and a bias.
func biasedRMSNorm(g *engine.Graph, p path, x *engine.Node) *engine.Node {
	return engine.Add(rmsNorm(g, p, x, 1e-5), p.weight(g, "bias", x.Shape.Dim(-1)))
}
