package model

import (
	"fmt"

	"wisp/engine"
)

// controlConfig is diffusers' ControlNetModel configuration, with its
// defaults: that of a UNet without a way up, and the condition's encoder.
type controlConfig struct {
	unetConfig
	Condition int    `json:"conditioning_channels"`
	Widths    []int  `json:"conditioning_embedding_out_channels"`
	Order     string `json:"controlnet_conditioning_channel_order"`
	Pooled    bool   `json:"global_pool_conditions"`
	union     unionConfig
}

func parseControlNet(config []byte) (controlConfig, error) {
	c := controlConfig{unetDefaults(), 3, []int{16, 32, 96, 256}, "rgb", false, unionDefaults()}
	if err := parse("ControlNetModel", config, &c.union); err != nil {
		return c, err
	}
	if c.union.is() {
		c.Widths = []int{48, 96, 192, 384}
	}
	heads := struct {
		Num perBlock[int] `json:"num_attention_heads"` // goes before attention_head_dim here
	}{}
	for _, v := range []any{&c, &heads} {
		if err := parse("ControlNetModel", config, v); err != nil {
			return c, err
		}
	}
	if heads.Num != nil {
		c.Heads = heads.Num
	}
	c.UpTypes = make([]string, len(c.Channels))
	for i := range c.UpTypes {
		c.UpTypes[i] = "UpBlock2D" // none is built
	}
	k := checker{component: "ControlNetModel"}
	c.check(&k)
	k.width("conditioning_channels", c.Condition)
	k.widths("conditioning_embedding_out_channels", c.Widths)
	k.one("controlnet_conditioning_channel_order", c.Order, "rgb", "bgr")
	if c.union.is() && k.err == nil {
		c.union.check(&k, c.Channels[0])
	}
	return c, k.err
}

// ControlFacts are what a pipeline must know of a ControlNetModel.
type ControlFacts struct {
	In        int  // channels of the latents
	Context   int  // width of the text states
	Embedding int  // width of the timestep embedding
	Added     int  // width of the "added_embedding" input; 0 without
	Condition int  // channels of the picture that steers
	Scale     int  // its pixels to a latent
	BGR       bool // its colours come blue first
	Modes     int  // kinds of pictures that a union takes, from 0; 0 for no union
	ModeTime  int  // width of the embedding of whether it is one
	Pooled    bool // each output counts by its mean over the pixels, and steers the prompt's row alone
}

// ReadControlNet reads the facts of a ControlNetModel's config, or of the
// UNet2DConditionModel's that it was made from, and whether [ControlNet] can
// build it.
func ReadControlNet(config []byte) (ControlFacts, error) {
	c, err := parseControlNet(config)
	if err != nil {
		return ControlFacts{}, err
	}
	f := ControlFacts{
		In: c.In, Context: c.Context.at(0), Embedding: c.Channels[0], Condition: c.Condition,
		Scale: 1 << (len(c.Widths) - 1), BGR: c.Order == "bgr", Pooled: c.Pooled,
	}
	if c.union.is() {
		f.Modes, f.ModeTime = c.union.Modes, c.union.Time
	}
	if c.ContextIn != nil {
		f.Context = *c.ContextIn
	}
	if c.Addition != nil && c.AdditionDim != nil {
		f.Added = *c.AdditionDim
	}
	return f, nil
}

// ControlNet is the network of Zhang et al. 2023 that steers a UNet by an
// image, from the config of diffusers' ControlNetModel.
//
// Inputs are those of [UNet2DCondition] and "condition" (batch, 8h, 8w,
// conditioning_channels) from 0 to 1 (8 for the usual four
// conditioning_embedding_out_channels), and "strength" (1), which scales every
// output. One of a union, diffusers' ControlNetUnionModel, also reads "mode"
// (batch, 1) i32, the kind of picture, and "mode_embedding" (batch,
// Modes·ModeTime), the TimestepEmbedding of 1 for that and 0 for all others.
// Outputs: "control.0", "control.1", ... and "control.mid", for a UNet
// built [WithControl].
func ControlNet(config []byte, batch, h, w, tokens int) (*engine.Graph, error) {
	c, err := parseControlNet(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		u := newUNet(g, c.unetConfig)
		if c.union.is() {
			u.modes = c.union.Modes * c.union.Time
		}
		x := conv(g, "conv_in", g.Input("sample", engine.F32, batch, h, w, c.In), c.Channels[0], 3)
		u.condition(batch, tokens)
		scale := 1 << (len(c.Widths) - 1)
		condition := g.Input("condition", engine.F32, batch, scale*h, scale*w, c.Condition)
		read := embedCondition(g, "controlnet_cond_embedding", c, condition)
		if c.union.is() {
			x = c.union.fuse(g, x, read)
		} else {
			x = engine.Add(x, read)
		}
		x = u.encode(x)

		strength := g.Input("strength", engine.F32, 1)
		output := func(name string, p path, x *engine.Node) {
			g.Output(name, engine.Mul(conv(g, p, x, x.Shape[3], 1), strength))
		}
		for i, skip := range u.skips {
			output(controlName(i), path("controlnet_down_blocks").Sub(i), skip)
		}
		output("control.mid", "controlnet_mid_block", x)
	})
}

// controlName names the residual added to skip i.
func controlName(i int) string { return fmt.Sprintf("control.%d", i) }

// embedCondition brings the condition to the size and width of conv_in's result.
func embedCondition(g *engine.Graph, p path, c controlConfig, x *engine.Node) *engine.Node {
	x = engine.SiLU(conv(g, p.Sub("conv_in"), x, c.Widths[0], 3))
	for i, width := range c.Widths[1:] {
		x = engine.SiLU(conv(g, p.Sub("blocks", 2*i), x, c.Widths[i], 3))
		x = engine.SiLU(convPadded(g, p.Sub("blocks", 2*i+1), x, width, 3, 2, samePad(3)))
	}
	return conv(g, p.Sub("conv_out"), x, c.Channels[0], 3)
}
