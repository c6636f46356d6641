package model

import (
	"math"
	"slices"

	"wisp/engine"
)

// What the diffusion transformers share: patches, modulation by the timestep,
// attention with an additive bias.

// ditEps is the epsilon of the norms of diffusion transformers.
const ditEps = 1e-6

// patchEmbed cuts x (n,h,w,c) into patches and projects each to dim:
// (n, h/patch·w/patch, dim).
func patchEmbed(g *engine.Graph, p path, x *engine.Node, patch, dim int) *engine.Node {
	return tokens(convPadded(g, p.Sub("proj"), x, dim, patch, patch, [4]int{}))
}

// unpatch is the reverse for tokens x (n, rows·cols, patch·patch·c).
func unpatch(x *engine.Node, rows, cols, patch, c int) *engine.Node {
	n := x.Shape[0]
	x = engine.Reshape(x, n, rows, cols, patch, patch, c)
	return engine.Reshape(engine.Permute(x, 0, 1, 3, 2, 4, 5), n, rows*patch, cols*patch, c)
}

// sineGrid embeds the place of every cell of a grid, (1, rows·cols, dim): half
// of dim for the column, half for the row, of each sines then cosines. The
// coordinates run to base/scale whatever the grid: diffusers'
// get_2d_sincos_pos_embed.
func sineGrid(g *engine.Graph, rows, cols, dim, base int, scale float32) *engine.Node {
	v := make([]float32, rows*cols*dim)
	half, quarter := dim/2, dim/4
	put := func(out []float32, i, n int) {
		place := float64(float32(i) / float32(float64(n)/float64(base)) / scale)
		for k := range quarter {
			angle := place / math.Pow(10000, float64(k)/float64(quarter))
			out[k], out[quarter+k] = float32(math.Sin(angle)), float32(math.Cos(angle))
		}
	}
	for i := range rows * cols {
		at := v[i*dim:]
		put(at[:half], i%cols, cols)
		put(at[half:dim], i/cols, rows)
	}
	return g.Const(engine.FromFloat32s(v, 1, rows*cols, dim))
}

// plainNorm is a layer norm without gamma and beta.
func plainNorm(g *engine.Graph, x *engine.Node, eps float32) *engine.Node {
	d := x.Shape.Dim(-1)
	ones := g.Const(engine.FromFloat32s(slices.Repeat([]float32{1}, d), d))
	return engine.LayerNorm(x, ones, g.Const(engine.NewTensor(engine.F32, d)), eps)
}

// rmsNorm is a root-mean-square norm with a weight.
func rmsNorm(g *engine.Graph, p path, x *engine.Node, eps float32) *engine.Node {
	return engine.RMSNorm(x, p.weight(g, "weight", x.Shape.Dim(-1)), eps)
}

// chunks cuts x (b, n·d) into n values (b,1,d).
func chunks(x *engine.Node, n int) []*engine.Node {
	b, d := x.Shape[0], x.Shape[1]/n
	parts := make([]*engine.Node, n)
	for i := range parts {
		parts[i] = engine.Reshape(engine.Slice(x, 1, i*d, (i+1)*d), b, 1, d)
	}
	return parts
}

// attendBiased is attention whose scores (b, heads, tq, tk) have biases added,
// which broadcast to that shape.
func attendBiased(q, k, v *engine.Node, heads int, scale float32, biases ...*engine.Node) *engine.Node {
	split := func(x *engine.Node) *engine.Node {
		s := engine.Reshape(x, x.Shape[0], x.Shape[1], heads, x.Shape[2]/heads)
		return engine.Permute(s, 0, 2, 1, 3)
	}
	scores := engine.MatMul(split(q), split(k), true)
	if scale != 1 {
		scores = engine.Affine(scores, scale, 0)
	}
	for _, b := range biases {
		scores = engine.Add(scores, b)
	}
	out := engine.MatMul(engine.Softmax(scores), split(v), false)
	return engine.Reshape(engine.Permute(out, 0, 2, 1, 3), q.Shape...)
}

// maskBias turns the input "mask" (b, t), 1 for a token that counts and 0 for
// padding, into a bias (b, t) of attention scores: 0 or −size.
func maskBias(g *engine.Graph, batch, tokens int, size float32) *engine.Node {
	mask := g.Input("mask", engine.F32, batch, tokens)
	return engine.Affine(mask, size, -size)
}

// feedForward is diffusers' FeedForward: four times as wide inside.
func feedForward(g *engine.Graph, p path, x *engine.Node, activation string) *engine.Node {
	return feedForwardOf(g, p, x, activation, 4*x.Shape.Dim(-1))
}

// feedForwardOf is diffusers' FeedForward of some width inside.
func feedForwardOf(g *engine.Graph, p path, x *engine.Node, activation string, inner int) *engine.Node {
	var h *engine.Node
	switch activation {
	case "geglu":
		h = engine.GEGLU(linear(g, p.Sub("net", 0, "proj"), x, 2*inner))
	case "gelu":
		h = engine.GELU(linear(g, p.Sub("net", 0, "proj"), x, inner))
	case "gelu-approximate":
		h = engine.GELUTanh(linear(g, p.Sub("net", 0, "proj"), x, inner))
	}
	return linear(g, p.Sub("net", 2), h, x.Shape.Dim(-1))
}

// patchify cuts x (n,h,w,c) into tokens (n, h/patch·w/patch, c·patch·patch) of
// a patch each, channels first in it.
func patchify(x *engine.Node, patch int) *engine.Node {
	n, rows, cols, c := x.Shape[0], x.Shape[1]/patch, x.Shape[2]/patch, x.Shape[3]
	x = engine.Permute(engine.Reshape(x, n, rows, patch, cols, patch, c), 0, 1, 3, 5, 2, 4)
	return engine.Reshape(x, n, rows*cols, c*patch*patch)
}

// scaling is x·(1 + scale) for x (b,t,d), scale (b,1,d): a modulation without a
// shift, which backends compute with the norm before it.
func scaling(g *engine.Graph, batch, d int) func(x, scale *engine.Node) *engine.Node {
	none := g.Const(engine.NewTensor(engine.F32, batch, 1, d))
	return func(x, scale *engine.Node) *engine.Node { return engine.Modulate(x, none, scale) }
}

// gated is x + gate·h.
func gated(x, gate, h *engine.Node) *engine.Node { return engine.Add(engine.Mul(h, gate), x) }

// swiGLU is down(SiLU(gate(x))·up(x)), without biases: Shazeer 2020.
func swiGLU(g *engine.Graph, p path, x *engine.Node, gate, up, down string, inner int) *engine.Node {
	h := engine.Mul(engine.SiLU(linearNoBias(g, p.Sub(gate), x, inner)), linearNoBias(g, p.Sub(up), x, inner))
	return linearNoBias(g, p.Sub(down), h, x.Shape.Dim(-1))
}

// patches requires a size to be a whole number of patches.
func (c *checker) patches(patch, h, w int) {
	if patch < 1 || h < 1 || w < 1 || h%patch != 0 || w%patch != 0 {
		c.fail("patch_size", "is %d, which does not divide %d×%d latents", patch, h, w)
	}
}
