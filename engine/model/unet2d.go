package model

import (
	"math"
	"strings"

	"wisp/engine"
)

// unet2dConfig is diffusers' UNet2DModel configuration, with its defaults.
type unet2dConfig struct {
	In             int      `json:"in_channels"`
	Out            int      `json:"out_channels"`
	Center         bool     `json:"center_input_sample"`
	TimeType       string   `json:"time_embedding_type"`
	TimeDim        *int     `json:"time_embedding_dim"`
	DownTypes      []string `json:"down_block_types"`
	MidType        *string  `json:"mid_block_type"`
	UpTypes        []string `json:"up_block_types"`
	Channels       []int    `json:"block_out_channels"`
	Layers         int      `json:"layers_per_block"`
	MidScale       float32  `json:"mid_block_scale_factor"`
	DownPadding    int      `json:"downsample_padding"`
	DownKind       *string  `json:"downsample_type"`
	UpKind         *string  `json:"upsample_type"`
	Act            string   `json:"act_fn"`
	HeadDim        *int     `json:"attention_head_dim"`
	Groups         *int     `json:"norm_num_groups"`
	AttnGroups     *int     `json:"attn_norm_num_groups"`
	Eps            float32  `json:"norm_eps"`
	TimeScaleShift string   `json:"resnet_time_scale_shift"`
	MidAttention   bool     `json:"add_attention"`
	ClassType      *string  `json:"class_embed_type"`
	Classes        *int     `json:"num_class_embeds"`
	TrainSteps     *int     `json:"num_train_timesteps"`

	skip bool // has blocks that carry the picture along
}

func parseUNet2D(config []byte) (unet2dConfig, error) {
	mid, conv, head, groups := "UNetMidBlock2D", "conv", 8, 32
	c := unet2dConfig{
		In: 3, Out: 3, TimeType: "positional", MidType: &mid, DownKind: &conv, UpKind: &conv, HeadDim: &head, Groups: &groups,
		DownTypes: []string{"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"},
		UpTypes:   []string{"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"},
		Channels:  []int{224, 448, 672, 896}, Layers: 2, MidScale: 1, DownPadding: 1, Act: "silu", Eps: 1e-5,
		TimeScaleShift: "default", MidAttention: true,
	}
	const component = "UNet2DModel"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	c.check(&k)
	return c, k.err
}

func (c *unet2dConfig) check(k *checker) {
	n := len(c.Channels)
	k.width("in_channels", c.In)
	k.width("out_channels", c.Out)
	k.widths("block_out_channels", c.Channels)
	k.within("length of down_block_types", len(c.DownTypes), n, n)
	k.within("length of up_block_types", len(c.UpTypes), n, n)
	k.within("layers_per_block", c.Layers, 1, maxLayers)
	k.within("downsample_padding", c.DownPadding, 0, 1)
	k.one("time_embedding_type", c.TimeType, "positional", "fourier", "learned")
	k.one("act_fn", c.Act, "silu", "swish", "relu", "gelu")
	k.one("resnet_time_scale_shift", c.TimeScaleShift, "default", "scale_shift")
	k.optionalWidth("time_embedding_dim", c.TimeDim)
	k.optionalWidth("attention_head_dim", c.HeadDim)
	for field, kind := range map[string]*string{"downsample_type": c.DownKind, "upsample_type": c.UpKind} {
		if kind != nil {
			k.one(field, *kind, "conv", "resnet")
		}
	}
	if c.MidType != nil {
		k.one("mid_block_type", *c.MidType, "UNetMidBlock2D")
	}
	if c.MidScale == 0 {
		k.fail("mid_block_scale_factor", "is 0")
	}
	if c.ClassType != nil {
		k.one("class_embed_type", *c.ClassType, "timestep", "identity")
		if c.TimeType != "positional" && *c.ClassType == "timestep" {
			k.fail("class_embed_type", "is timestep, which is not supported with time_embedding_type %s", c.TimeType)
		}
	}
	for field, count := range map[string]*int{"num_class_embeds": c.Classes, "num_train_timesteps": c.TrainSteps} {
		if count != nil {
			k.within(field, *count, 1, 1<<20)
		}
	}
	if c.TimeType == "learned" && c.TrainSteps == nil {
		k.fail("num_train_timesteps", "is missing")
	}
	if k.err == nil {
		c.checkBlocks(k)
	}
}

