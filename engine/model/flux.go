package model

import (
	"slices"

	"wisp/engine"
)

// fluxConfig is diffusers' FluxTransformer2DModel configuration, with its
// defaults.
type fluxConfig struct {
	Patch    int   `json:"patch_size"`
	In       int   `json:"in_channels"`
	Out      *int  `json:"out_channels"`
	Layers   int   `json:"num_layers"`
	Singles  int   `json:"num_single_layers"`
	HeadSize int   `json:"attention_head_dim"`
	Heads    int   `json:"num_attention_heads"`
	Context  int   `json:"joint_attention_dim"`
	Pooled   int   `json:"pooled_projection_dim"`
	Guidance bool  `json:"guidance_embeds"`
	Axes     []int `json:"axes_dims_rope"`

	dim, out int
}

func parseFlux(config []byte) (fluxConfig, error) {
	c := fluxConfig{
		Patch: 1, In: 64, Layers: 19, Singles: 38, HeadSize: 128, Heads: 24, Context: 4096, Pooled: 768, Axes: []int{16, 56, 56},
	}
	const component = "FluxTransformer2DModel"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.within("patch_size", c.Patch, 1, 1) // the pipelines pack the latents
	k.width("in_channels", c.In)
	k.optionalWidth("out_channels", c.Out)
	k.within("num_layers", c.Layers, 0, maxLayers)
	k.within("num_single_layers", c.Singles, 0, maxLayers)
	k.width("attention_head_dim", c.HeadSize)
	k.width("num_attention_heads", c.Heads)
	k.width("joint_attention_dim", c.Context)
	k.width("pooled_projection_dim", c.Pooled)
	k.axes("axes_dims_rope", c.Axes, 3, c.HeadSize)
	c.dim = c.Heads * c.HeadSize
	k.width("num_attention_heads·attention_head_dim", c.dim)
	if c.out = c.In; c.Out != nil {
		c.out = *c.Out
	}
	return c, k.err
}

// Flux is the transformer of FLUX.1, Black Forest Labs 2024, from the config
// of diffusers' FluxTransformer2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), latents whose 2×2 patches are
// packed into channels, (c, 2, 2) with c first; "timestep_embedding" (batch,
// 256) from [TimestepEmbedding] of 1000 times the flow's time, cosines first
// and no shift; "pooled" (batch, pooled_projection_dim) and "context" (batch,
// tokens, joint_attention_dim). With guidance_embeds, also
// "guidance_embedding" (batch, 256), of 1000 times the guidance scale.
// Output: "sample" (batch, h, w, out_channels).
func Flux(config []byte, batch, h, w, text int) (*engine.Graph, error) {
	return ControlledFlux(config, batch, h, w, text, Blocks{})
}

// ControlledFlux is [Flux] with the outputs of a ControlNet, each added after as
// many blocks as it takes for all.
func ControlledFlux(config []byte, batch, h, w, text int, control Blocks) (*engine.Graph, error) {
	c, err := parseFlux(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		x := tokens(g.Input("sample", engine.F32, batch, h, w, c.In))
		x = linear(g, "x_embedder", x, c.dim)
		temb := engine.SiLU(c.embedding(g, batch))
		context := linear(g, "context_embedder", g.Input("context", engine.F32, batch, text, c.Context), c.dim)
		places := append(slices.Repeat([][]float64{{0, 0, 0}}, text), gridPlaces(h, w, 0)...)
		b := fluxBlock{g: g, c: c, temb: temb, rotary: rotaryTable(g, places, 10000, c.Axes, true)}
		for i := range c.Layers {
			context, x = b.double(path("transformer_blocks").Sub(i), context, x)
			if n := control.Double; n > 0 {
				x = engine.Add(x, g.Input(controlName(i/ceil(c.Layers, n)), engine.F32, x.Shape...))
			}
		}
		x = engine.Concat(1, context, x)
		for i := range c.Singles {
			x = b.single(path("single_transformer_blocks").Sub(i), x)
			if n := control.Single; n > 0 {
				words, pixels := engine.Slice(x, 1, 0, text), engine.Slice(x, 1, text, text+h*w)
				x = engine.Concat(1, words, engine.Add(pixels, g.Input(controlSingle(i/ceil(c.Singles, n)), engine.F32, pixels.Shape...)))
			}
		}
		x = continuousNorm(g, "norm_out", engine.Slice(x, 1, text, text+h*w), temb)
		g.Output("sample", engine.Reshape(linear(g, "proj_out", x, c.out), batch, h, w, c.out))
	})
}

// ceil is a over b, rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

// gridPlaces are the places (t, row, column) of an image's tokens.
func gridPlaces(h, w int, t float64) [][]float64 {
	var places [][]float64
	for i := range h * w {
		places = append(places, []float64{t, float64(i / w), float64(i % w)})
	}
	return places
}

