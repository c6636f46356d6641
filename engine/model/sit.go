package model

import "wisp/engine"

// sitConfig is SiTTransformer2DModel's configuration as SiT checkpoints in
// diffusers' layout have it, with its defaults.
type sitConfig struct {
	Sample  int     `json:"input_size"`
	Patch   int     `json:"patch_size"`
	In      int     `json:"in_channels"`
	Dim     int     `json:"hidden_size"`
	Layers  int     `json:"depth"`
	Heads   int     `json:"num_heads"`
	Ratio   float64 `json:"mlp_ratio"`
	Dropped float64 `json:"class_dropout_prob"`
	Classes int     `json:"num_classes"`
	Learned bool    `json:"learn_sigma"`
	Norm    string  `json:"norm_type"`
}

func parseSiT(config []byte) (sitConfig, error) {
	c := sitConfig{Sample: 32, Patch: 2, In: 4, Dim: 1152, Layers: 28, Heads: 16, Ratio: 4, Dropped: 0.1, Classes: 1000, Learned: true, Norm: "ln"}
	const component = "SiTTransformer2DModel"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.width("in_channels", c.In)
	k.width("hidden_size", c.Dim)
	k.divides("num_heads", c.Heads, c.Dim)
	k.within("depth", c.Layers, 1, maxLayers)
	k.within("patch_size", c.Patch, 1, 64)
	k.within("input_size", c.Sample, c.Patch, 1<<10)
	k.divides("patch_size", c.Patch, c.Sample)
	k.within("num_classes", c.Classes, 1, 1<<20)
	k.ratio("mlp_ratio", c.Ratio, c.Dim)
	k.one("norm_type", c.Norm, "ln")
	if !(c.Dropped > 0) {
		k.fail("class_dropout_prob", "is %v: there is no class for none, which guidance needs", c.Dropped)
	}
	return c, k.err
}

// SiT is the class-conditional scalable interpolant transformer of Ma et al.
// 2024: a DiT that predicts the velocity of a flow, under the names of its
// published weights.
//
// Inputs: "sample" (batch, h, w, in_channels), h and w input_size;
// "timestep_embedding" (batch, 256) of the time from 0, noise, to 1 from
// [TimestepEmbedding256]; "class_labels" (batch) i32, num_classes for none.
// Output: "sample" (batch, h, w, in_channels), the velocity towards noise: the
// checkpoint's is the other way round.
func SiT(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseSiT(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "SiTTransformer2DModel"}
	if k.sample("input_size", c.Sample, h, w); k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		side := c.Sample / c.Patch
		x := patchEmbed(g, "x_embedder", g.Input("sample", engine.F32, batch, h, w, c.In), c.Patch, c.Dim)
		x = engine.Add(x, g.Weight("pos_embed", 1, side*side, c.Dim))
		t := path("t_embedder").Sub("mlp")
		time := linear(g, t.Sub(2), engine.SiLU(linear(g, t.Sub(0), g.Input("timestep_embedding", engine.F32, batch, 256), c.Dim)), c.Dim)
		table := g.Weight("y_embedder.embedding_table.weight", c.Classes+1, c.Dim)
		emb := engine.SiLU(engine.Add(time, engine.Embedding(table, g.Input("class_labels", engine.I32, batch))))
		for i := range c.Layers {
			p := path("blocks").Sub(i)
			m := chunks(linear(g, p.Sub("adaLN_modulation", 1), emb, 6*c.Dim), 6)
			x = gated(x, m[2], fusedAttention(g, p.Sub("attn"), engine.Modulate(plainNorm(g, x, ditEps), m[0], m[1]), c.Heads, true))
			x = gated(x, m[5], twoLayers(g, p.Sub("mlp"), engine.Modulate(plainNorm(g, x, ditEps), m[3], m[4]), engine.GELUTanh, c.Ratio))
		}
		p, out := path("final_layer"), c.In
		if c.Learned {
			out *= 2
		}
		m := chunks(linear(g, p.Sub("adaLN_modulation", 1), emb, 2*c.Dim), 2)
		x = linear(g, p.Sub("linear"), engine.Modulate(plainNorm(g, x, ditEps), m[0], m[1]), c.Patch*c.Patch*out)
		x = engine.Slice(unpatch(x, side, side, c.Patch, out), 3, 0, c.In) // a learned variance is of no use to a flow
		g.Output("sample", engine.Affine(x, -1, 0))
	})
}

// fusedAttention is self-attention of one layer for queries, keys and values,
// as in timm.
func fusedAttention(g *engine.Graph, p path, x *engine.Node, heads int, bias bool) *engine.Node {
	d, project := x.Shape[2], linearNoBias
	if bias {
		project = linear
	}
	qkv := project(g, p.Sub("qkv"), x, 3*d)
	part := func(i int) *engine.Node { return engine.Slice(qkv, 2, i*d, (i+1)*d) }
	return linear(g, p.Sub("proj"), attend(part(0), part(1), part(2), heads, false), d)
}

// twoLayers is timm's Mlp: ratio times as wide inside.
func twoLayers(g *engine.Graph, p path, x *engine.Node, act func(*engine.Node) *engine.Node, ratio float64) *engine.Node {
	d := x.Shape[2]
	return linear(g, p.Sub("fc2"), act(linear(g, p.Sub("fc1"), x, int(float64(d)*ratio))), d)
}

// ratio requires a width that is so many times another.
func (c *checker) ratio(field string, ratio float64, of int) {
	if !(ratio > 0 && ratio <= 64) {
		c.fail(field, "is %v, want up to 64", ratio)
		return
	}
	c.width(field, int(float64(of)*ratio))
}

// sample requires the one size that places were learned for.
func (c *checker) sample(field string, size, h, w int) {
	if h != size || w != size {
		c.fail(field, "is %d, for which places were learned, not for %d×%d latents", size, h, w)
	}
}