func (c *unet2dConfig) checkBlocks(k *checker) {
	for i, channels := range c.Channels {
		k.one("down_block_types", c.DownTypes[i], "DownBlock2D", "AttnDownBlock2D", "SkipDownBlock2D", "AttnSkipDownBlock2D", "ResnetDownsampleBlock2D")
		k.one("up_block_types", c.UpTypes[i], "UpBlock2D", "AttnUpBlock2D", "SkipUpBlock2D", "AttnSkipUpBlock2D", "ResnetUpsampleBlock2D")
		k.divides("attention_head_dim", c.headDim(channels), channels)
		for _, t := range []string{c.DownTypes[i], c.UpTypes[len(c.Channels)-1-i]} {
			if strings.Contains(t, "Skip") {
				c.skip = true
				k.within("block_out_channels of "+t, channels, 4, maxWidth)
				if strings.HasPrefix(t, "Attn") {
					k.divides("32 groups of "+t+": 32", 32, channels)
				}
			} else if c.Groups == nil {
				k.fail("norm_num_groups", "is null, which %s does not take", t)
			} else {
				k.divides("norm_num_groups", *c.Groups, channels)
			}
		}
	}
	if c.AttnGroups != nil {
		k.divides("attn_norm_num_groups", *c.AttnGroups, c.Channels[len(c.Channels)-1])
	}
	if c.skip {
		k.within("in_channels for Skip blocks:", c.In, 3, 3)
		k.within("out_channels for Skip blocks:", c.Out, 3, 3)
	}
	first, last := c.Channels[0], c.Channels[len(c.Channels)-1]
	k.divides("norm_num_groups", c.groups(first), first)
	k.divides("norm_num_groups", c.groups(last), last)
}

// headDim is the size of a head of attention over so many channels.
func (c unet2dConfig) headDim(channels int) int {
	if c.HeadDim == nil {
		return channels
	}
	return *c.HeadDim
}

// groups are those of a norm outside the blocks.
func (c unet2dConfig) groups(channels int) int {
	if c.Groups == nil {
		return fewGroups(channels)
	}
	return *c.Groups
}

// fewGroups are those of a norm that follows its width.
func fewGroups(channels int) int { return min(channels/4, 32) }

// UNet2D is the denoiser of unconditional and class-conditional pictures: DDPM,
// improved DDPM, NCSN++ and consistency models, from the config of diffusers'
// UNet2DModel.
//
// Inputs: "sample" (batch, h, w, in_channels), h and w multiples of
// 2^(blocks − 1). The time is, by time_embedding_type, "timestep_embedding"
// (batch, block_out_channels[0]) from [TimestepEmbedding]; or for "fourier"
// (batch, 2·block_out_channels[0]) from [FourierEmbedding] of the weight
// time_proj.weight, beside "reciprocal" (batch), one over the time; or for
// "learned" "timestep" (batch) i32. The class, where there is one, is
// "class_labels" (batch) i32 with num_class_embeds, else "class_embedding"
// (batch, ·): as wide as the timestep's embedding for class_embed_type
// "timestep", whose label is embedded as a timestep is, as wide as the time's
// for "identity".
// Output: "sample" (batch, h, w, out_channels).
func UNet2D(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseUNet2D(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "UNet2DModel"}
	if scale := 1 << (len(c.Channels) - 1); h < 1 || w < 1 || h%scale != 0 || w%scale != 0 {
		k.fail("block_out_channels", "halve %d×%d pixels %d times, which leaves a rest", h, w, len(c.Channels)-1)
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		u := &unet2d{g: g, c: c}
		u.resnet = resnetConfig{groups: c.groups(c.Channels[0]), eps: c.Eps, act: activations[c.Act], outScale: 1, scaleShift: c.TimeScaleShift == "scale_shift"}
		g.Output("sample", u.forward(batch, h, w))
	})
}

// FourierEmbedding embeds times by random frequencies, Song et al. 2021: for
// each, the sines, then the cosines of 2π·ln(t)·weight. The result is
// (len(t), 2·len(weight)).
func FourierEmbedding(t, weight []float32) []float32 {
	out := make([]float32, 0, 2*len(t)*len(weight))
	for _, t := range t {
		log := float32(math.Log(float64(t)))
		for _, f := range []func(float64) float64{math.Sin, math.Cos} {
			for _, w := range weight {
				out = append(out, float32(f(float64(log*w*2*math.Pi))))
			}
		}
	}
	return out
}

