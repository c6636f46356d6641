package model

import (
	"fmt"

	"wisp/engine"
)

// flux2Config is diffusers' Flux2Transformer2DModel configuration, with its
// defaults.
type flux2Config struct {
	Patch    int     `json:"patch_size"`
	In       int     `json:"in_channels"`
	Out      *int    `json:"out_channels"`
	Layers   int     `json:"num_layers"`
	Singles  int     `json:"num_single_layers"`
	HeadSize int     `json:"attention_head_dim"`
	Heads    int     `json:"num_attention_heads"`
	Context  int     `json:"joint_attention_dim"`
	Time     int     `json:"timestep_guidance_channels"`
	Ratio    float64 `json:"mlp_ratio"`
	Axes     []int   `json:"axes_dims_rope"`
	Theta    float64 `json:"rope_theta"`
	Eps      float32 `json:"eps"`
	Guidance bool    `json:"guidance_embeds"`

	dim, out, inner int
	references      [][2]int
}

func parseFlux2(config []byte) (flux2Config, error) {
	c := flux2Config{
		Patch: 1, In: 128, Layers: 8, Singles: 48, HeadSize: 128, Heads: 48, Context: 15360, Time: 256, Ratio: 3,
		Axes: []int{32, 32, 32, 32}, Theta: 2000, Eps: 1e-6, Guidance: true,
	}
	const component = "Flux2Transformer2DModel"
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
	k.width("timestep_guidance_channels", c.Time)
	k.axes("axes_dims_rope", c.Axes, 4, c.HeadSize)
	c.dim = c.Heads * c.HeadSize
	k.width("num_attention_heads·attention_head_dim", c.dim)
	if !(c.Theta > 1 && c.Theta < 1e12) {
		k.fail("rope_theta", "is %v", c.Theta)
	}
	if inner := c.Ratio * float64(c.dim); !(inner >= 1 && inner <= 1<<20) {
		k.fail("mlp_ratio", "is %v", c.Ratio)
	} else {
		c.inner = int(inner)
	}
	if c.out = c.In; c.Out != nil {
		c.out = *c.Out
	}
	return c, k.err
}

// Flux2Option changes what [Flux2] computes.
type Flux2Option func(*flux2Config)

// References adds pictures that the drawing follows, of these heights and
// widths in packed latents: inputs "reference.0", "reference.1" and so on
// (batch, h, w, in_channels).
func References(sizes ...[2]int) Flux2Option {
	return func(c *flux2Config) { c.references = append(c.references, sizes...) }
}

// Flux2 is the transformer of FLUX.2 and its distilled klein models, Black
// Forest Labs 2025, from the config of diffusers' Flux2Transformer2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), normalised latents whose 2×2
// patches are packed into channels, (c, 2, 2) with c first;
// "timestep_embedding" (batch, timestep_guidance_channels) from
// [TimestepEmbedding] of 1000 times the flow's time, cosines first and no
// shift; "context" (batch, tokens, joint_attention_dim). With guidance_embeds,
// also "guidance_embedding", of 1000 times the guidance scale, as wide.
// Output: "sample" (batch, h, w, out_channels).
func Flux2(config []byte, batch, h, w, text int, options ...Flux2Option) (*engine.Graph, error) {
	c, err := parseFlux2(config)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		option(&c)
	}
	return engine.Build(func(g *engine.Graph) {
		x := tokens(g.Input("sample", engine.F32, batch, h, w, c.In))
		places := make([][]float64, text) // (t, row, column, place in the text)
		for i := range places {
			places[i] = []float64{0, 0, 0, float64(i)}
		}
		places = append(places, flux2Places(h, w, 0)...)
		for i, size := range c.references {
			x = engine.Concat(1, x, tokens(g.Input(fmt.Sprintf("reference.%d", i), engine.F32, batch, size[0], size[1], c.In)))
			places = append(places, flux2Places(size[0], size[1], float64(10*(i+1)))...)
		}
		x = linearNoBias(g, "x_embedder", x, c.dim)
		context := linearNoBias(g, "context_embedder", g.Input("context", engine.F32, batch, text, c.Context), c.dim)
		b := flux2Block{g: g, c: c, rotary: rotaryTable(g, places, c.Theta, c.Axes, true)}
		temb := engine.SiLU(c.embedding(g, batch))
		modulation := func(name string, parts int) []*engine.Node { // shared by all blocks of a kind
			return chunks(linearNoBias(g, path(name).Sub("linear"), temb, parts*c.dim), parts)
		}
		b.pixels, b.words = modulation("double_stream_modulation_img", 6), modulation("double_stream_modulation_txt", 6)
		for i := range c.Layers {
			context, x = b.double(path("transformer_blocks").Sub(i), context, x)
		}
		x = engine.Concat(1, context, x)
		b.both = modulation("single_stream_modulation", 3)
		for i := range c.Singles {
			x = b.single(path("single_transformer_blocks").Sub(i), x)
		}
		m := modulation("norm_out", 2) // scale, then shift
		x = engine.Modulate(plainNorm(g, engine.Slice(x, 1, text, text+h*w), c.Eps), m[1], m[0])
		g.Output("sample", engine.Reshape(linearNoBias(g, "proj_out", x, c.out), batch, h, w, c.out))
	})
}

