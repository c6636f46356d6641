package model

import (
	"math"

	"wisp/engine"
)

// luminaConfig is diffusers' LuminaNextDiT2DModel configuration, with its
// defaults.
type luminaConfig struct {
	Sample     int      `json:"sample_size"`
	Patch      int      `json:"patch_size"`
	In         int      `json:"in_channels"`
	Dim        int      `json:"hidden_size"`
	Layers     int      `json:"num_layers"`
	Heads      int      `json:"num_attention_heads"`
	KVHeads    *int     `json:"num_kv_heads"`
	MultipleOf int      `json:"multiple_of"`
	Multiplier *float64 `json:"ffn_dim_multiplier"`
	Eps        float32  `json:"norm_eps"`
	LearnSigma bool     `json:"learn_sigma"`
	QKNorm     bool     `json:"qk_norm"`
	Context    int      `json:"cross_attention_dim"`
	Scaling    float64  `json:"scaling_factor"`

	out, kvHeads, head, inner, cond int
	base                            int // of proportional attention; 0 for none
	velocity                        bool
	linear, ntk                     float64 // of constant places; 0 where they are inputs
}

func parseLumina(config []byte) (luminaConfig, error) {
	c := luminaConfig{
		Sample: 128, Patch: 2, In: 4, Dim: 2304, Layers: 32, Heads: 32, MultipleOf: 256, Eps: 1e-5, LearnSigma: true, QKNorm: true,
		Context: 2048, Scaling: 1,
	}
	const component = "LuminaNextDiT2DModel"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.within("sample_size", c.Sample, 1, 1<<14)
	k.within("patch_size", c.Patch, 1, 64)
	k.width("in_channels", c.In)
	k.width("hidden_size", c.Dim)
	k.within("num_layers", c.Layers, 1, maxLayers)
	k.width("cross_attention_dim", c.Context)
	k.within("multiple_of", c.MultipleOf, 1, maxWidth)
	k.divides("num_attention_heads", c.Heads, c.Dim)
	if c.kvHeads = c.Heads; c.KVHeads != nil {
		c.kvHeads = *c.KVHeads
	}
	k.divides("num_kv_heads", c.kvHeads, c.Heads)
	if k.err != nil {
		return c, k.err
	}
	if c.out = c.In; c.LearnSigma {
		c.out = 2 * c.In
	}
	c.head, c.cond = c.Dim/c.Heads, min(c.Dim, 1024)
	k.divides("a quarter of a head: 4", 4, c.head)
	c.inner = 8 * c.Dim / 3
	if c.Multiplier != nil {
		if !(*c.Multiplier > 0 && *c.Multiplier < 64) {
			k.fail("ffn_dim_multiplier", "is %v", *c.Multiplier)
		}
		c.inner = int(*c.Multiplier * float64(c.inner))
	}
	c.inner = (c.inner + c.MultipleOf - 1) / c.MultipleOf * c.MultipleOf
	k.within("ffn_dim_multiplier: the feed-forward layer's width", c.inner, 1, 1<<20)
	return c, k.err
}

// LuminaOption changes what [Lumina] computes.
type LuminaOption func(*luminaConfig)

// ProportionalAttention scales the pixels' scores by √log(tokens)/log(base) for
// a model trained on base of them.
func ProportionalAttention(base int) LuminaOption { return func(c *luminaConfig) { c.base = base } }

// LuminaPlaces makes what [LuminaRotary] gives for these a part of the graph, in
// place of its inputs.
func LuminaPlaces(linear, ntk float64) LuminaOption {
	return func(c *luminaConfig) { c.linear, c.ntk = linear, ntk }
}

// LuminaVelocity gives what a flow's sampler takes, the output negated.
func LuminaVelocity() LuminaOption { return func(c *luminaConfig) { c.velocity = true } }

