package model

import (
	"errors"
	"fmt"

	"wisp/engine"
)

// ImagePromptFacts are what a pipeline must know of an IP-Adapter.
type ImagePromptFacts struct {
	States bool // it reads the image encoder's states, else what that says of the whole picture
	Width  int  // of what it reads
	Tokens int  // that a picture becomes, of as many that it reads where it reads 0 else

	form          string
	inner, hidden int // of the resampler
	layers        int
}

// ReadImagePrompt tells an IP-Adapter by the shapes of its weights, and whether
// it is for the UNet: the first form, plus and full face are known.
func ReadImagePrompt(unet []byte, shapes map[string][]int) (ImagePromptFacts, error) {
	c, err := parseUNet(unet)
	if err != nil {
		return ImagePromptFacts{}, err
	}
	f := ImagePromptFacts{}
	context, dim := c.Context.at(0), func(name string, i int) int {
		if s := shapes["image_proj."+name]; i < len(s) {
			return s[i]
		}
		return 0
	}
	has := func(name string) bool { return shapes["image_proj."+name] != nil }
	switch {
	case has("proj.weight"):
		f.form, f.Width, f.Tokens = "plain", dim("proj.weight", 1), dim("proj.weight", 0)/context
	case has("proj.3.weight"):
		f = ImagePromptFacts{form: "full", States: true, Width: dim("proj.0.weight", 1)}
	case has("latents"):
		f = ImagePromptFacts{form: "plus", States: true, Width: dim("proj_in.weight", 1), Tokens: dim("latents", 1),
			hidden: dim("latents", 2), inner: dim("layers.0.0.to_q.weight", 0)}
		for has(fmt.Sprintf("layers.%d.0.to_q.weight", f.layers)) {
			f.layers++
		}
		if f.inner == 0 || f.inner%headDim != 0 || f.hidden == 0 || f.layers > maxLayers {
			return f, fmt.Errorf("%w: the IP-Adapter's resampler has heads of other than %d numbers", ErrConfig, headDim)
		}
	default:
		return f, fmt.Errorf("%w: no image_proj.proj.weight, image_proj.proj.3.weight or image_proj.latents: it is no IP-Adapter that is known", ErrConfig)
	}
	if f.Width < 1 || f.form != "full" && f.Tokens < 1 {
		return f, fmt.Errorf("%w: the IP-Adapter's projection is %v", ErrConfig, shapes["image_proj.proj.weight"])
	}
	for i, a := range c.crossAttentions() {
		name := fmt.Sprintf("ip_adapter.%d.to_k_ip.weight", 2*i+1)
		if s := shapes[name]; len(s) != 2 || s[0] != a.width || s[1] != context {
			return f, fmt.Errorf("%w: the IP-Adapter is for another family of models: %s is %v, the model wants [%d %d]", ErrConfig, name, s, a.width, context)
		}
	}
	return f, nil
}

// headDim is the width of a head of the resampler.
const headDim = 64

// crossAttention is a layer that reads the text.
type crossAttentionPlace struct {
	path  path
	width int
}

// crossAttentions are in the order in which diffusers numbers them.
func (c *unetConfig) crossAttentions() (list []crossAttentionPlace) {
	add := func(p path, layers, width int) {
		for l := range layers {
			list = append(list, crossAttentionPlace{p.Sub("transformer_blocks", l, "attn2"), width})
		}
	}
	for i, width := range c.Channels {
		for j := range c.Layers.at(i) {
			if c.DownTypes[i] == "CrossAttnDownBlock2D" {
				add(path("down_blocks").Sub(i, "attentions", j), c.Transformers.at(i).at(j), width)
			}
		}
	}
	last := len(c.Channels) - 1
	for i := range c.Channels {
		for j := range c.Layers.at(last-i) + 1 {
			if c.UpTypes[i] == "CrossAttnUpBlock2D" {
				add(path("up_blocks").Sub(i, "attentions", j), c.TransformersUp.at(i).at(j), c.Channels[last-i])
			}
		}
	}
	if c.MidType != nil && *c.MidType == "UNetMidBlock2DCrossAttn" {
		add("mid_block.attentions.0", c.Transformers.at(last).at(0), c.Channels[last])
	}
	return list
}

