package model

import "wisp/engine"

// pixartConfig is diffusers' PixArtTransformer2DModel configuration, with its
// defaults.
type pixartConfig struct {
	Heads      int      `json:"num_attention_heads"`
	HeadSize   int      `json:"attention_head_dim"`
	In         int      `json:"in_channels"`
	Out        *int     `json:"out_channels"`
	Layers     int      `json:"num_layers"`
	Context    *int     `json:"cross_attention_dim"`
	Bias       bool     `json:"attention_bias"`
	Sample     int      `json:"sample_size"`
	Patch      int      `json:"patch_size"`
	Act        string   `json:"activation_fn"`
	NormType   string   `json:"norm_type"`
	NormAffine bool     `json:"norm_elementwise_affine"`
	Eps        float32  `json:"norm_eps"`
	Scale      *float32 `json:"interpolation_scale"`
	Additional *bool    `json:"use_additional_conditions"`
	Caption    *int     `json:"caption_channels"`
	AttnType   string   `json:"attention_type"`

	dim, out int
	sized    bool // conditioned on the picture's size
}

func parsePixArt(config []byte) (pixartConfig, error) {
	out, context := 8, 1152
	c := pixartConfig{
		Heads: 16, HeadSize: 72, In: 4, Out: &out, Layers: 28, Context: &context, Bias: true, Sample: 128, Patch: 2,
		Act: "gelu-approximate", NormType: "ada_norm_single", Eps: 1e-6, AttnType: "default",
	}
	if err := parse("PixArtTransformer2DModel", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "PixArtTransformer2DModel"}
	k.width("num_attention_heads", c.Heads)
	k.width("attention_head_dim", c.HeadSize)
	k.width("in_channels", c.In)
	k.optionalWidth("out_channels", c.Out)
	k.optionalWidth("caption_channels", c.Caption)
	k.optionalWidth("cross_attention_dim", c.Context)
	k.within("num_layers", c.Layers, 1, maxLayers)
	k.within("patch_size", c.Patch, 1, 64)
	k.within("sample_size", c.Sample, c.Patch, 1<<14)
	k.one("activation_fn", c.Act, "gelu-approximate", "gelu", "geglu")
	k.one("norm_type", c.NormType, "ada_norm_single")
	k.one("attention_type", c.AttnType, "default")
	if c.NormAffine {
		k.fail("norm_elementwise_affine", "is true, which is not supported")
	}
	c.dim = c.Heads * c.HeadSize
	k.width("num_attention_heads·attention_head_dim", c.dim)
	k.divides("a quarter of num_attention_heads·attention_head_dim, for places: 4", 4, c.dim)
	if c.Scale != nil && *c.Scale <= 0 {
		k.fail("interpolation_scale", "is %v", *c.Scale)
	}
	if c.out = c.In; c.Out != nil {
		c.out = *c.Out
	}
	if c.sized = c.Sample == 128; c.Additional != nil {
		c.sized = *c.Additional
	}
	if c.sized {
		k.divides("thirds of num_attention_heads·attention_head_dim, for sizes: 3", 3, c.dim)
	}
	return c, k.err
}

// scale is what grid coordinates are divided by.
func (c pixartConfig) scale() float32 {
	if c.Scale != nil {
		return *c.Scale
	}
	return float32(max(c.Sample/64, 1))
}

// context is the width of the text states that the graph is given.
func (c pixartConfig) context() int {
	switch {
	case c.Caption != nil:
		return *c.Caption
	case c.Context != nil:
		return *c.Context
	}
	return c.dim
}

