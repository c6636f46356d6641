package model

import (
	"encoding/json"
	"slices"

	"wisp/engine"
)

// sd3Config is diffusers' SD3Transformer2DModel configuration, with its defaults.
type sd3Config struct {
	Sample   int     `json:"sample_size"`
	Patch    int     `json:"patch_size"`
	In       int     `json:"in_channels"`
	Layers   int     `json:"num_layers"`
	HeadSize int     `json:"attention_head_dim"`
	Heads    int     `json:"num_attention_heads"`
	Context  int     `json:"joint_attention_dim"`
	Caption  int     `json:"caption_projection_dim"`
	Pooled   int     `json:"pooled_projection_dim"`
	Out      *int    `json:"out_channels"`
	Places   int     `json:"pos_embed_max_size"`
	Dual     []int   `json:"dual_attention_layers"`
	QKNorm   *string `json:"qk_norm"`

	Guidance json.RawMessage `json:"guidance_embeds"`
	dim, out int
	skip     []int // layers left out
	control  int   // outputs of a ControlNet that are added
}

// SD3Option changes what [SD3] computes.
type SD3Option func(*sd3Config)

// SkipLayers leaves these layers out: the weaker model that skip-layer guidance
// steers away from.
func SkipLayers(layers ...int) SD3Option { return func(c *sd3Config) { c.skip = layers } }

// AddControl adds the outputs of a ControlNet, one after each block but the last,
// which few take for several.
func AddControl(b Blocks) SD3Option { return func(c *sd3Config) { c.control = b.Double } }

// MiddlePlaces is for a table of places, "pos_embed.pos_embed", of which the
// rows and columns beyond so many around the middle were left out, or one more
// to keep the middle where it is. The whole of that of Stable Diffusion 3.5
// medium is 0.9 GB in f32.
func MiddlePlaces(side int) SD3Option {
	return func(c *sd3Config) {
		if side < c.Places {
			c.Places = side + (c.Places-side)%2
		}
	}
}

func parseSD3(config []byte) (sd3Config, error) {
	out := 16
	c := sd3Config{
		Sample: 128, Patch: 2, In: 16, Layers: 18, HeadSize: 64, Heads: 18, Context: 4096, Caption: 1152, Pooled: 2048,
		Out: &out, Places: 96,
	}
	if err := parse("SD3Transformer2DModel", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "SD3Transformer2DModel"}
	k.width("attention_head_dim", c.HeadSize)
	k.width("num_attention_heads", c.Heads)
	k.width("in_channels", c.In)
	k.width("joint_attention_dim", c.Context)
	k.width("pooled_projection_dim", c.Pooled)
	k.optionalWidth("out_channels", c.Out)
	k.within("num_layers", c.Layers, 1, maxLayers)
	k.within("patch_size", c.Patch, 1, 64)
	k.within("pos_embed_max_size", c.Places, 1, 1<<12)
	c.dim = c.Heads * c.HeadSize
	k.width("num_attention_heads·attention_head_dim", c.dim)
	k.within("caption_projection_dim", c.Caption, c.dim, c.dim)
	if c.QKNorm != nil {
		k.one("qk_norm", *c.QKNorm, "rms_norm")
	}
	k.unset("guidance_embeds", c.Guidance)
	if c.out = c.In; c.Out != nil {
		c.out = *c.Out
	}
	return c, k.err
}

// fits validates sizes of latents.
func (c sd3Config) fits(component string, h, w int) error {
	k := checker{component: component}
	for _, i := range c.skip {
		k.within("skipped layer of num_layers:", i, 0, c.Layers-1)
	}
	k.patches(c.Patch, h, w)
	if k.err == nil {
		k.within("rows of patches for pos_embed_max_size:", h/c.Patch, 1, c.Places)
		k.within("columns of patches for pos_embed_max_size:", w/c.Patch, 1, c.Places)
	}
	return k.err
}

// SD3 is the multimodal diffusion transformer of Stable Diffusion 3 and 3.5,
// Esser et al. 2024, from the config of diffusers' SD3Transformer2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), "timestep_embedding" (batch,
// 256) from [TimestepEmbedding] with cosines first and no shift, "pooled"
// (batch, pooled_projection_dim), "context" (batch, tokens,
// joint_attention_dim). Output: "sample" (batch, h, w, out_channels).
func SD3(config []byte, batch, h, w, tokens int, options ...SD3Option) (*engine.Graph, error) {
	c, err := parseSD3(config)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		option(&c)
	}
	if err := c.fits("SD3Transformer2DModel", h, w); err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		rows, cols := h/c.Patch, w/c.Patch
		x := patchEmbed(g, "pos_embed", g.Input("sample", engine.F32, batch, h, w, c.In), c.Patch, c.dim)
		x = engine.Add(x, c.places(g, rows, cols))
		context := linear(g, "context_embedder", g.Input("context", engine.F32, batch, tokens, c.Context), c.dim)
		temb := engine.SiLU(c.embedding(g, batch))
		for i := range c.Layers {
			if slices.Contains(c.skip, i) {
				continue
			}
			b := sd3Block{g, path("transformer_blocks").Sub(i), c, temb, i == c.Layers-1, slices.Contains(c.Dual, i)}
			x, context = b.forward(x, context)
			if n := c.control; n > 0 && !b.last {
				x = engine.Add(x, g.Input(controlName(int(float64(i)/(float64(c.Layers)/float64(n)))), engine.F32, x.Shape...))
			}
		}
		x = continuousNorm(g, "norm_out", x, temb)
		x = linear(g, "proj_out", x, c.Patch*c.Patch*c.out)
		g.Output("sample", unpatch(x, rows, cols, c.Patch, c.out))
	})
}

