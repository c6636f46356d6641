package model

import (
	"wisp/engine"
)

// UNetOption changes what [UNet2DCondition] computes.
type UNetOption func(*unet)

// WithControl adds the outputs of a [ControlNet] as inputs of the same names.
func WithControl() UNetOption { return func(u *unet) { u.control = true } }

// UNet2DCondition is the denoiser of Stable Diffusion 1, 2 and XL, Rombach et
// al. 2022, from the config of diffusers' UNet2DConditionModel.
//
// Inputs: "sample" (batch, h, w, in_channels), "timestep_embedding" (batch,
// block_out_channels[0]) from [TimestepEmbedding], "context" (batch, tokens,
// cross_attention_dim). Where the config has time_cond_proj_dim, also
// "timestep_cond" (batch, time_cond_proj_dim), the guidance embedding of
// latent consistency models; all zero is the same as none. With
// addition_embed_type text_time, also "added_embedding" (batch,
// projection_class_embeddings_input_dim): the pooled text state followed by
// the TimestepEmbedding of each time id.
// A class is "class_labels" (batch) i32 with num_class_embeds alone, or
// "class_embedding" (batch, ·) with class_embed_type: embedded as the timestep
// is for "timestep", as wide as time_embedding_dim for "identity" and as
// projection_class_embeddings_input_dim for the projections.
// Output: "sample" (batch, h, w, out_channels). Any h and w will do.
func UNet2DCondition(config []byte, batch, h, w, tokens int, options ...UNetOption) (*engine.Graph, error) {
	c, err := parseUNet(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		u := newUNet(g, c)
		for _, option := range options {
			option(u)
		}
		g.Output("sample", u.forward(batch, h, w, tokens))
	})
}

// unet holds what the blocks of one UNet share.
type unet struct {
	g       *engine.Graph
	c       unetConfig
	image   int  // tokens of pictures
	kept    int  // the row that keeps the last one's attention, from 1; 0 for none
	adapter int  // outputs of a T2I-Adapter to add
	modes   int  // width of the embedding of a union's modes; 0 for none
	control bool // add a ControlNet's residuals
	reuse   reuse
	resnet  resnetConfig
	temb    *engine.Node   // (b, d) after its activation
	context *engine.Node   // (b, t, d)
	skips   []*engine.Node // of the way down, the next to be used last
}

func newUNet(g *engine.Graph, c unetConfig) *unet {
	return &unet{g: g, c: c, resnet: resnetConfig{
		groups: *c.Groups, eps: c.Eps, act: activations[c.Act], outScale: 1, scaleShift: c.TimeScaleShift == "scale_shift",
	}}
}

func (u *unet) forward(batch, h, w, tokens int) *engine.Node {
	g, c := u.g, u.c
	x := g.Input("sample", engine.F32, batch, h, w, c.In)
	u.condition(batch, tokens)
	if c.Center {
		x = engine.Affine(x, 2, -1)
	}
	x = u.encode(conv(g, "conv_in", x, c.Channels[0], c.ConvInKernel))
	u.reuse.left = c.skips()
	if u.control {
		for i, skip := range u.skips {
			u.skips[i] = engine.Add(skip, g.Input(controlName(i), engine.F32, skip.Shape...))
		}
		if !u.reuse.takes {
			x = engine.Add(x, g.Input("control.mid", engine.F32, x.Shape...))
		}
	}
	for i := range c.Channels {
		x = u.up(i, x)
	}
	x = engine.Activation(u.resnet.act, groupNorm(g, "conv_norm_out", x, *c.Groups, c.Eps))
	return conv(g, "conv_out", x, c.Out, c.ConvOutKernel)
}

