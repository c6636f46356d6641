package model

import (
	"slices"

	"wisp/engine"
)

// zImageConfig is diffusers' ZImageTransformer2DModel configuration, with its
// defaults.
type zImageConfig struct {
	Patches  []int   `json:"all_patch_size"`
	FPatches []int   `json:"all_f_patch_size"`
	In       int     `json:"in_channels"`
	Dim      int     `json:"dim"`
	Layers   int     `json:"n_layers"`
	Refiners int     `json:"n_refiner_layers"`
	Heads    int     `json:"n_heads"`
	Eps      float32 `json:"norm_eps"`
	QKNorm   bool    `json:"qk_norm"`
	Caption  int     `json:"cap_feat_dim"`
	SigLIP   *int    `json:"siglip_feat_dim"`
	Theta    float64 `json:"rope_theta"`
	Scale    float64 `json:"t_scale"`
	Axes     []int   `json:"axes_dims"`
	Lengths  []int   `json:"axes_lens"`

	patch, head, cond, inner int
	velocity                 bool
	scaled                   func(x, scale *engine.Node) *engine.Node
}

func parseZImage(config []byte) (zImageConfig, error) {
	c := zImageConfig{
		Patches: []int{2}, FPatches: []int{1}, In: 16, Dim: 3840, Layers: 30, Refiners: 2, Heads: 30, Eps: 1e-5, QKNorm: true, Caption: 2560,
		Theta: 256, Scale: 1000, Axes: []int{32, 48, 48}, Lengths: []int{1024, 512, 512},
	}
	const component = "ZImageTransformer2DModel"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.within("length of all_patch_size", len(c.Patches), 1, 1)
	k.within("length of all_f_patch_size", len(c.FPatches), 1, 1)
	k.width("in_channels", c.In)
	k.width("dim", c.Dim)
	k.within("n_layers", c.Layers, 1, maxLayers)
	k.within("n_refiner_layers", c.Refiners, 0, maxLayers)
	k.divides("n_heads", c.Heads, c.Dim)
	k.width("cap_feat_dim", c.Caption)
	k.within("length of axes_lens", len(c.Lengths), 3, 3)
	if c.SigLIP != nil {
		k.fail("siglip_feat_dim", "is %d: reference pictures are not supported", *c.SigLIP)
	}
	if !(c.Theta > 1 && c.Theta < 1e12) {
		k.fail("rope_theta", "is %v", c.Theta)
	}
	if k.err != nil {
		return c, k.err
	}
	k.within("all_patch_size", c.Patches[0], 1, 64)
	k.within("all_f_patch_size", c.FPatches[0], 1, 1)
	c.patch, c.head, c.cond, c.inner = c.Patches[0], c.Dim/c.Heads, min(c.Dim, 256), int(float64(c.Dim)/3*8)
	k.axes("axes_dims", c.Axes, 3, c.head)
	return c, k.err
}

// ZImageMultiple is what the text's and the pixels' tokens are padded to
// multiples of.
const ZImageMultiple = 32

// ZImageOption changes what [ZImage] computes.
type ZImageOption func(*zImageConfig)

// Velocity gives what a flow's sampler takes, the output negated.
func Velocity() ZImageOption { return func(c *zImageConfig) { c.velocity = true } }

// ZImage is the single-stream transformer of Z-Image, Tongyi 2025, from the
// config of diffusers' ZImageTransformer2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), "timestep_embedding" (batch,
// 256) from [TimestepEmbedding] of t_scale times one minus the flow's time,
// cosines first and no shift; "context" (batch, text, cap_feat_dim), text a
// multiple of [ZImageMultiple], and "mask" (batch, text) f32, 0 for what was
// added to make it one: no more than that, for all tokens are attended to.
// Output: "sample" (batch, h, w, in_channels), the negated velocity.
func ZImage(config []byte, batch, h, w, text int, options ...ZImageOption) (*engine.Graph, error) {
	c, err := parseZImage(config)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		option(&c)
	}
	k := checker{component: "ZImageTransformer2DModel"}
	if k.patches(c.patch, h, w); k.err == nil {
		k.divides("tokens of the text: 32", ZImageMultiple, text)
		for i, last := range []int{text + 1, h/c.patch - 1, w/c.patch - 1} { // the greatest coordinates
			k.within("place for axes_lens:", last, 0, c.Lengths[i]-1)
		}
	}
	if k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		c.scaled = scaling(g, batch, c.Dim)
		rows, cols, name := h/c.patch, w/c.patch, path("all_x_embedder").Sub(zImageKey(c.patch))
		pad := (ZImageMultiple - rows*cols%ZImageMultiple) % ZImageMultiple
		x := linear(g, name, zPatches(g.Input("sample", engine.F32, batch, h, w, c.In), c.patch), c.Dim)
		places := gridPlaces(rows, cols, float64(text+1))
		if pad > 0 {
			token := engine.Reshape(g.Weight("x_pad_token", 1, c.Dim), 1, 1, c.Dim)
			more := make([]*engine.Node, pad)
			for i := range more {
				more[i] = token
				places = append(places, []float64{0, 0, 0})
			}
			x = engine.Concat(1, x, repeatBatch(engine.Concat(1, more...), batch))
		}
		spoken := make([][]float64, text)
		for i := range spoken {
			spoken[i] = []float64{float64(1 + i), 0, 0}
		}
		temb := timestepEmbedder(g, "t_embedder.mlp", g.Input("timestep_embedding", engine.F32, batch, 256), 1024, c.cond)
		turn := func(places ...[]float64) rotary { return rotaryTable(g, places, c.Theta, c.Axes, true) }
		pixels, words, all := turn(places...), turn(spoken...), turn(slices.Concat(places, spoken)...)
		for i := range c.Refiners {
			x = c.block(g, path("noise_refiner").Sub(i), x, temb, pixels)
		}
		context := c.caption(g, batch, text)
		for i := range c.Refiners {
			context = c.block(g, path("context_refiner").Sub(i), context, nil, words)
		}
		x = engine.Concat(1, x, context)
		for i := range c.Layers {
			x = c.block(g, path("layers").Sub(i), x, temb, all)
		}
		last := path("all_final_layer").Sub(zImageKey(c.patch))
		scale := engine.Reshape(linear(g, last.Sub("adaLN_modulation", 1), engine.SiLU(temb), c.Dim), batch, 1, c.Dim)
		x = c.scaled(plainNorm(g, engine.Slice(x, 1, 0, rows*cols), ditEps), scale)
		x = unpatch(linear(g, last.Sub("linear"), x, c.patch*c.patch*c.In), rows, cols, c.patch, c.In)
		if c.velocity {
			x = engine.Affine(x, -1, 0)
		}
		g.Output("sample", x)
	})
}