// ImagePrompt is an IP-Adapter, Ye et al. 2023, for one picture: what
// diffusers' image projection and to_k_ip and to_v_ip of its attention
// processors compute, from the UNet's config and the file's own names.
//
// Input "image" (1, Width) or, of states, (1, tokens, Width); outputs are the
// inputs of a UNet built [WithImagePrompt].
func ImagePrompt(unet []byte, f ImagePromptFacts, tokens int) (*engine.Graph, error) {
	c, err := parseUNet(unet)
	if err != nil {
		return nil, err
	}
	if f.form == "" {
		return nil, errors.New("model: no IP-Adapter was read")
	}
	return engine.Build(func(g *engine.Graph) {
		x := f.project(g, tokens, c.Context.at(0))
		for i, a := range c.crossAttentions() {
			p := path("ip_adapter").Sub(2*i + 1)
			g.Output(promptName(a.path, "k"), linearNoBias(g, p.Sub("to_k_ip"), x, a.width))
			g.Output(promptName(a.path, "v"), linearNoBias(g, p.Sub("to_v_ip"), x, a.width))
		}
	})
}

// promptName is what a UNet's layer takes of a picture.
func promptName(p path, what string) string { return "image." + string(p) + "." + what }

// project makes a picture the tokens (1, ·, context).
func (f ImagePromptFacts) project(g *engine.Graph, tokens, context int) *engine.Node {
	p := path("image_proj")
	if !f.States {
		x := linear(g, p.Sub("proj"), g.Input("image", engine.F32, 1, f.Width), f.Tokens*context)
		return layerNorm(g, p.Sub("norm"), engine.Reshape(x, 1, f.Tokens, context), 1e-5)
	}
	x := g.Input("image", engine.F32, 1, tokens, f.Width)
	if f.form == "full" {
		x = engine.GELU(linear(g, p.Sub("proj", 0), x, f.Width))
		return layerNorm(g, p.Sub("proj", 3), linear(g, p.Sub("proj", 2), x, context), 1e-5)
	}
	x = linear(g, p.Sub("proj_in"), x, f.hidden)
	latents := p.weight(g, "latents", 1, f.Tokens, f.hidden)
	for i := range f.layers {
		latents = f.resample(g, p.Sub("layers", i), x, latents)
	}
	return layerNorm(g, p.Sub("norm_out"), linear(g, p.Sub("proj_out"), latents, context), 1e-5)
}

// resample is a layer of the resampler: latents attend to the picture and
// themselves (Alayrac et al. 2022, "Flamingo").
func (f ImagePromptFacts) resample(g *engine.Graph, p path, x, latents *engine.Node) *engine.Node {
	a, ff := p.Sub(0), p.Sub(1)
	h := layerNorm(g, a.Sub("norm2"), latents, 1e-5)
	kv := linearNoBias(g, a.Sub("to_kv"), engine.Concat(1, layerNorm(g, a.Sub("norm1"), x, 1e-5), h), 2*f.inner)
	k, v := engine.Slice(kv, -1, 0, f.inner), engine.Slice(kv, -1, f.inner, 2*f.inner)
	h = attend(linearNoBias(g, a.Sub("to_q"), h, f.inner), k, v, f.inner/headDim, false)
	latents = engine.Add(linearNoBias(g, a.Sub("to_out"), h, f.hidden), latents)
	h = linearNoBias(g, ff.Sub(1), layerNorm(g, ff.Sub(0), latents, 1e-5), 4*f.hidden)
	return engine.Add(linearNoBias(g, ff.Sub(3), engine.GELU(h), f.hidden), latents)
}

// WithImagePrompt has the layers that read the text read so many tokens of
// pictures, too: the inputs "image.LAYER.k" and "image.LAYER.v" (batch, tokens,
// width), of which the values are scaled by the pictures' strength.
func WithImagePrompt(tokens int) UNetOption { return func(u *unet) { u.image = tokens } }

// cross is the attention to the text, and to pictures where there are any.
func (u *unet) cross(p path, x *engine.Node, heads int) *engine.Node {
	if u.image == 0 {
		return crossAttention(u.g, p, x, u.context, heads, u.readWords)
	}
	g, d := u.g, x.Shape[2]
	q := linearNoBias(g, p.Sub("to_q"), x, d)
	k, v := linearNoBias(g, p.Sub("to_k"), u.context, d), linearNoBias(g, p.Sub("to_v"), u.context, d)
	given := func(what string) *engine.Node {
		return g.Input(promptName(p, what), engine.F32, x.Shape[0], u.image, d)
	}
	h := engine.Add(u.readWords(q, k, v, heads), attend(q, given("k"), given("v"), heads, false))
	return linear(g, p.Sub("to_out", 0), h, d)
}