// condition declares the inputs besides the sample.
func (u *unet) condition(batch, tokens int) {
	g, c := u.g, u.c
	embedding := g.Input("timestep_embedding", engine.F32, batch, c.Channels[0])
	if c.ContextIn == nil {
		u.context = g.Input("context", engine.F32, batch, tokens, c.Context.at(0))
	} else {
		raw := g.Input("context", engine.F32, batch, tokens, *c.ContextIn)
		u.context = linear(g, "encoder_hid_proj", raw, c.Context.at(0))
	}
	u.temb = engine.Activation(u.resnet.act, u.timeEmbedding(embedding))
}

// encode is the way down and the middle, keeping the skips.
func (u *unet) encode(x *engine.Node) *engine.Node {
	u.skips = []*engine.Node{x}
	for i := range u.c.Channels {
		x = u.down(i, x)
	}
	if u.c.MidType != nil && !u.reuse.takes {
		x = u.mid(x)
	}
	return u.adapted(len(u.c.Channels), x)
}

// timeEmbedding is the sum of the embedded timestep and of what else the
// config conditions on, (b, time_embedding_dim).
func (u *unet) timeEmbedding(x *engine.Node) *engine.Node {
	g, c, batch := u.g, u.c, x.Shape[0]
	dim := 4 * c.Channels[0]
	if c.TimeDim != nil {
		dim = *c.TimeDim
	}
	if c.TimeCondDim != nil {
		cond := g.Input("timestep_cond", engine.F32, batch, *c.TimeCondDim)
		x = engine.Add(x, linearNoBias(g, "time_embedding.cond_proj", cond, c.Channels[0]))
	}
	emb := timestepMLP(g, "time_embedding", x, u.resnet.act, dim)
	if class := u.class(batch, dim); class != nil {
		emb = engine.Add(emb, class)
	}
	if c.Addition != nil {
		added := g.Input("added_embedding", engine.F32, batch, *c.AdditionDim)
		emb = engine.Add(emb, timestepMLP(g, "add_embedding", added, engine.OpSiLU, dim))
	}
	if u.modes > 0 {
		modes := g.Input("mode_embedding", engine.F32, batch, u.modes)
		emb = engine.Add(emb, timestepMLP(g, "control_add_embedding", modes, engine.OpSiLU, dim))
	}
	return emb
}

// class is the embedded class, (b, dim), or nil.
func (u *unet) class(batch, dim int) *engine.Node {
	g, c, p := u.g, u.c, path("class_embedding")
	given := func(width int) *engine.Node { return g.Input("class_embedding", engine.F32, batch, width) }
	switch {
	case c.ClassType == nil && c.Classes == nil:
		return nil
	case c.ClassType == nil:
		return engine.Embedding(p.weight(g, "weight", *c.Classes, dim), g.Input("class_labels", engine.I32, batch))
	case *c.ClassType == "timestep":
		return timestepMLP(g, p, given(c.Channels[0]), u.resnet.act, dim)
	case *c.ClassType == "projection":
		return timestepMLP(g, p, given(*c.AdditionDim), engine.OpSiLU, dim)
	case *c.ClassType == "simple_projection":
		return linear(g, p, given(*c.AdditionDim), dim)
	}
	return given(dim) // identity
}

func (u *unet) down(i int, x *engine.Node) *engine.Node {
	g, c, p := u.g, u.c, path("down_blocks").Sub(i)
	for j := range c.Layers.at(i) {
		if u.enough() {
			return x
		}
		x = resnetBlock(g, p.Sub("resnets", j), u.resnet, x, u.temb, c.Channels[i])
		if c.DownTypes[i] == "CrossAttnDownBlock2D" {
			layers, only := c.Transformers.at(i).at(j), c.OnlyCross.at(i)
			x = u.transformer(p.Sub("attentions", j), x, c.Heads.at(i), layers, only)
			if j == c.Layers.at(i)-1 {
				x = u.adapted(i, x)
			}
		}
		u.skips = append(u.skips, x)
	}
	if i < len(c.Channels)-1 && !u.enough() {
		x = downsample(g, p.Sub("downsamplers", 0), x, c.DownPadding)
		u.skips = append(u.skips, x)
	}
	if c.DownTypes[i] != "CrossAttnDownBlock2D" { // diffusers adds in place
		x = u.adapted(i, x)
		u.skips[len(u.skips)-1] = x
	}
	return x
}