// Lumina is the transformer of Lumina-Next, Zhuo et al. 2024, from the config
// of diffusers' LuminaNextDiT2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), "timestep_embedding" (batch,
// 256) from [TimestepEmbedding] with cosines first and no shift, "context"
// (batch, tokens, cross_attention_dim), "mask" (batch, tokens) f32, 0 for
// padding, "rotary_cos" and "rotary_sin" (1, h/patch_size·w/patch_size, half a
// head) from [LuminaRotary]. Output: "sample" (batch, h, w, in_channels, twice
// that with learn_sigma, of which the second half is left aside).
func Lumina(config []byte, batch, h, w, text int, options ...LuminaOption) (*engine.Graph, error) {
	c, err := parseLumina(config)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		option(&c)
	}
	k := checker{component: "LuminaNextDiT2DModel"}
	if c.base != 0 {
		k.within("base of proportional attention", c.base, 2, 1<<30)
	}
	if k.patches(c.Patch, h, w); k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		rows, cols := h/c.Patch, w/c.Patch
		x := patchify(g.Input("sample", engine.F32, batch, h, w, c.In), c.Patch)
		x = linear(g, "patch_embedder.proj", x, c.Dim)
		context := g.Input("context", engine.F32, batch, text, c.Context)
		mask := maskBias(g, batch, text, 3e4)
		cos, sin := c.angles(g, rows, cols)
		b := luminaBlock{
			g: g, c: c, temb: engine.SiLU(c.embedding(g, context, mask)), context: context, mask: mask,
			rotary: rotary{cos, sin, true}, scaled: scaling(g, batch, c.Dim),
		}
		for i := range c.Layers {
			x = b.forward(path("layers").Sub(i), x)
		}
		scale := engine.Reshape(linear(g, "norm_out.linear_1", b.temb, c.Dim), batch, 1, c.Dim)
		x = linear(g, "norm_out.linear_2", b.scaled(plainNorm(g, x, ditEps), scale), c.Patch*c.Patch*c.out)
		if c.velocity {
			x = engine.Affine(x, -1, 0)
		}
		g.Output("sample", unpatch(x, rows, cols, c.Patch, c.out))
	})
}

// angles are the places' cosines and sines.
func (c luminaConfig) angles(g *engine.Graph, rows, cols int) (cos, sin *engine.Node) {
	if c.linear == 0 {
		return g.Input("rotary_cos", engine.F32, 1, rows*cols, c.head/2), g.Input("rotary_sin", engine.F32, 1, rows*cols, c.head/2)
	}
	a, b := c.places(rows, cols, c.linear, c.ntk)
	return g.Const(engine.FromFloat32s(a, 1, rows*cols, c.head/2)), g.Const(engine.FromFloat32s(b, 1, rows*cols, c.head/2))
}

// embedding is the embedded timestep and mean of the text, (b, ·).
func (c luminaConfig) embedding(g *engine.Graph, context, mask *engine.Node) *engine.Node {
	batch, text := context.Shape[0], context.Shape[1]
	p := path("time_caption_embed")
	time := timestepMLP(g, p.Sub("timestep_embedder"), g.Input("timestep_embedding", engine.F32, batch, 256), engine.OpSiLU, c.cond)
	weights := engine.Reshape(engine.Softmax(mask), batch, 1, text) // the same for every token that counts
	mean := engine.Reshape(engine.MatMul(weights, context, false), batch, c.Context)
	p = p.Sub("caption_embedder")
	return engine.Add(time, linear(g, p.Sub(1), layerNorm(g, p.Sub(0), mean, 1e-5), c.cond))
}

// luminaBlock holds what the blocks share.
type luminaBlock struct {
	g                   *engine.Graph
	c                   luminaConfig
	temb, context, mask *engine.Node
	rotary              rotary
	scaled              func(x, scale *engine.Node) *engine.Node
}