// unet2d holds what the blocks share.
type unet2d struct {
	g       *engine.Graph
	c       unet2dConfig
	resnet  resnetConfig
	temb    *engine.Node   // (b, d) after its activation
	skips   []*engine.Node // of the way down, the next to be used last
	picture *engine.Node   // that Skip blocks carry along; nil for none
}

func (u *unet2d) forward(batch, h, w int) *engine.Node {
	g, c := u.g, u.c
	x := g.Input("sample", engine.F32, batch, h, w, c.In)
	u.temb = engine.Activation(u.resnet.act, u.embedding(batch))
	if c.Center {
		x = engine.Affine(x, 2, -1)
	}
	u.picture = x
	x = conv(g, "conv_in", x, c.Channels[0], 3)
	u.skips = []*engine.Node{x}
	for i := range c.Channels {
		x = u.down(i, x)
	}
	if c.MidType != nil {
		x = u.mid(x)
	}
	u.picture = nil
	for i := range c.Channels {
		x = u.up(i, x)
	}
	x = engine.SiLU(groupNorm(g, "conv_norm_out", x, c.groups(c.Channels[0]), c.Eps))
	x = conv(g, "conv_out", x, c.Out, 3)
	if u.picture != nil {
		x = engine.Add(x, u.picture)
	}
	if c.TimeType == "fourier" {
		x = engine.Mul(x, engine.Reshape(g.Input("reciprocal", engine.F32, batch), batch, 1, 1, 1))
	}
	return x
}

// embedding is the embedded time and class, (b, time_embedding_dim).
func (u *unet2d) embedding(batch int) *engine.Node {
	g, c, width := u.g, u.c, u.c.Channels[0]
	dim := 4 * width
	if c.TimeDim != nil {
		dim = *c.TimeDim
	}
	var x *engine.Node
	switch c.TimeType {
	case "learned":
		x = engine.Embedding(g.Weight("time_proj.weight", *c.TrainSteps, width), g.Input("timestep", engine.I32, batch))
	case "fourier":
		width *= 2
		fallthrough
	default:
		x = g.Input("timestep_embedding", engine.F32, batch, width)
	}
	emb := timestepMLP(g, "time_embedding", x, engine.OpSiLU, dim)
	switch {
	case c.ClassType != nil && *c.ClassType == "timestep":
		emb = engine.Add(emb, timestepMLP(g, "class_embedding", g.Input("class_embedding", engine.F32, batch, width), engine.OpSiLU, dim))
	case c.ClassType != nil: // identity
		emb = engine.Add(emb, g.Input("class_embedding", engine.F32, batch, dim))
	case c.Classes != nil:
		emb = engine.Add(emb, engine.Embedding(g.Weight("class_embedding.weight", *c.Classes, dim), g.Input("class_labels", engine.I32, batch)))
	}
	return emb
}

// attention is an Attn block's, over pixels.
func (u *unet2d) attention(p path, x *engine.Node, groups int, outScale float32) *engine.Node {
	c := x.Shape[3]
	x = imageAttention(u.g, p, x, c/u.c.headDim(c), groups, u.c.Eps)
	if outScale != 1 {
		x = engine.Affine(x, 1/outScale, 0)
	}
	return x
}

// block is resnet's part of a block of in channels: Skip blocks have norms by
// width and divide their sums by √2.
func (u *unet2d) block(kind string, in, out int) resnetConfig {
	r := u.resnet
	if strings.Contains(kind, "Skip") {
		r.groups, r.groupsOut, r.outScale = fewGroups(in), fewGroups(out), math.Sqrt2
	}
	return r
}

