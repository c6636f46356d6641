package model

import (
	"math"

	"wisp/engine"
)

// auraConfig is diffusers' AuraFlowTransformer2DModel configuration, with its
// defaults.
type auraConfig struct {
	Sample   int  `json:"sample_size"`
	Patch    int  `json:"patch_size"`
	In       int  `json:"in_channels"`
	Joint    int  `json:"num_mmdit_layers"`
	Singles  int  `json:"num_single_dit_layers"`
	HeadSize int  `json:"attention_head_dim"`
	Heads    int  `json:"num_attention_heads"`
	Context  int  `json:"joint_attention_dim"`
	Caption  int  `json:"caption_projection_dim"`
	Out      *int `json:"out_channels"`
	Places   int  `json:"pos_embed_max_size"`

	dim, out, side int
}

func parseAura(config []byte) (auraConfig, error) {
	out := 4
	c := auraConfig{
		Sample: 64, Patch: 2, In: 4, Joint: 4, Singles: 32, HeadSize: 256, Heads: 12, Context: 2048, Caption: 3072, Out: &out, Places: 1024,
	}
	const component = "AuraFlowTransformer2DModel"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.within("sample_size", c.Sample, 1, 1<<14)
	k.within("patch_size", c.Patch, 1, 64)
	k.width("in_channels", c.In)
	k.optionalWidth("out_channels", c.Out)
	k.within("num_mmdit_layers", c.Joint, 0, maxLayers)
	k.within("num_single_dit_layers", c.Singles, 0, maxLayers)
	k.width("attention_head_dim", c.HeadSize)
	k.width("num_attention_heads", c.Heads)
	k.width("joint_attention_dim", c.Context)
	k.within("pos_embed_max_size", c.Places, 1, 1<<20)
	c.dim, c.side = c.Heads*c.HeadSize, int(math.Sqrt(float64(c.Places)))
	k.width("num_attention_heads·attention_head_dim", c.dim)
	k.within("caption_projection_dim", c.Caption, c.dim, c.dim)
	if c.out = c.In; c.Out != nil {
		c.out = *c.Out
	}
	return c, k.err
}

// auraEps is the epsilon of AuraFlow's norms.
const auraEps = 1e-5

// AuraFlow is the transformer of AuraFlow, fal 2024, from the config of
// diffusers' AuraFlowTransformer2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), "timestep_embedding" (batch,
// 256) from [TimestepEmbedding] of 1000 times the flow's time, cosines first
// and no shift, "context" (batch, tokens, joint_attention_dim), zero where the
// text is padded. Output: "sample" (batch, h, w, out_channels).
func AuraFlow(config []byte, batch, h, w, text int) (*engine.Graph, error) {
	c, err := parseAura(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "AuraFlowTransformer2DModel"}
	if k.patches(c.Patch, h, w); k.err == nil {
		k.within("rows of patches for the root of pos_embed_max_size:", h/c.Patch, 1, c.side)
		k.within("columns of patches for the root of pos_embed_max_size:", w/c.Patch, 1, c.side)
	}
	if k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		rows, cols := h/c.Patch, w/c.Patch
		x := patchify(g.Input("sample", engine.F32, batch, h, w, c.In), c.Patch)
		x = engine.Add(linear(g, "pos_embed.proj", x, c.dim), c.places(g, rows, cols))
		temb := timestepMLP(g, "time_step_proj", g.Input("timestep_embedding", engine.F32, batch, 256), engine.OpSiLU, c.dim)
		context := linearNoBias(g, "context_embedder", g.Input("context", engine.F32, batch, text, c.Context), c.dim)
		registers := g.Weight("register_tokens", 1, 8, c.dim)
		context = engine.Concat(1, repeatBatch(registers, batch), context)

		b := auraBlock{g, c, engine.SiLU(temb)}
		for i := range c.Joint {
			context, x = b.joint(path("joint_transformer_blocks").Sub(i), context, x)
		}
		x = engine.Concat(1, context, x)
		for i := range c.Singles {
			x = b.single(path("single_transformer_blocks").Sub(i), x)
		}
		x = engine.Slice(x, 1, context.Shape[1], x.Shape[1])
		m := chunks(linearNoBias(g, "norm_out.linear", b.temb, 2*c.dim), 2)
		x = linearNoBias(g, "proj_out", engine.Modulate(x, m[1], m[0]), c.Patch*c.Patch*c.out)
		g.Output("sample", unpatch(x, rows, cols, c.Patch, c.out))
	})
}

