package model

import (
	"slices"

	"wisp/engine"
)

// klFlux2Config is diffusers' AutoencoderKLFlux2 configuration, with its
// defaults.
type klFlux2Config struct {
	klConfig
	Decoder []int   `json:"decoder_block_out_channels"`
	Eps     float32 `json:"batch_norm_eps"`
	Patch   []int   `json:"patch_size"`
}

func parseKLFlux2(config []byte) (klFlux2Config, error) {
	down, up := "DownEncoderBlock2D", "UpDecoderBlock2D"
	c := klFlux2Config{klConfig: klConfig{
		In: 3, Out: 3, DownTypes: []string{down, down, down, down}, UpTypes: []string{up, up, up, up},
		Channels: []int{128, 256, 512, 512}, Layers: 2, Act: "silu", Latent: 32, Groups: 32,
		QuantConv: true, PostQuantConv: true, MidAttention: true,
	}, Eps: 1e-4, Patch: []int{2, 2}}
	const component = "AutoencoderKLFlux2"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	c.check(&k)
	if c.DecoderChannels = c.Decoder; c.Decoder != nil {
		k.within("length of decoder_block_out_channels", len(c.Decoder), len(c.Channels), len(c.Channels))
		k.widths("decoder_block_out_channels", c.Decoder)
		for _, channels := range c.Decoder {
			k.divides("norm_num_groups", c.Groups, channels)
		}
	}
	if !slices.Equal(c.Patch, []int{2, 2}) {
		k.fail("patch_size", "is %v, want [2 2]", c.Patch)
	}
	if !(c.Eps >= 0 && c.Eps < 1) {
		k.fail("batch_norm_eps", "is %v", c.Eps)
	}
	return c, k.err
}

// AutoencoderKLFlux2Decoder is the decoder of FLUX.2's autoencoder, from the
// config of diffusers' AutoencoderKLFlux2.
//
// Inputs: "latents" (batch, h, w, 4·latent_channels), the transformer's,
// normalised and with 2×2 pixels packed into channels, (c, 2, 2) with c first;
// "mean" and "std" (4·latent_channels) of them, the weight bn.running_mean and
// the root of bn.running_var + batch_norm_eps. Output: "image" (batch, H, W,
// out_channels), about −1 to 1, unclamped. H is h·2^blocks.
func AutoencoderKLFlux2Decoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseKLFlux2(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		packed := 4 * c.Latent
		x := g.Input("latents", engine.F32, batch, h, w, packed)
		x = engine.Add(engine.Mul(x, g.Input("std", engine.F32, packed)), g.Input("mean", engine.F32, packed))
		x = engine.Permute(engine.Reshape(x, batch, h, w, c.Latent, 2, 2), 0, 1, 4, 2, 5, 3)
		x = engine.Reshape(x, batch, 2*h, 2*w, c.Latent)
		if c.PostQuantConv {
			x = conv(g, "post_quant_conv", x, c.Latent, 1)
		}
		g.Output("image", c.decode(g, x))
	})
}

// AutoencoderKLFlux2Encoder is the other half.
//
// Inputs: "image" (batch, h, w, in_channels) from −1 to 1, h and w multiples of
// 2^blocks; "mean" as the decoder's and "reciprocal" (4·latent_channels), one
// over its "std". Output: "latents" (batch, h', w', 4·latent_channels), the
// mode of the distribution, as the decoder and the transformer take them.
func AutoencoderKLFlux2Encoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseKLFlux2(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "AutoencoderKLFlux2"}
	if scale := 1 << len(c.Channels); h < 1 || w < 1 || h%scale != 0 || w%scale != 0 {
		k.fail("block_out_channels", "take pictures of multiples of %d pixels, not %d×%d", scale, h, w)
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		x := c.encode(g, g.Input("image", engine.F32, batch, h, w, c.In), 2*c.Latent)
		if c.QuantConv {
			x = conv(g, "quant_conv", x, 2*c.Latent, 1)
		}
		rows, cols, packed := x.Shape[1]/2, x.Shape[2]/2, 4*c.Latent
		x = engine.Reshape(engine.Slice(x, -1, 0, c.Latent), batch, rows, 2, cols, 2, c.Latent)
		x = engine.Reshape(engine.Permute(x, 0, 1, 3, 5, 2, 4), batch, rows, cols, packed)
		x = engine.Mul(engine.Sub(x, g.Input("mean", engine.F32, packed)), g.Input("reciprocal", engine.F32, packed))
		g.Output("latents", x)
	})
}
