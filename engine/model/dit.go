package model

import "wisp/engine"

// ditConfig is diffusers' DiTTransformer2DModel configuration, with its
// defaults.
type ditConfig struct {
	Heads      int     `json:"num_attention_heads"`
	HeadSize   int     `json:"attention_head_dim"`
	In         int     `json:"in_channels"`
	Out        *int    `json:"out_channels"`
	Layers     int     `json:"num_layers"`
	Bias       bool    `json:"attention_bias"`
	Sample     int     `json:"sample_size"`
	Patch      int     `json:"patch_size"`
	Act        string  `json:"activation_fn"`
	Classes    *int    `json:"num_embeds_ada_norm"`
	NormType   string  `json:"norm_type"`
	NormAffine bool    `json:"norm_elementwise_affine"`
	Eps        float32 `json:"norm_eps"`

	dim, out int
}

func parseDiT(config []byte) (ditConfig, error) {
	classes := 1000
	c := ditConfig{
		Heads: 16, HeadSize: 72, In: 4, Layers: 28, Bias: true, Sample: 32, Patch: 2, Act: "gelu-approximate", Classes: &classes,
		NormType: "ada_norm_zero", Eps: 1e-5,
	}
	const component = "DiTTransformer2DModel"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.width("num_attention_heads", c.Heads)
	k.width("attention_head_dim", c.HeadSize)
	k.width("in_channels", c.In)
	k.optionalWidth("out_channels", c.Out)
	k.within("num_layers", c.Layers, 1, maxLayers)
	k.within("patch_size", c.Patch, 1, 64)
	k.within("sample_size", c.Sample, c.Patch, 1<<14)
	k.one("activation_fn", c.Act, "gelu-approximate", "gelu", "geglu")
	k.one("norm_type", c.NormType, "ada_norm_zero")
	if c.Classes == nil {
		k.fail("num_embeds_ada_norm", "is null, which is not supported")
		return c, k.err
	}
	k.within("num_embeds_ada_norm", *c.Classes, 1, 1<<20)
	if c.NormAffine {
		k.fail("norm_elementwise_affine", "is true, which is not supported")
	}
	c.dim = c.Heads * c.HeadSize
	k.width("num_attention_heads·attention_head_dim", c.dim)
	k.divides("a quarter of num_attention_heads·attention_head_dim, for places: 4", 4, c.dim)
	if c.out = c.In; c.Out != nil {
		c.out = *c.Out
	}
	return c, k.err
}

// DiT is the class-conditional diffusion transformer of Peebles & Xie 2022,
// from the config of diffusers' DiTTransformer2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), "timestep_embedding" (batch,
// 256) from [TimestepEmbedding] with cosines first and a shift of 1,
// "class_labels" (batch) i32, num_embeds_ada_norm for none. Output: "sample"
// (batch, h, w, out_channels); of twice in_channels the second half is a
// learned variance.
func DiT(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseDiT(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "DiTTransformer2DModel"}
	if k.patches(c.Patch, h, w); k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		rows, cols := h/c.Patch, w/c.Patch
		x := patchEmbed(g, "pos_embed", g.Input("sample", engine.F32, batch, h, w, c.In), c.Patch, c.dim)
		x = engine.Add(x, sineGrid(g, rows, cols, c.dim, c.Sample/c.Patch, 1))
		time := g.Input("timestep_embedding", engine.F32, batch, 256)
		labels := g.Input("class_labels", engine.I32, batch)
		// Each block has an embedding of its own; the last norm takes the first's.
		embed := func(i int) *engine.Node {
			p := path("transformer_blocks").Sub(i, "norm1", "emb")
			table := p.Sub("class_embedder", "embedding_table").weight(g, "weight", *c.Classes+1, c.dim)
			return engine.SiLU(engine.Add(timestepMLP(g, p.Sub("timestep_embedder"), time, engine.OpSiLU, c.dim), engine.Embedding(table, labels)))
		}
		for i := range c.Layers {
			x = c.block(g, path("transformer_blocks").Sub(i), x, embed(i))
		}
		m := chunks(linear(g, "proj_out_1", embed(0), 2*c.dim), 2)
		x = linear(g, "proj_out_2", engine.Modulate(plainNorm(g, x, ditEps), m[0], m[1]), c.Patch*c.Patch*c.out)
		g.Output("sample", unpatch(x, rows, cols, c.Patch, c.out))
	})
}

// block is a BasicTransformerBlock with norm_type ada_norm_zero.
func (c ditConfig) block(g *engine.Graph, p path, x, emb *engine.Node) *engine.Node {
	project := linearNoBias
	if c.Bias {
		project = linear
	}
	m := chunks(linear(g, p.Sub("norm1", "linear"), emb, 6*c.dim), 6)
	h := engine.Modulate(plainNorm(g, x, ditEps), m[0], m[1])
	a := p.Sub("attn1")
	q, k, v := project(g, a.Sub("to_q"), h, c.dim), project(g, a.Sub("to_k"), h, c.dim), project(g, a.Sub("to_v"), h, c.dim)
	x = gated(x, m[2], linear(g, a.Sub("to_out", 0), attend(q, k, v, c.Heads, false), c.dim))
	h = engine.Modulate(plainNorm(g, x, c.Eps), m[3], m[4])
	return gated(x, m[5], feedForward(g, p.Sub("ff"), h, c.Act))
}
