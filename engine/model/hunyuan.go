package model

import (
	"math"
	"slices"

	"wisp/engine"
)

// hunyuanConfig is diffusers' HunyuanDiT2DModel configuration, with its
// defaults.
type hunyuanConfig struct {
	Heads      int     `json:"num_attention_heads"`
	HeadSize   int     `json:"attention_head_dim"`
	In         int     `json:"in_channels"`
	Patch      int     `json:"patch_size"`
	Act        string  `json:"activation_fn"`
	Sample     int     `json:"sample_size"`
	Hidden     int     `json:"hidden_size"`
	Layers     int     `json:"num_layers"`
	Ratio      float64 `json:"mlp_ratio"`
	LearnSigma bool    `json:"learn_sigma"`
	Context    int     `json:"cross_attention_dim"`
	NormType   string  `json:"norm_type"`
	T5         int     `json:"cross_attention_dim_t5"`
	Pooled     int     `json:"pooled_projection_dim"`
	Text       int     `json:"text_len"`
	TextT5     int     `json:"text_len_t5"`
	Sized      bool    `json:"use_style_cond_and_image_meta_size"`

	dim, out int
}

func parseHunyuan(config []byte) (hunyuanConfig, error) {
	c := hunyuanConfig{
		Heads: 16, HeadSize: 88, Act: "gelu-approximate", Sample: 32, Hidden: 1152, Layers: 28, Ratio: 4, LearnSigma: true,
		Context: 1024, NormType: "layer_norm", T5: 2048, Pooled: 1024, Text: 77, TextT5: 256, Sized: true,
	}
	const component = "HunyuanDiT2DModel"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.width("num_attention_heads", c.Heads)
	k.width("attention_head_dim", c.HeadSize)
	k.width("in_channels", c.In)
	k.within("patch_size", c.Patch, 1, 64)
	k.one("activation_fn", c.Act, "gelu-approximate", "gelu", "geglu")
	k.one("norm_type", c.NormType, "layer_norm")
	k.within("sample_size", c.Sample, 1, 1<<14)
	k.within("num_layers", c.Layers, 1, maxLayers)
	k.width("cross_attention_dim", c.Context)
	k.width("cross_attention_dim_t5", c.T5)
	k.divides("pooler's heads for cross_attention_dim_t5: 8", 8, c.T5)
	k.width("pooled_projection_dim", c.Pooled)
	k.within("text_len", c.Text, 1, 4096)
	k.within("text_len_t5", c.TextT5, 1, 4096)
	c.dim = c.Heads * c.HeadSize
	k.within("hidden_size for num_attention_heads·attention_head_dim:", c.Hidden, c.dim, c.dim)
	k.width("hidden_size", c.dim)
	k.divides("a quarter of attention_head_dim, for places: 4", 4, c.HeadSize)
	if inner := c.Ratio * float64(c.dim); !(inner >= 1 && inner <= 1<<20) {
		k.fail("mlp_ratio", "is %v", c.Ratio)
	}
	if c.Layers%2 != 0 { // as many blocks that give as that take
		k.fail("num_layers", "is odd")
	}
	if c.out = c.In; c.LearnSigma {
		c.out = 2 * c.In
	}
	return c, k.err
}

// HunyuanDiT is the bilingual transformer of Li et al. 2024, from the config of
// diffusers' HunyuanDiT2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), "timestep_embedding" (batch,
// 256) from [TimestepEmbedding] with cosines first and no shift; "context"
// (batch, text_len, cross_attention_dim) and "mask" (batch, text_len) f32, 0
// for padding, of BERT; "context_t5" (batch, text_len_t5,
// cross_attention_dim_t5) and "mask_t5" of mT5. With
// use_style_cond_and_image_meta_size, also "size_embedding" (batch, 1536), the
// like embeddings of the original and the target height and width and of the
// crop's corner. Output: "sample" (batch, h, w, in_channels, twice that with
// learn_sigma, of which the second half is a learned variance).
func HunyuanDiT(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseHunyuan(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "HunyuanDiT2DModel"}
	if k.patches(c.Patch, h, w); k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		rows, cols := h/c.Patch, w/c.Patch
		x := patchEmbed(g, "pos_embed", g.Input("sample", engine.F32, batch, h, w, c.In), c.Patch, c.dim)
		t5 := g.Input("context_t5", engine.F32, batch, c.TextT5, c.T5)
		b := hunyuanBlock{g: g, c: c, temb: engine.SiLU(c.embedding(g, t5)), context: c.context(g, t5), rotary: c.rotary(g, rows, cols)}
		var skips []*engine.Node
		for i := range c.Layers {
			p := path("blocks").Sub(i)
			if i > c.Layers/2 {
				last := len(skips) - 1
				x = layerNorm(g, p.Sub("skip_norm"), engine.Concat(-1, x, skips[last]), ditEps)
				x, skips = linear(g, p.Sub("skip_linear"), x, c.dim), skips[:last]
			}
			if x = b.forward(p, x); i < c.Layers/2-1 {
				skips = append(skips, x)
			}
		}
		x = linear(g, "proj_out", continuousNorm(g, "norm_out", x, b.temb), c.Patch*c.Patch*c.out)
		g.Output("sample", unpatch(x, rows, cols, c.Patch, c.out))
	})
}