// PixArt is the diffusion transformer of PixArt-α and -Σ, Chen et al. 2023,
// from the config of diffusers' PixArtTransformer2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), "timestep_embedding" (batch,
// 256) from [TimestepEmbedding] with cosines first and no shift, "context"
// (batch, tokens, caption_channels), "mask" (batch, tokens) f32, 0 for padding.
// Where the model is conditioned on the picture's size, also
// "resolution_embedding" (batch, 2, 256) of its height and width in pixels and
// "aspect_ratio_embedding" (batch, 256), embedded likewise.
// Output: "sample" (batch, h, w, out_channels); of twice in_channels the
// second half is a learned variance, which samplers leave aside.
func PixArt(config []byte, batch, h, w, tokens int) (*engine.Graph, error) {
	c, err := parsePixArt(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "PixArtTransformer2DModel"}
	k.patches(c.Patch, h, w)
	if k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		rows, cols := h/c.Patch, w/c.Patch
		x := patchEmbed(g, "pos_embed", g.Input("sample", engine.F32, batch, h, w, c.In), c.Patch, c.dim)
		x = engine.Add(x, sineGrid(g, rows, cols, c.dim, c.Sample/c.Patch, c.scale()))

		emb := c.embedding(g, batch) // (b, d)
		time := linear(g, "adaln_single.linear", engine.SiLU(emb), 6*c.dim)
		time = engine.Reshape(time, batch, 6, c.dim)
		context := g.Input("context", engine.F32, batch, tokens, c.context())
		if c.Caption != nil {
			p := path("caption_projection")
			context = engine.GELUTanh(linear(g, p.Sub("linear_1"), context, c.dim))
			context = linear(g, p.Sub("linear_2"), context, c.dim)
		}
		mask := maskBias(g, batch, tokens, 10000)
		for i := range c.Layers {
			x = c.block(g, path("transformer_blocks").Sub(i), x, context, time, mask)
		}

		table := g.Weight("scale_shift_table", 2, c.dim)
		final := engine.Add(engine.Reshape(emb, batch, 1, c.dim), table) // (b, 2, d)
		x = engine.Modulate(plainNorm(g, x, ditEps), engine.Slice(final, 1, 0, 1), engine.Slice(final, 1, 1, 2))
		x = linear(g, "proj_out", x, c.Patch*c.Patch*c.out)
		g.Output("sample", unpatch(x, rows, cols, c.Patch, c.out))
	})
}

// embedding is the embedded timestep and size, (b, d).
func (c pixartConfig) embedding(g *engine.Graph, batch int) *engine.Node {
	p := path("adaln_single.emb")
	mlp := func(name, input string, out int, shape ...int) *engine.Node {
		return timestepMLP(g, p.Sub(name), g.Input(input, engine.F32, shape...), engine.OpSiLU, out)
	}
	emb := mlp("timestep_embedder", "timestep_embedding", c.dim, batch, 256)
	if c.sized {
		size := mlp("resolution_embedder", "resolution_embedding", c.dim/3, batch, 2, 256)
		ratio := mlp("aspect_ratio_embedder", "aspect_ratio_embedding", c.dim/3, batch, 256)
		emb = engine.Add(emb, engine.Concat(1, engine.Reshape(size, batch, 2*(c.dim/3)), ratio))
	}
	return emb
}

// block is a BasicTransformerBlock with norm_type ada_norm_single: time
// (b,6,d) and the block's own table modulate both norms; cross-attention has none.
func (c pixartConfig) block(g *engine.Graph, p path, x, context, time, mask *engine.Node) *engine.Node {
	m := engine.Add(time, p.weight(g, "scale_shift_table", 6, c.dim))
	part := func(i int) *engine.Node { return engine.Slice(m, 1, i, i+1) }
	h := engine.Modulate(plainNorm(g, x, c.Eps), part(0), part(1))
	x = engine.Add(engine.Mul(c.attention(g, p.Sub("attn1"), h, h, nil), part(2)), x)
	x = engine.Add(c.attention(g, p.Sub("attn2"), x, context, mask), x)
	h = engine.Modulate(plainNorm(g, x, c.Eps), part(3), part(4))
	return engine.Add(engine.Mul(feedForward(g, p.Sub("ff"), h, c.Act), part(5)), x)
}

func (c pixartConfig) attention(g *engine.Graph, p path, x, context, mask *engine.Node) *engine.Node {
	project := linearNoBias
	if c.Bias {
		project = linear
	}
	q, k, v := project(g, p.Sub("to_q"), x, c.dim), project(g, p.Sub("to_k"), context, c.dim), project(g, p.Sub("to_v"), context, c.dim)
	if mask == nil {
		return linear(g, p.Sub("to_out", 0), attend(q, k, v, c.Heads, false), c.dim)
	}
	return linear(g, p.Sub("to_out", 0), engine.BiasedAttention(q, k, v, mask, c.Heads, headScale(c.HeadSize)), c.dim)
}
