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
}

func parseControlNet(config []byte) (controlConfig, error) {
	c := controlConfig{unetDefaults(), 3, []int{16, 32, 96, 256}, "rgb", false}
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
	k.one("controlnet_conditioning_channel_order", c.Order, "rgb")
	if c.Pooled {
		k.fail("global_pool_conditions", "is true, which is not supported")
	}
	return c, k.err
}

// ControlNet is the network of Zhang et al. 2023 that steers a UNet by an
// image, from the config of diffusers' ControlNetModel.
//
// Inputs are those of [UNet2DCondition] and "condition" (batch, 8h, 8w,
// conditioning_channels) from 0 to 1 (8 for the usual four
// conditioning_embedding_out_channels), and "strength" (1), which scales every
// output. Outputs: "control.0", "control.1", ... and "control.mid", for a UNet
// built [WithControl].
func ControlNet(config []byte, batch, h, w, tokens int) (*engine.Graph, error) {
	c, err := parseControlNet(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		u := newUNet(g, c.unetConfig)
		x := conv(g, "conv_in", g.Input("sample", engine.F32, batch, h, w, c.In), c.Channels[0], 3)
		u.condition(batch, tokens)
		scale := 1 << (len(c.Widths) - 1)
		condition := g.Input("condition", engine.F32, batch, scale*h, scale*w, c.Condition)
		x = u.encode(engine.Add(x, embedCondition(g, "controlnet_cond_embedding", c, condition)))

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