// places is the middle of the stored grid of place embeddings, (1, rows·cols, d).
func (c sd3Config) places(g *engine.Graph, rows, cols int) *engine.Node {
	all := engine.Reshape(g.Weight("pos_embed.pos_embed", 1, c.Places*c.Places, c.dim), c.Places*c.Places, c.dim)
	return gridRows(g, all, c.Places, (c.Places-rows)/2, (c.Places-cols)/2, rows, cols)
}

// gridRows gathers a rectangle of rows × cols from table, the rows of a square
// of side, (1, rows·cols, d): large tables are not unpacked for it.
func gridRows(g *engine.Graph, table *engine.Node, side, top, left, rows, cols int) *engine.Node {
	ids := make([]int32, rows*cols)
	for i := range ids {
		ids[i] = int32((top+i/cols)*side + left + i%cols)
	}
	return engine.Embedding(table, g.Const(engine.FromInt32s(ids, 1, rows*cols)))
}

// embedding is the embedded timestep and pooled text, (b, d).
func (c sd3Config) embedding(g *engine.Graph, batch int) *engine.Node {
	p := path("time_text_embed")
	time := timestepMLP(g, p.Sub("timestep_embedder"), g.Input("timestep_embedding", engine.F32, batch, 256), engine.OpSiLU, c.dim)
	text := timestepMLP(g, p.Sub("text_embedder"), g.Input("pooled", engine.F32, batch, c.Pooled), engine.OpSiLU, c.dim)
	return engine.Add(time, text)
}

// continuousNorm is diffusers' AdaLayerNormContinuous: temb, after its
// activation, gives scale and shift.
func continuousNorm(g *engine.Graph, p path, x, temb *engine.Node) *engine.Node {
	m := chunks(linear(g, p.Sub("linear"), temb, 2*x.Shape[2]), 2)
	return engine.Modulate(plainNorm(g, x, ditEps), m[1], m[0])
}

// sd3Block is diffusers' JointTransformerBlock: pixels and text have their own
// weights and attend to each other in one sequence.
type sd3Block struct {
	g    *engine.Graph
	p    path
	c    sd3Config
	temb *engine.Node // (b, d) after its activation
	last bool         // the text's part ends in the attention
	dual bool         // the pixels attend to themselves once more
}

func (b sd3Block) forward(x, context *engine.Node) (nextX, nextContext *engine.Node) {
	g, p, c := b.g, b.p, b.c
	parts := 6 // shift, scale, gate of the attention; of the perceptron
	if b.dual {
		parts = 9 // and of the second attention
	}
	m := chunks(linear(g, p.Sub("norm1", "linear"), b.temb, parts*c.dim), parts)
	normed := plainNorm(g, x, ditEps)
	h := engine.Modulate(normed, m[0], m[1])

	var cm []*engine.Node
	var ch *engine.Node
	if b.last {
		ch = continuousNorm(g, p.Sub("norm1_context"), context, b.temb)
	} else {
		cm = chunks(linear(g, p.Sub("norm1_context", "linear"), b.temb, 6*c.dim), 6)
		ch = engine.Modulate(plainNorm(g, context, ditEps), cm[0], cm[1])
	}

	a, ca := b.joint(p.Sub("attn"), h, ch)
	x = engine.Add(engine.Mul(a, m[2]), x)
	if b.dual {
		a = b.alone(p.Sub("attn2"), engine.Modulate(normed, m[6], m[7]))
		x = engine.Add(engine.Mul(a, m[8]), x)
	}
	h = feedForward(g, p.Sub("ff"), engine.Modulate(plainNorm(g, x, ditEps), m[3], m[4]), "gelu-approximate")
	x = engine.Add(engine.Mul(h, m[5]), x)
	if b.last {
		return x, nil
	}
	context = engine.Add(engine.Mul(ca, cm[2]), context)
	h = feedForward(g, p.Sub("ff_context"), engine.Modulate(plainNorm(g, context, ditEps), cm[3], cm[4]), "gelu-approximate")
	return x, engine.Add(engine.Mul(h, cm[5]), context)
}

// joint attends over pixels and text together and splits the result.
func (b sd3Block) joint(p path, x, context *engine.Node) (outX, outContext *engine.Node) {
	c, pixels := b.c, x.Shape[1]
	q := engine.Concat(1, b.project(p, "to_q", "norm_q", x), b.project(p, "add_q_proj", "norm_added_q", context))
	k := engine.Concat(1, b.project(p, "to_k", "norm_k", x), b.project(p, "add_k_proj", "norm_added_k", context))
	v := engine.Concat(1, b.project(p, "to_v", "", x), b.project(p, "add_v_proj", "", context))
	h := attend(q, k, v, c.Heads, false)
	outX = linear(b.g, p.Sub("to_out", 0), engine.Slice(h, 1, 0, pixels), c.dim)
	if !b.last {
		outContext = linear(b.g, p.Sub("to_add_out"), engine.Slice(h, 1, pixels, h.Shape[1]), c.dim)
	}
	return outX, outContext
}

// alone is the self-attention of pixels.
func (b sd3Block) alone(p path, x *engine.Node) *engine.Node {
	q, k, v := b.project(p, "to_q", "norm_q", x), b.project(p, "to_k", "norm_k", x), b.project(p, "to_v", "", x)
	return linear(b.g, p.Sub("to_out", 0), attend(q, k, v, b.c.Heads, false), b.c.dim)
}

// project is a linear layer and, where the config has it, a norm of each head.
func (b sd3Block) project(p path, name, norm string, x *engine.Node) *engine.Node {
	h := linear(b.g, p.Sub(name), x, b.c.dim)
	if norm == "" || b.c.QKNorm == nil {
		return h
	}
	return headNorm(b.g, p.Sub(norm), h, b.c.Heads, ditEps)
}
