package model

import (
	"encoding/json"
	"math"

	"wisp/engine"
)

// sanaConfig is diffusers' SanaTransformer2DModel configuration, with its
// defaults.
type sanaConfig struct {
	In         int             `json:"in_channels"`
	Out        *int            `json:"out_channels"`
	Heads      int             `json:"num_attention_heads"`
	HeadSize   int             `json:"attention_head_dim"`
	Layers     int             `json:"num_layers"`
	CrossHeads *int            `json:"num_cross_attention_heads"`
	CrossSize  *int            `json:"cross_attention_head_dim"`
	Cross      *int            `json:"cross_attention_dim"`
	Caption    int             `json:"caption_channels"`
	Ratio      float64         `json:"mlp_ratio"`
	Bias       bool            `json:"attention_bias"`
	Sample     int             `json:"sample_size"`
	Patch      int             `json:"patch_size"`
	Affine     bool            `json:"norm_elementwise_affine"`
	Eps        float32         `json:"norm_eps"`
	Places     json.RawMessage `json:"interpolation_scale"`
	Guidance   bool            `json:"guidance_embeds"`
	Guided     float32         `json:"guidance_embeds_scale"`
	QKNorm     *string         `json:"qk_norm"`

	dim, out int
}

func parseSana(config []byte) (sanaConfig, error) {
	out, heads, size, cross := 32, 20, 112, 2240
	c := sanaConfig{In: 32, Out: &out, Heads: 70, HeadSize: 32, Layers: 20, CrossHeads: &heads, CrossSize: &size, Cross: &cross,
		Caption: 2304, Ratio: 2.5, Sample: 32, Patch: 1, Eps: 1e-6, Guided: 0.1}
	if err := parse("SanaTransformer2DModel", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "SanaTransformer2DModel"}
	k.width("in_channels", c.In)
	k.optionalWidth("out_channels", c.Out)
	k.width("num_attention_heads", c.Heads)
	k.width("attention_head_dim", c.HeadSize)
	k.within("num_layers", c.Layers, 1, maxLayers)
	k.width("caption_channels", c.Caption)
	k.within("sample_size", c.Sample, 1, 1<<14)
	k.within("patch_size", c.Patch, 1, 64)
	k.unset("interpolation_scale", c.Places)
	c.dim = c.Heads * c.HeadSize
	k.width("num_attention_heads·attention_head_dim", c.dim)
	k.ratio("mlp_ratio", c.Ratio, c.dim)
	if c.Affine {
		k.fail("norm_elementwise_affine", "is true, which is not supported")
	}
	if !c.Guidance {
		k.fail("guidance_embeds", "is false, which is not supported: it is SANA's, not SANA-Sprint's")
	}
	if c.CrossHeads == nil || c.CrossSize == nil || c.Cross == nil {
		k.fail("cross_attention_dim", "is null, which is not supported")
		return c, k.err
	}
	k.width("num_cross_attention_heads", *c.CrossHeads)
	k.width("cross_attention_head_dim", *c.CrossSize)
	k.width("num_cross_attention_heads·cross_attention_head_dim", *c.CrossHeads**c.CrossSize)
	k.within("cross_attention_dim", *c.Cross, c.dim, c.dim)
	if c.QKNorm != nil {
		k.one("qk_norm", *c.QKNorm, "rms_norm_across_heads")
	}
	if c.out = c.In; c.Out != nil {
		c.out = *c.Out
	}
	return c, k.err
}