// forward is diffusers' LuminaNextDiTBlock: pixels attend to themselves and to
// the text from one norm, and a gate for each head adds the two.
func (b luminaBlock) forward(p path, x *engine.Node) *engine.Node {
	g, c := b.g, b.c
	m := chunks(linear(g, p.Sub("norm1", "linear"), b.temb, 4*c.Dim), 4) // scale and gate, twice
	h := b.scaled(rmsNorm(g, p.Sub("norm1", "norm"), x, c.Eps), m[0])
	text := rmsNorm(g, p.Sub("norm1_context"), b.context, c.Eps)

	a := engine.AttentionAttrs{Heads: c.Heads, KVHeads: c.kvHeads, Scale: headScale(c.head)}
	self := a
	if c.base != 0 {
		self.Scale *= float32(math.Sqrt(math.Log(float64(x.Shape[1])) / math.Log(float64(c.base))))
	}
	q, k, v := b.project(p.Sub("attn1"), h, h)
	pixels := engine.Attend(q, b.rotary.apply(k, c.kvHeads), v, nil, self)
	q, k, v = b.project(p.Sub("attn2"), h, text)
	words := engine.Attend(q, k, v, b.mask, a)
	gate := engine.Reshape(engine.Tanh(p.weight(g, "gate", c.Heads)), c.Heads, 1)
	words = engine.Mul(engine.Reshape(words, x.Shape[0], x.Shape[1], c.Heads, c.head), gate)
	h = linearNoBias(g, p.Sub("attn2", "to_out", 0), engine.Add(pixels, engine.Reshape(words, x.Shape...)), c.Dim)

	x = gated(x, engine.Tanh(m[1]), rmsNorm(g, p.Sub("norm2"), h, c.Eps))
	h = b.scaled(rmsNorm(g, p.Sub("ffn_norm1"), x, c.Eps), m[2])
	h = swiGLU(g, p.Sub("feed_forward"), h, "linear_1", "linear_3", "linear_2", c.inner)
	return gated(x, engine.Tanh(m[3]), rmsNorm(g, p.Sub("ffn_norm2"), h, c.Eps))
}

// project is the queries of x, turned by their places, and the keys and values
// of y.
func (b luminaBlock) project(p path, x, y *engine.Node) (q, k, v *engine.Node) {
	g, c := b.g, b.c
	q = linearNoBias(g, p.Sub("to_q"), x, c.Dim)
	k = linearNoBias(g, p.Sub("to_k"), y, c.kvHeads*c.head)
	v = linearNoBias(g, p.Sub("to_v"), y, c.kvHeads*c.head)
	if c.QKNorm {
		q, k = layerNorm(g, p.Sub("norm_q"), q, 1e-5), layerNorm(g, p.Sub("norm_k"), k, 1e-5)
	}
	return b.rotary.apply(q, c.Heads), k, v
}

// LuminaRotary is the "rotary_cos" and "rotary_sin" of [Lumina] for h × w
// latents: rows and columns turn alternate pairs of a head. linear divides the
// places, ntk multiplies the base; 1 for both at the size of the training.
func LuminaRotary(config []byte, h, w int, linear, ntk float64) (cos, sin []float32, err error) {
	c, err := parseLumina(config)
	if err != nil {
		return nil, nil, err
	}
	k := checker{component: "LuminaNextDiT2DModel"}
	if k.patches(c.Patch, h, w); k.err != nil {
		return nil, nil, k.err
	}
	cos, sin = c.places(h/c.Patch, w/c.Patch, linear, ntk)
	return cos, sin, nil
}

func (c luminaConfig) places(rows, cols int, linear, ntk float64) (cos, sin []float32) {
	for i := range rows * cols {
		for j := range c.head / 4 {
			frequency := math.Pow(10000*ntk, -float64(4*j)/float64(c.head)) / linear
			for _, place := range []int{i / cols, i % cols} {
				angle := float64(place) * frequency
				cos, sin = append(cos, float32(math.Cos(angle))), append(sin, float32(math.Sin(angle)))
			}
		}
	}
	return cos, sin
}