// embedding is the embedded timestep, guidance and pooled text, (b, d).
func (c fluxConfig) embedding(g *engine.Graph, batch int) *engine.Node {
	mlp := func(name, input string, width int) *engine.Node {
		return timestepMLP(g, path("time_text_embed").Sub(name), g.Input(input, engine.F32, batch, width), engine.OpSiLU, c.dim)
	}
	emb := mlp("timestep_embedder", "timestep_embedding", 256)
	if c.Guidance {
		emb = engine.Add(emb, mlp("guidance_embedder", "guidance_embedding", 256))
	}
	return engine.Add(emb, mlp("text_embedder", "pooled", c.Pooled))
}

// fluxBlock holds what the blocks share.
type fluxBlock struct {
	g      *engine.Graph
	c      fluxConfig
	temb   *engine.Node // (b, d) after its activation
	rotary rotary
}

// double is diffusers' FluxTransformerBlock: text and pixels have their own
// weights and attend to each other in one sequence, the text first.
func (b fluxBlock) double(p path, context, x *engine.Node) (nextContext, next *engine.Node) {
	g, c := b.g, b.c
	m := chunks(linear(g, p.Sub("norm1", "linear"), b.temb, 6*c.dim), 6)
	cm := chunks(linear(g, p.Sub("norm1_context", "linear"), b.temb, 6*c.dim), 6)
	h := engine.Modulate(plainNorm(g, x, ditEps), m[0], m[1])
	ch := engine.Modulate(plainNorm(g, context, ditEps), cm[0], cm[1])

	a, text := p.Sub("attn"), context.Shape[1]
	q := engine.Concat(1, b.head(a, "add_q_proj", "norm_added_q", ch), b.head(a, "to_q", "norm_q", h))
	k := engine.Concat(1, b.head(a, "add_k_proj", "norm_added_k", ch), b.head(a, "to_k", "norm_k", h))
	v := engine.Concat(1, linear(g, a.Sub("add_v_proj"), ch, c.dim), linear(g, a.Sub("to_v"), h, c.dim))
	h = attend(b.rotary.apply(q, c.Heads), b.rotary.apply(k, c.Heads), v, c.Heads, false)
	ch = linear(g, a.Sub("to_add_out"), engine.Slice(h, 1, 0, text), c.dim)
	h = linear(g, a.Sub("to_out", 0), engine.Slice(h, 1, text, h.Shape[1]), c.dim)

	rest := func(x, h *engine.Node, m []*engine.Node, ff string) *engine.Node {
		x = engine.Add(engine.Mul(h, m[2]), x)
		h = feedForward(g, p.Sub(ff), engine.Modulate(plainNorm(g, x, ditEps), m[3], m[4]), "gelu-approximate")
		return engine.Add(engine.Mul(h, m[5]), x)
	}
	return rest(context, ch, cm, "ff_context"), rest(x, h, m, "ff")
}

// single is diffusers' FluxSingleTransformerBlock on text and pixels x (b,t,d):
// attention and perceptron side by side.
func (b fluxBlock) single(p path, x *engine.Node) *engine.Node {
	g, c := b.g, b.c
	m := chunks(linear(g, p.Sub("norm", "linear"), b.temb, 3*c.dim), 3)
	h := engine.Modulate(plainNorm(g, x, ditEps), m[0], m[1])
	mlp := engine.GELUTanh(linear(g, p.Sub("proj_mlp"), h, 4*c.dim))

	a := p.Sub("attn")
	q, k := b.rotary.apply(b.head(a, "to_q", "norm_q", h), c.Heads), b.rotary.apply(b.head(a, "to_k", "norm_k", h), c.Heads)
	h = attend(q, k, linear(g, a.Sub("to_v"), h, c.dim), c.Heads, false)
	h = linear(g, p.Sub("proj_out"), engine.Concat(-1, h, mlp), c.dim)
	return engine.Add(engine.Mul(h, m[2]), x)
}

// head is a linear layer and the norm of each of its heads.
func (b fluxBlock) head(p path, name, norm string, x *engine.Node) *engine.Node {
	return headNorm(b.g, p.Sub(norm), linear(b.g, p.Sub(name), x, b.c.dim), b.c.Heads, ditEps)
}

// headNorm is a root-mean-square norm of each head of x (b, t, heads·head).
func headNorm(g *engine.Graph, p path, x *engine.Node, heads int, eps float32) *engine.Node {
	h := engine.Reshape(x, x.Shape[0], x.Shape[1], heads, x.Shape[2]/heads)
	return engine.Reshape(rmsNorm(g, p, h, eps), x.Shape...)
}