func (u *unet2d) down(i int, x *engine.Node) *engine.Node {
	g, c, p, kind, width := u.g, u.c, path("down_blocks").Sub(i), u.c.DownTypes[i], u.c.Channels[i]
	skip := strings.Contains(kind, "Skip")
	for j := range c.Layers {
		r := u.block(kind, x.Shape[3], width)
		x = resnetBlock(g, p.Sub("resnets", j), r, x, u.temb, width)
		if strings.HasPrefix(kind, "Attn") {
			x = u.attention(p.Sub("attentions", j), x, attnGroups(skip, r), r.outScale)
		}
		u.skips = append(u.skips, x)
	}
	if i == len(c.Channels)-1 {
		return x
	}
	r := u.block(kind, width, width)
	switch {
	case skip:
		r.resample, r.shortcut = func(x *engine.Node) *engine.Node { return firDownsample(g, x) }, true
		x = resnetBlock(g, p.Sub("resnet_down"), r, x, u.temb, width)
		u.picture = firDownsample(g, u.picture)
		x = engine.Add(conv(g, p.Sub("skip_conv"), u.picture, width, 1), x)
	case kind == "ResnetDownsampleBlock2D" || kind == "AttnDownBlock2D" && c.DownKind != nil && *c.DownKind == "resnet":
		r.resample = func(x *engine.Node) *engine.Node { return average(g, x) }
		x = resnetBlock(g, p.Sub("downsamplers", 0), r, x, u.temb, width)
	default:
		x = downsample(g, p.Sub("downsamplers", 0), x, c.DownPadding)
	}
	u.skips = append(u.skips, x)
	return x
}

// attnGroups are those of the norm before an Attn block's attention.
func attnGroups(skip bool, r resnetConfig) int {
	if skip {
		return 32
	}
	return r.groups
}

func (u *unet2d) mid(x *engine.Node) *engine.Node {
	g, c, p, width := u.g, u.c, path("mid_block"), x.Shape[3]
	r := u.resnet
	r.groups, r.outScale = c.groups(width), c.MidScale
	x = resnetBlock(g, p.Sub("resnets", 0), r, x, u.temb, width)
	if c.MidAttention {
		groups := r.groups
		switch {
		case c.AttnGroups != nil:
			groups = *c.AttnGroups
		case c.TimeScaleShift != "default": // as diffusers has it: no norm
			groups = 0
		}
		x = u.attention(p.Sub("attentions", 0), x, groups, r.outScale)
	}
	return resnetBlock(g, p.Sub("resnets", 1), r, x, u.temb, width)
}

func (u *unet2d) up(i int, x *engine.Node) *engine.Node {
	g, c, p, kind := u.g, u.c, path("up_blocks").Sub(i), u.c.UpTypes[i]
	level := len(c.Channels) - 1 - i
	width, skip := c.Channels[level], strings.Contains(kind, "Skip")
	for j := range c.Layers + 1 {
		last := len(u.skips) - 1
		before, beside := x.Shape[3], u.skips[last].Shape[3]
		x = engine.Concat(-1, x, u.skips[last])
		u.skips = u.skips[:last]
		r := u.block(kind, x.Shape[3], width)
		if kind == "AttnSkipUpBlock2D" { // a slip of precedence there, which checkpoints were trained with
			r.groups = min(before+beside/4, 32)
		}
		x = resnetBlock(g, p.Sub("resnets", j), r, x, u.temb, width)
		if kind == "AttnUpBlock2D" {
			x = u.attention(p.Sub("attentions", j), x, attnGroups(skip, r), r.outScale)
		}
	}
	if kind == "AttnSkipUpBlock2D" {
		x = u.attention(p.Sub("attentions", 0), x, 32, math.Sqrt2)
	}
	if skip {
		return u.upSkip(p, kind, x, level > 0)
	}
	if level == 0 {
		return x
	}
	r := u.block(kind, width, width)
	if kind == "ResnetUpsampleBlock2D" || kind == "AttnUpBlock2D" && c.UpKind != nil && *c.UpKind == "resnet" {
		r.resample = double
		return resnetBlock(g, p.Sub("upsamplers", 0), r, x, u.temb, width)
	}
	return upsample(g, p.Sub("upsamplers", 0), x, 2*x.Shape[1], 2*x.Shape[2])
}

// upSkip ends a Skip block of the way up: it adds to the picture, and doubles x.
func (u *unet2d) upSkip(p path, kind string, x *engine.Node, more bool) *engine.Node {
	g, width := u.g, x.Shape[3]
	if u.picture != nil {
		u.picture = firUpsample(g, u.picture)
	}
	if !more {
		return x
	}
	add := engine.SiLU(groupNorm(g, p.Sub("skip_norm"), x, fewGroups(width), u.c.Eps))
	add = conv(g, p.Sub("skip_conv"), add, 3, 3)
	if u.picture != nil {
		add = engine.Add(u.picture, add)
	}
	u.picture = add
	r := u.block(kind, width, width)
	r.resample, r.shortcut = func(x *engine.Node) *engine.Node { return firUpsample(g, x) }, true
	return resnetBlock(g, p.Sub("resnet_up"), r, x, u.temb, width)
}