// repeatBatch is x (1, …) for each of a batch.
func repeatBatch(x *engine.Node, batch int) *engine.Node {
	if batch == 1 {
		return x
	}
	all := make([]*engine.Node, batch)
	for i := range all {
		all[i] = x
	}
	return engine.Concat(0, all...)
}

// places is the middle of the stored grid of place embeddings, (1, rows·cols, d).
func (c auraConfig) places(g *engine.Graph, rows, cols int) *engine.Node {
	all := engine.Reshape(g.Weight("pos_embed.pos_embed", 1, c.Places, c.dim), c.Places, c.dim)
	return gridRows(g, all, c.side, c.side/2-rows/2, c.side/2-cols/2, rows, cols)
}

// auraBlock holds what the blocks share.
type auraBlock struct {
	g    *engine.Graph
	c    auraConfig
	temb *engine.Node // (b, d) after its activation
}

// joint is diffusers' AuraFlowJointTransformerBlock: text and pixels have their
// own weights and attend to each other in one sequence, the text first.
func (b auraBlock) joint(p path, context, x *engine.Node) (nextContext, next *engine.Node) {
	g, c := b.g, b.c
	m := chunks(linearNoBias(g, p.Sub("norm1", "linear"), b.temb, 6*c.dim), 6)
	cm := chunks(linearNoBias(g, p.Sub("norm1_context", "linear"), b.temb, 6*c.dim), 6)
	h := engine.Modulate(plainNorm(g, x, auraEps), m[0], m[1])
	ch := engine.Modulate(plainNorm(g, context, auraEps), cm[0], cm[1])

	a, text := p.Sub("attn"), context.Shape[1]
	q := engine.Concat(1, b.head(a.Sub("add_q_proj"), ch), b.head(a.Sub("to_q"), h))
	k := engine.Concat(1, b.head(a.Sub("add_k_proj"), ch), b.head(a.Sub("to_k"), h))
	v := engine.Concat(1, linearNoBias(g, a.Sub("add_v_proj"), ch, c.dim), linearNoBias(g, a.Sub("to_v"), h, c.dim))
	h = attend(q, k, v, c.Heads, false)
	ch = linearNoBias(g, a.Sub("to_add_out"), engine.Slice(h, 1, 0, text), c.dim)
	h = linearNoBias(g, a.Sub("to_out", 0), engine.Slice(h, 1, text, h.Shape[1]), c.dim)
	return b.rest(p.Sub("ff_context"), context, ch, cm), b.rest(p.Sub("ff"), x, h, m)
}

// single is diffusers' AuraFlowSingleTransformerBlock on text and pixels x (b,t,d).
func (b auraBlock) single(p path, x *engine.Node) *engine.Node {
	g, c := b.g, b.c
	m := chunks(linearNoBias(g, p.Sub("norm1", "linear"), b.temb, 6*c.dim), 6)
	h, a := engine.Modulate(plainNorm(g, x, auraEps), m[0], m[1]), p.Sub("attn")
	h = attend(b.head(a.Sub("to_q"), h), b.head(a.Sub("to_k"), h), linearNoBias(g, a.Sub("to_v"), h, c.dim), c.Heads, false)
	return b.rest(p.Sub("ff"), x, linearNoBias(g, a.Sub("to_out", 0), h, c.dim), m)
}

// rest is what follows attention h: norm and perceptron, all of it a residual
// of the block's input.
func (b auraBlock) rest(p path, x, h *engine.Node, m []*engine.Node) *engine.Node {
	h = engine.Modulate(plainNorm(b.g, gated(x, m[2], h), auraEps), m[3], m[4])
	inner := (8*b.c.dim/3 + 255) / 256 * 256
	return gated(x, m[5], swiGLU(b.g, p, h, "linear_1", "linear_2", "out_projection", inner))
}

// head is a linear layer and a plain norm of each of its heads.
func (b auraBlock) head(p path, x *engine.Node) *engine.Node {
	h := linearNoBias(b.g, p, x, b.c.dim)
	heads := engine.Reshape(h, h.Shape[0], h.Shape[1], b.c.Heads, b.c.HeadSize)
	return engine.Reshape(plainNorm(b.g, heads, auraEps), h.Shape...)
}