// zImageKey names the layers of a patch size.
func zImageKey(patch int) string { return string(path("").Sub(patch)) + "-1" }

// zPatches cuts x (n,h,w,c) into tokens of a patch each, channels last in it.
func zPatches(x *engine.Node, patch int) *engine.Node {
	n, rows, cols, c := x.Shape[0], x.Shape[1]/patch, x.Shape[2]/patch, x.Shape[3]
	x = engine.Permute(engine.Reshape(x, n, rows, patch, cols, patch, c), 0, 1, 3, 2, 4, 5)
	return engine.Reshape(x, n, rows*cols, patch*patch*c)
}

// timestepEmbedder is two linear layers around SiLU, as a torch Sequential
// numbers them.
func timestepEmbedder(g *engine.Graph, p path, x *engine.Node, inner, out int) *engine.Node {
	return linear(g, p.Sub(2), engine.SiLU(linear(g, p.Sub(0), x, inner)), out)
}

// caption is the embedded text, a learned token where it is padded.
func (c zImageConfig) caption(g *engine.Graph, batch, text int) *engine.Node {
	x := rmsNorm(g, "cap_embedder.0", g.Input("context", engine.F32, batch, text, c.Caption), c.Eps)
	x = linear(g, "cap_embedder.1", x, c.Dim)
	mask := engine.Reshape(g.Input("mask", engine.F32, batch, text), batch, text, 1)
	return engine.Add(engine.Mul(x, mask), engine.Mul(engine.Affine(mask, -1, 1), g.Weight("cap_pad_token", 1, c.Dim)))
}

// block is diffusers' ZImageTransformerBlock, modulated where temb is given.
func (c zImageConfig) block(g *engine.Graph, p path, x, temb *engine.Node, turn rotary) *engine.Node {
	var m []*engine.Node // scale and gate, twice
	if temb != nil {
		m = chunks(linear(g, p.Sub("adaLN_modulation", 0), temb, 4*c.Dim), 4)
	}
	before := func(norm string, x *engine.Node, scale int) *engine.Node {
		h := rmsNorm(g, p.Sub(norm), x, c.Eps)
		if m != nil {
			h = c.scaled(h, m[scale])
		}
		return h
	}
	after := func(norm string, x, h *engine.Node, gate int) *engine.Node {
		h = rmsNorm(g, p.Sub(norm), h, c.Eps)
		if m != nil {
			h = engine.Mul(h, engine.Tanh(m[gate]))
		}
		return engine.Add(h, x)
	}
	h, a := before("attention_norm1", x, 0), p.Sub("attention")
	head := func(name, norm string) *engine.Node {
		y := linearNoBias(g, a.Sub(name), h, c.Dim)
		if c.QKNorm {
			y = headNorm(g, a.Sub(norm), y, c.Heads, 1e-5)
		}
		return turn.apply(y, c.Heads)
	}
	h = attend(head("to_q", "norm_q"), head("to_k", "norm_k"), linearNoBias(g, a.Sub("to_v"), h, c.Dim), c.Heads, false)
	x = after("attention_norm2", x, linearNoBias(g, a.Sub("to_out", 0), h, c.Dim), 1)
	h = swiGLU(g, p.Sub("feed_forward"), before("ffn_norm1", x, 2), "w1", "w3", "w2", c.inner)
	return after("ffn_norm2", x, h, 3)
}