func (u *unet) mid(x *engine.Node) *engine.Node {
	g, c, p, last := u.g, u.c, path("mid_block"), len(u.c.Channels)-1
	resnet := u.resnet
	resnet.outScale = c.MidScale
	x = resnetBlock(g, p.Sub("resnets", 0), resnet, x, u.temb, c.Channels[last])
	if *c.MidType == "UNetMidBlock2D" { // as diffusers makes it here: one block, no attention
		return x
	}
	x = u.transformer(p.Sub("attentions", 0), x, c.Heads.at(last), c.Transformers.at(last).at(0), false)
	return resnetBlock(g, p.Sub("resnets", 1), resnet, x, u.temb, c.Channels[last])
}

func (u *unet) up(i int, x *engine.Node) *engine.Node {
	g, c, p := u.g, u.c, path("up_blocks").Sub(i)
	level := len(c.Channels) - 1 - i // of the way down that this block mirrors
	for j := range c.Layers.at(level) + 1 {
		if x = u.enter(x, level, j); u.before() {
			continue
		}
		x = engine.Concat(-1, x, u.popSkip())
		x = resnetBlock(g, p.Sub("resnets", j), u.resnet, x, u.temb, c.Channels[level])
		if c.UpTypes[i] == "CrossAttnUpBlock2D" {
			layers, only := c.TransformersUp.at(i).at(j), c.OnlyCross.at(level)
			x = u.transformer(p.Sub("attentions", j), x, c.Heads.at(level), layers, only)
		}
	}
	if level > 0 && !u.before() {
		skip := u.skips[len(u.skips)-1].Shape // twice the size, or one less where that was odd
		x = upsample(g, p.Sub("upsamplers", 0), x, skip[1], skip[2])
	}
	return x
}

func (u *unet) popSkip() *engine.Node {
	last := len(u.skips) - 1
	skip := u.skips[last]
	u.skips = u.skips[:last]
	return skip
}

// transformer is diffusers' Transformer2DModel over the pixels of x (n,h,w,c).
// Its norms have their own epsilons, whatever the config says.
func (u *unet) transformer(p path, x *engine.Node, heads, layers int, onlyCross bool) *engine.Node {
	g, c, groups := u.g, x.Shape[3], *u.c.Groups
	project := func(p path, x *engine.Node) *engine.Node { return conv(g, p, x, c, 1) }
	if u.c.LinearProj {
		project = func(p path, x *engine.Node) *engine.Node { return linear(g, p, x, c) }
	}
	h := tokens(project(p.Sub("proj_in"), groupNorm(g, p.Sub("norm"), x, groups, 1e-6)))
	for i := range layers {
		h = u.transformerBlock(p.Sub("transformer_blocks", i), h, heads, onlyCross)
	}
	h = engine.Reshape(h, x.Shape...)
	return engine.Add(project(p.Sub("proj_out"), h), x)
}

// transformerBlock is diffusers' BasicTransformerBlock on h (b, t, d).
func (u *unet) transformerBlock(p path, h *engine.Node, heads int, onlyCross bool) *engine.Node {
	g := u.g
	norm := func(name string) *engine.Node { return layerNorm(g, p.Sub(name), h, 1e-5) }
	x := norm("norm1")
	context := x
	if onlyCross {
		context = u.context
	}
	read := u.readPixels
	if onlyCross {
		read = u.readWords
	}
	h = engine.Add(crossAttention(g, p.Sub("attn1"), x, context, heads, read), h)
	h = engine.Add(u.cross(p.Sub("attn2"), norm("norm2"), heads), h)
	return engine.Add(feedForward(g, p.Sub("ff"), norm("norm3"), "geglu"), h)
}
