package model

import "wisp/engine"

// tinyConfig is diffusers' AutoencoderTiny configuration, with its defaults.
type tinyConfig struct {
	In             int    `json:"in_channels"`
	Out            int    `json:"out_channels"`
	EncoderWidths  []int  `json:"encoder_block_out_channels"`
	DecoderWidths  []int  `json:"decoder_block_out_channels"`
	Act            string `json:"act_fn"`
	UpsampleFn     string `json:"upsample_fn"`
	Latent         int    `json:"latent_channels"`
	UpsampleFactor int    `json:"upsampling_scaling_factor"`
	EncoderBlocks  []int  `json:"num_encoder_blocks"`
	DecoderBlocks  []int  `json:"num_decoder_blocks"`
	MidNorm        bool   `json:"use_midblock_gn"` // TAEF2's, which diffusers does not have: see tinyPool
}

func parseTiny(config []byte) (tinyConfig, error) {
	c := tinyConfig{
		In: 3, Out: 3, EncoderWidths: []int{64, 64, 64, 64}, DecoderWidths: []int{64, 64, 64, 64},
		Act: "relu", UpsampleFn: "nearest", Latent: 4, UpsampleFactor: 2,
		EncoderBlocks: []int{1, 3, 3, 3}, DecoderBlocks: []int{3, 3, 3, 1},
	}
	if err := parse("AutoencoderTiny", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "AutoencoderTiny"}
	k.width("in_channels", c.In)
	k.width("out_channels", c.Out)
	k.width("latent_channels", c.Latent)
	k.widths("encoder_block_out_channels", c.EncoderWidths)
	k.widths("decoder_block_out_channels", c.DecoderWidths)
	k.within("length of num_encoder_blocks", len(c.EncoderBlocks), len(c.EncoderWidths), len(c.EncoderWidths))
	k.within("length of num_decoder_blocks", len(c.DecoderBlocks), len(c.DecoderWidths), len(c.DecoderWidths))
	for _, n := range append(append([]int{}, c.EncoderBlocks...), c.DecoderBlocks...) {
		k.within("num_encoder_blocks or num_decoder_blocks", n, 0, maxLayers)
	}
	k.one("act_fn", c.Act, "relu", "silu", "swish", "gelu")
	k.one("upsample_fn", c.UpsampleFn, "nearest")
	k.within("upsampling_scaling_factor", c.UpsampleFactor, 1, 8)
	return c, k.err
}

// AutoencoderTinyDecoder is the decoder of TAESD, Bohan 2023, from the config
// of diffusers' AutoencoderTiny.
//
// Input "latents" (batch, h, w, latent_channels), already divided by
// scaling_factor; output "image" (batch, H, W, out_channels), about −1 to 1,
// unclamped. H is h times upsampling_scaling_factor for each stage but the last.
func AutoencoderTinyDecoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseTiny(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		p, layer := path("decoder.layers"), 0
		next := func() path { layer++; return p.Sub(layer - 1) }
		act := activations[c.Act]

		x := g.Input("latents", engine.F32, batch, h, w, c.Latent)
		x = engine.Affine(engine.Tanh(engine.Affine(x, 1./3, 0)), 3, 0)
		x = engine.Activation(act, conv(g, next(), x, c.DecoderWidths[0], 3))
		next() // the activation
		for i, width := range c.DecoderWidths {
			for range c.DecoderBlocks[i] {
				if i == 0 && c.MidNorm {
					x = tinyPool(g, p.Sub(layer), x)
				}
				x = tinyBlock(g, next(), x, act, width)
			}
			if i == len(c.DecoderWidths)-1 {
				x = conv(g, next(), x, c.Out, 3)
				break
			}
			next() // the upsampling
			x = engine.Upsample2D(x, c.UpsampleFactor*x.Shape[1], c.UpsampleFactor*x.Shape[2])
			x = convNoBias(g, next(), x, width, 1)
		}
		g.Output("image", engine.Affine(x, 2, -1))
	})
}

// AutoencoderTinyEncoder is the other half.
//
// Input "image" (batch, h, w, in_channels) from −1 to 1; output "latents",
// halved in size for each stage but the first, to be multiplied by
// scaling_factor.
func AutoencoderTinyEncoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseTiny(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		p, layer := path("encoder.layers"), 0
		next := func() path { layer++; return p.Sub(layer - 1) }

		x := engine.Affine(g.Input("image", engine.F32, batch, h, w, c.In), 0.5, 0.5)
		for i, width := range c.EncoderWidths {
			if i == 0 {
				x = conv(g, next(), x, width, 3)
			} else {
				x = convNoBias(g, next(), x, width, 2)
			}
			for range c.EncoderBlocks[i] {
				if i == len(c.EncoderWidths)-1 && c.MidNorm {
					x = tinyPool(g, p.Sub(layer), x)
				}
				x = tinyBlock(g, next(), x, activations[c.Act], width)
			}
		}
		g.Output("latents", conv(g, next(), x, c.Latent, 3))
	})
}

// tinyPool adds what a group norm of four times the channels makes of x: the
// blocks next to the latents of TAEF2 begin so.
func tinyPool(g *engine.Graph, p path, x *engine.Node) *engine.Node {
	p, width := p.Sub("pool"), x.Shape[3]
	h := engine.Conv2D(x, p.Sub(0).weight(g, "weight", 4*width, width, 1, 1), nil, 1, [4]int{})
	h = engine.ReLU(groupNorm(g, p.Sub(1), h, 4, 1e-5))
	return engine.Add(engine.Conv2D(h, p.Sub(3).weight(g, "weight", width, 4*width, 1, 1), nil, 1, [4]int{}), x)
}

// tinyBlock is diffusers' AutoencoderTinyBlock: three convolutions, the
// residual, and always a ReLU.
func tinyBlock(g *engine.Graph, p path, x *engine.Node, act engine.Op, width int) *engine.Node {
	h := engine.Activation(act, conv(g, p.Sub("conv", 0), x, width, 3))
	h = engine.Activation(act, conv(g, p.Sub("conv", 2), h, width, 3))
	return engine.ReLU(engine.Add(conv(g, p.Sub("conv", 4), h, width, 3), x))
}