// context is both texts, a learned vector in the place of each padding,
// (b, text_len + text_len_t5, cross_attention_dim).
func (c hunyuanConfig) context(g *engine.Graph, t5 *engine.Node) *engine.Node {
	batch, p := t5.Shape[0], path("text_embedder")
	t5 = linear(g, p.Sub("linear_2"), engine.SiLU(linear(g, p.Sub("linear_1"), t5, 4*c.T5)), c.Context)
	text := engine.Concat(1, g.Input("context", engine.F32, batch, c.Text, c.Context), t5)
	mask := engine.Concat(1, g.Input("mask", engine.F32, batch, c.Text), g.Input("mask_t5", engine.F32, batch, c.TextT5))
	mask = engine.Reshape(mask, batch, c.Text+c.TextT5, 1)
	padding := g.Weight("text_embedding_padding", c.Text+c.TextT5, c.Context)
	return engine.Add(engine.Mul(text, mask), engine.Mul(engine.Affine(mask, -1, 1), padding))
}

// embedding is the embedded timestep and of the pooled text, size and style,
// (b, d).
func (c hunyuanConfig) embedding(g *engine.Graph, t5 *engine.Node) *engine.Node {
	batch, p := t5.Shape[0], path("time_extra_emb")
	time := timestepMLP(g, p.Sub("timestep_embedder"), g.Input("timestep_embedding", engine.F32, batch, 256), engine.OpSiLU, c.dim)
	extra := c.pool(g, p.Sub("pooler"), t5)
	if c.Sized {
		style := repeatBatch(p.Sub("style_embedder").weight(g, "weight", 1, c.dim), batch)
		extra = engine.Concat(-1, extra, g.Input("size_embedding", engine.F32, batch, 6*256), style)
	}
	p = p.Sub("extra_embedder")
	extra = engine.SiLU(linear(g, p.Sub("linear_1"), extra, 4*c.dim))
	return engine.Add(time, linear(g, p.Sub("linear_2"), extra, c.dim))
}

// pool lets the mean of the states x (b,t,d) attend to itself and them, as
// CLIP's image encoder does.
func (c hunyuanConfig) pool(g *engine.Graph, p path, x *engine.Node) *engine.Node {
	batch, t := x.Shape[0], x.Shape[1]
	mean := g.Const(engine.FromFloat32s(slices.Repeat([]float32{1 / float32(t)}, batch*t), batch, 1, t))
	x = engine.Concat(1, engine.MatMul(mean, x, false), x)
	x = engine.Add(x, p.weight(g, "positional_embedding", t+1, c.T5))
	q := linear(g, p.Sub("q_proj"), engine.Slice(x, 1, 0, 1), c.T5)
	h := attend(q, linear(g, p.Sub("k_proj"), x, c.T5), linear(g, p.Sub("v_proj"), x, c.T5), 8, false)
	return engine.Reshape(linear(g, p.Sub("c_proj"), h, c.Pooled), batch, c.Pooled)
}

// rotary turns the first half of a head by the column and the second by the
// row, on a grid stretched to the 512 pixels of the first training.
func (c hunyuanConfig) rotary(g *engine.Graph, rows, cols int) rotary {
	const pixels = 512 / 8 // of latents
	base := float64(pixels / c.Patch)
	height, width := base, math.RoundToEven(base/float64(rows)*float64(cols))
	if rows <= cols {
		height, width = math.RoundToEven(base/float64(cols)*float64(rows)), base
	}
	place := func(i, n int, size float64) float64 { // of i in n steps over the middle size of base
		start := math.RoundToEven((base - size) / 2)
		if n == 1 {
			return start
		}
		return start + float64(i)*((start+size)*float64(n-1)/float64(n)-start)/float64(n-1)
	}
	var places [][]float64
	for i := range rows * cols {
		places = append(places, []float64{place(i%cols, cols, width), place(i/cols, rows, height)})
	}
	return rotaryTable(g, places, 10000, []int{c.HeadSize / 2, c.HeadSize / 2}, true)
}

// hunyuanBlock holds what the blocks share.
type hunyuanBlock struct {
	g             *engine.Graph
	c             hunyuanConfig
	temb, context *engine.Node
	rotary        rotary
}

// forward is diffusers' HunyuanDiTBlock after its skip.
func (b hunyuanBlock) forward(p path, x *engine.Node) *engine.Node {
	g, c := b.g, b.c
	shift := engine.Reshape(linear(g, p.Sub("norm1", "linear"), b.temb, c.dim), x.Shape[0], 1, c.dim)
	h := engine.Add(layerNorm(g, p.Sub("norm1", "norm"), x, ditEps), shift)
	x = engine.Add(b.attention(p.Sub("attn1"), h, h, true), x)
	x = engine.Add(b.attention(p.Sub("attn2"), layerNorm(g, p.Sub("norm2"), x, ditEps), b.context, false), x)
	h = layerNorm(g, p.Sub("norm3"), x, ditEps)
	return engine.Add(feedForwardOf(g, p.Sub("ff"), h, c.Act, int(float64(c.dim)*c.Ratio)), x)
}

// attention is that of x to y; the keys of pixels are turned as the queries are.
func (b hunyuanBlock) attention(p path, x, y *engine.Node, pixels bool) *engine.Node {
	g, c := b.g, b.c
	head := func(name, norm string, x *engine.Node) *engine.Node {
		h := linear(g, p.Sub(name), x, c.dim)
		heads := engine.Reshape(h, h.Shape[0], h.Shape[1], c.Heads, c.HeadSize)
		return engine.Reshape(layerNorm(g, p.Sub(norm), heads, ditEps), h.Shape...)
	}
	q, k := b.rotary.apply(head("to_q", "norm_q", x), c.Heads), head("to_k", "norm_k", y)
	if pixels {
		k = b.rotary.apply(k, c.Heads)
	}
	return linear(g, p.Sub("to_out", 0), attend(q, k, linear(g, p.Sub("to_v"), y, c.dim), c.Heads, false), c.dim)
}