// Sana is the transformer of SANA-Sprint, Chen et al. 2025, from the config of
// diffusers' SanaTransformer2DModel: linear attention, and convolutions in place
// of places.
//
// Inputs: "sample" (batch, h, w, in_channels); "timestep_embedding" and
// "guidance_embedding" (batch, 256) from [TimestepEmbedding256], of the time
// from 0 to 1 and of the guidance times guidance_embeds_scale; "context" (batch,
// tokens, caption_channels), "mask" (batch, tokens) f32, 0 for padding;
// "trigflow" (batch, 3): what the sample is scaled by before the network, and
// how much of it and of the network's result the output has, see [TrigFlow].
// Output: "sample" (batch, h, w, out_channels).
func Sana(config []byte, batch, h, w, tokens int) (*engine.Graph, error) {
	c, err := parseSana(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "SanaTransformer2DModel"}
	k.patches(c.Patch, h, w)
	k.within("tokens", tokens, 1, 1<<13)
	if c.out != c.In {
		k.fail("out_channels", "is %d, want in_channels", c.out)
	}
	if k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		g.Precise = true // sums over all keys are too large for f16, as diffusers knows
		sample := g.Input("sample", engine.F32, batch, h, w, c.In)
		flow := g.Input("trigflow", engine.F32, batch, 3)
		part := func(i int) *engine.Node { return engine.Reshape(engine.Slice(flow, 1, i, i+1), batch, 1, 1, 1) }
		rows, cols := h/c.Patch, w/c.Patch
		x := patchEmbed(g, "patch_embed", engine.Mul(sample, part(0)), c.Patch, c.dim)

		p := path("time_embed")
		emb := timestepMLP(g, p.Sub("timestep_embedder"), g.Input("timestep_embedding", engine.F32, batch, 256), engine.OpSiLU, c.dim)
		emb = engine.Add(emb, timestepMLP(g, p.Sub("guidance_embedder"), g.Input("guidance_embedding", engine.F32, batch, 256), engine.OpSiLU, c.dim))
		time := engine.Reshape(linear(g, p.Sub("linear"), engine.SiLU(emb), 6*c.dim), batch, 6, c.dim)

		p = path("caption_projection")
		context := g.Input("context", engine.F32, batch, tokens, c.Caption)
		context = linear(g, p.Sub("linear_2"), engine.GELUTanh(linear(g, p.Sub("linear_1"), context, c.dim)), c.dim)
		context = rmsNorm(g, "caption_norm", context, 1e-5)
		mask := maskBias(g, batch, tokens, 10000)
		for i := range c.Layers {
			x = c.block(g, path("transformer_blocks").Sub(i), x, context, time, mask, rows, cols)
		}

		final := engine.Add(engine.Reshape(emb, batch, 1, c.dim), g.Weight("scale_shift_table", 2, c.dim)) // (b, 2, d)
		x = engine.Modulate(plainNorm(g, x, ditEps), engine.Slice(final, 1, 0, 1), engine.Slice(final, 1, 1, 2))
		x = unpatch(linear(g, "proj_out", x, c.Patch*c.Patch*c.out), rows, cols, c.Patch, c.out)
		g.Output("sample", engine.Add(engine.Mul(x, part(2)), engine.Mul(sample, part(1))))
	})
}

// block is a SanaTransformerBlock: time (b,6,d) and the block's own table
// modulate what comes before attention and perceptron; the text has no norm.
func (c sanaConfig) block(g *engine.Graph, p path, x, context, time, mask *engine.Node, rows, cols int) *engine.Node {
	m := engine.Add(time, p.weight(g, "scale_shift_table", 6, c.dim))
	part := func(i int) *engine.Node { return engine.Slice(m, 1, i, i+1) }
	a := p.Sub("attn1")
	project := linearNoBias
	if c.Bias {
		project = linear
	}
	h := engine.Modulate(plainNorm(g, x, c.Eps), part(0), part(1))
	q, k := c.normed(g, a, project(g, a.Sub("to_q"), h, c.dim), project(g, a.Sub("to_k"), h, c.dim))
	v := project(g, a.Sub("to_v"), h, c.dim)
	h = joinHeads(linearAttention(g, splitHeads(q, c.Heads), splitHeads(k, c.Heads), splitHeads(v, c.Heads)))
	x = gated(x, part(2), linear(g, a.Sub("to_out", 0), h, c.dim))

	a = p.Sub("attn2")
	inner := *c.CrossHeads * *c.CrossSize
	q, k = c.normed(g, a, linear(g, a.Sub("to_q"), x, inner), linear(g, a.Sub("to_k"), context, inner))
	h = engine.BiasedAttention(q, k, linear(g, a.Sub("to_v"), context, inner), mask, *c.CrossHeads, headScale(*c.CrossSize))
	x = engine.Add(linear(g, a.Sub("to_out", 0), h, c.dim), x)

	h = engine.Modulate(plainNorm(g, x, c.Eps), part(3), part(4))
	h = gluConv(g, p.Sub("ff"), engine.Reshape(h, h.Shape[0], rows, cols, c.dim), int(c.Ratio*float64(c.dim)))
	return gated(x, part(5), engine.Reshape(h, x.Shape...))
}

// normed are queries and keys, each with a norm over all heads where there is one.
func (c sanaConfig) normed(g *engine.Graph, p path, q, k *engine.Node) (_, _ *engine.Node) {
	if c.QKNorm == nil {
		return q, k
	}
	return rmsNorm(g, p.Sub("norm_q"), q, 1e-5), rmsNorm(g, p.Sub("norm_k"), k, 1e-5)
}

// TrigFlow is what [Sana] takes of a time of trigonometric flow, x = cos(t)·x₀ +
// sin(t)·noise: the time from 0 to 1 of the rectified flow that it was trained
// as, and its input "trigflow", which turns both x and the prediction over.
func TrigFlow(t float32) (time float32, trigflow [3]float32) {
	sin, cos := math.Sincos(float64(t))
	s := sin / (cos + sin)
	scale := math.Sqrt(s*s + (1-s)*(1-s))
	return float32(s), [3]float32{float32(scale), float32(1 - 2*s), float32((1 - 2*s + 2*s*s) / scale)}
}
