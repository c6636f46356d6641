package model

import (
	"slices"

	"wisp/engine"
)

// vqConfig is diffusers' VQModel configuration, with its defaults.
type vqConfig struct {
	klConfig
	Codes  int    `json:"num_vq_embeddings"`
	Width  *int   `json:"vq_embed_dim"`
	Norm   string `json:"norm_type"`
	Lookup bool   `json:"lookup_from_codebook"`

	width int
}

func parseVQ(config []byte) (vqConfig, error) {
	c := vqConfig{klConfig: klConfig{
		In: 3, Out: 3, DownTypes: []string{"DownEncoderBlock2D"}, UpTypes: []string{"UpDecoderBlock2D"},
		Channels: []int{64}, Layers: 1, Act: "silu", Latent: 3, Groups: 32, MidAttention: true,
	}, Codes: 256, Norm: "group"}
	if err := parse("VQModel", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "VQModel"}
	c.check(&k)
	k.within("num_vq_embeddings", c.Codes, 1, 1<<20)
	k.optionalWidth("vq_embed_dim", c.Width)
	k.one("norm_type", c.Norm, "group")
	if c.Lookup {
		k.fail("lookup_from_codebook", "is true, which is not supported")
	}
	if c.width = c.Latent; c.Width != nil {
		c.width = *c.Width
	}
	return c, k.err
}

// VQModelDecoder is the decoder of an autoencoder with a codebook, van den Oord
// et al. 2017 as Esser et al. 2021 have it, from the config of diffusers'
// VQModel.
//
// Input "latents" (batch, h, w, vq_embed_dim), already divided by
// scaling_factor, of which each is replaced by the nearest of the codebook;
// output "image" (batch, H, W, out_channels), about −1 to 1, unclamped.
func VQModelDecoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseVQ(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		g.Precise = true // as the nearest code is
		x := c.nearest(g, g.Input("latents", engine.F32, batch, h, w, c.width))
		g.Output("image", c.decode(g, conv(g, "post_quant_conv", x, c.Latent, 1)))
	})
}

// sharpness is the scale by which attention is the choice of the nearest.
const sharpness = 1e20

// nearest replaces each pixel by the nearest code: −|x − e|² = 2·x·e − |e|² − |x|²
// is largest for it, so attention to the codes whose scores are those, times a
// number so large that all others vanish, gives that code alone.
func (c vqConfig) nearest(g *engine.Graph, x *engine.Node) *engine.Node {
	codes := g.Weight("quantize.embedding.weight", c.Codes, c.width)
	ones := g.Const(engine.FromFloat32s(slices.Repeat([]float32{1}, c.width), c.width, 1))
	norms := engine.Reshape(engine.MatMul(engine.Mul(codes, codes), ones, false), 1, c.Codes)
	table := engine.Reshape(codes, 1, c.Codes, c.width)
	pixels := engine.Reshape(x, 1, -1, c.width)
	h := engine.Attend(pixels, table, table, engine.Affine(norms, -sharpness, 0), engine.AttentionAttrs{Heads: 1, Scale: 2 * sharpness})
	return engine.Reshape(h, x.Shape...)
}

// VQModelEncoder is the other half.
//
// Input "image" (batch, h, w, in_channels) from −1 to 1; output "latents"
// (batch, h', w', vq_embed_dim), to be multiplied by scaling_factor.
func VQModelEncoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseVQ(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		x := c.encode(g, g.Input("image", engine.F32, batch, h, w, c.In), c.Latent)
		g.Output("latents", conv(g, "quant_conv", x, c.width, 1))
	})
}