// flux2Places are those of an image's tokens.
func flux2Places(h, w int, t float64) [][]float64 {
	places := gridPlaces(h, w, t)
	for i := range places {
		places[i] = append(places[i], 0)
	}
	return places
}

// embedding is the embedded timestep and guidance, (b, d).
func (c flux2Config) embedding(g *engine.Graph, batch int) *engine.Node {
	mlp := func(name, input string) *engine.Node {
		p := path("time_guidance_embed").Sub(name)
		h := engine.SiLU(linearNoBias(g, p.Sub("linear_1"), g.Input(input, engine.F32, batch, c.Time), c.dim))
		return linearNoBias(g, p.Sub("linear_2"), h, c.dim)
	}
	emb := mlp("timestep_embedder", "timestep_embedding")
	if c.Guidance {
		emb = engine.Add(emb, mlp("guidance_embedder", "guidance_embedding"))
	}
	return emb
}

// flux2Block holds what the blocks share.
type flux2Block struct {
	g                   *engine.Graph
	c                   flux2Config
	pixels, words, both []*engine.Node // modulations: shift, scale, gate, and twice in double blocks
	rotary              rotary
}

// double is diffusers' Flux2TransformerBlock: text and pixels have their own
// weights and attend to each other in one sequence, the text first.
func (b flux2Block) double(p path, context, x *engine.Node) (nextContext, next *engine.Node) {
	g, c := b.g, b.c
	h := engine.Modulate(plainNorm(g, x, c.Eps), b.pixels[0], b.pixels[1])
	ch := engine.Modulate(plainNorm(g, context, c.Eps), b.words[0], b.words[1])

	a, text := p.Sub("attn"), context.Shape[1]
	project := func(name string, x *engine.Node) *engine.Node { return linearNoBias(g, a.Sub(name), x, c.dim) }
	head := func(name, norm string, x *engine.Node) *engine.Node {
		return headNorm(g, a.Sub(norm), project(name, x), c.Heads, c.Eps)
	}
	q := engine.Concat(1, head("add_q_proj", "norm_added_q", ch), head("to_q", "norm_q", h))
	k := engine.Concat(1, head("add_k_proj", "norm_added_k", ch), head("to_k", "norm_k", h))
	v := engine.Concat(1, project("add_v_proj", ch), project("to_v", h))
	h = attend(b.rotary.apply(q, c.Heads), b.rotary.apply(k, c.Heads), v, c.Heads, false)
	ch = project("to_add_out", engine.Slice(h, 1, 0, text))
	h = linearNoBias(g, a.Sub("to_out", 0), engine.Slice(h, 1, text, h.Shape[1]), c.dim)

	rest := func(x, h *engine.Node, m []*engine.Node, ff path) *engine.Node {
		x = gated(x, m[2], h)
		h = linearNoBias(g, ff.Sub("linear_in"), engine.Modulate(plainNorm(g, x, c.Eps), m[3], m[4]), 2*c.inner)
		return gated(x, m[5], linearNoBias(g, ff.Sub("linear_out"), halvesGLU(h), c.dim))
	}
	return rest(context, ch, b.words, p.Sub("ff_context")), rest(x, h, b.pixels, p.Sub("ff"))
}

// halvesGLU is SiLU of the first half of x times the second.
func halvesGLU(x *engine.Node) *engine.Node {
	d := x.Shape.Dim(-1) / 2
	return engine.Mul(engine.SiLU(engine.Slice(x, -1, 0, d)), engine.Slice(x, -1, d, 2*d))
}

// single is diffusers' Flux2SingleTransformerBlock on text and pixels x (b,t,d):
// attention and perceptron side by side, from one projection to another.
func (b flux2Block) single(p path, x *engine.Node) *engine.Node {
	g, c, a := b.g, b.c, p.Sub("attn")
	h := engine.Modulate(plainNorm(g, x, c.Eps), b.both[0], b.both[1])
	h = linearNoBias(g, a.Sub("to_qkv_mlp_proj"), h, 3*c.dim+2*c.inner)
	part := func(i int) *engine.Node { return engine.Slice(h, -1, i*c.dim, (i+1)*c.dim) }
	q, k := headNorm(g, a.Sub("norm_q"), part(0), c.Heads, c.Eps), headNorm(g, a.Sub("norm_k"), part(1), c.Heads, c.Eps)
	attended := attend(b.rotary.apply(q, c.Heads), b.rotary.apply(k, c.Heads), part(2), c.Heads, false)
	mlp := halvesGLU(engine.Slice(h, -1, 3*c.dim, h.Shape.Dim(-1)))
	return gated(x, b.both[2], linearNoBias(g, a.Sub("to_out"), engine.Concat(-1, attended, mlp), c.dim))
}
