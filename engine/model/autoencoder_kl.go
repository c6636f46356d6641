package model

import (
	"strings"

	"wisp/engine"
)

// klConfig is diffusers' AutoencoderKL configuration, with its defaults.
type klConfig struct {
	In            int      `json:"in_channels"`
	Out           int      `json:"out_channels"`
	DownTypes     []string `json:"down_block_types"`
	UpTypes       []string `json:"up_block_types"`
	Channels      []int    `json:"block_out_channels"`
	Layers        int      `json:"layers_per_block"`
	Act           string   `json:"act_fn"`
	Latent        int      `json:"latent_channels"`
	Groups        int      `json:"norm_num_groups"`
	QuantConv     bool     `json:"use_quant_conv"`
	PostQuantConv bool     `json:"use_post_quant_conv"`
	MidAttention  bool     `json:"mid_block_add_attention"`

	DecoderChannels []int `json:"-"` // AutoencoderKLFlux2 only; nil for Channels
}

// decoderChannels are the widths of the decoder.
func (c klConfig) decoderChannels() []int {
	if c.DecoderChannels != nil {
		return c.DecoderChannels
	}
	return c.Channels
}

func parseKL(config []byte) (klConfig, error) {
	c := klConfig{
		In: 3, Out: 3, DownTypes: []string{"DownEncoderBlock2D"}, UpTypes: []string{"UpDecoderBlock2D"},
		Channels: []int{64}, Layers: 1, Act: "silu", Latent: 4, Groups: 32,
		QuantConv: true, PostQuantConv: true, MidAttention: true,
	}
	if err := parse("AutoencoderKL", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "AutoencoderKL"}
	c.check(&k)
	return c, k.err
}

func (c klConfig) check(k *checker) {
	n := len(c.Channels)
	k.width("in_channels", c.In)
	k.width("out_channels", c.Out)
	k.width("latent_channels", c.Latent)
	k.widths("block_out_channels", c.Channels)
	k.within("length of down_block_types", len(c.DownTypes), n, n)
	k.within("length of up_block_types", len(c.UpTypes), n, n)
	for _, t := range c.DownTypes {
		k.one("down_block_types", t, "DownEncoderBlock2D", "AttnDownEncoderBlock2D")
	}
	for _, t := range c.UpTypes {
		k.one("up_block_types", t, "UpDecoderBlock2D", "AttnUpDecoderBlock2D")
	}
	for _, channels := range c.Channels {
		k.divides("norm_num_groups", c.Groups, channels)
	}
	k.within("layers_per_block", c.Layers, 1, maxLayers)
	k.one("act_fn", c.Act, "silu", "swish", "relu", "gelu")
}

// klEps is the epsilon of every norm of an AutoencoderKL.
const klEps = 1e-6

func (c klConfig) resnet() resnetConfig {
	return resnetConfig{groups: c.Groups, eps: klEps, act: activations[c.Act], outScale: 1}
}

// AutoencoderKLDecoder is the decoder of Stable Diffusion's autoencoder,
// Rombach et al. 2022, from the config of diffusers' AutoencoderKL.
//
// Input "latents" (batch, h, w, latent_channels), already divided by
// scaling_factor and shifted by shift_factor; output "image" (batch, H, W,
// out_channels), about −1 to 1, unclamped. H is h·2^(blocks − 1).
func AutoencoderKLDecoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseKL(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		x := g.Input("latents", engine.F32, batch, h, w, c.Latent)
		if c.PostQuantConv {
			x = conv(g, "post_quant_conv", x, c.Latent, 1)
		}
		g.Output("image", c.decode(g, x))
	})
}

// decode is diffusers' Decoder on x (n,h,w,latent).
func (c klConfig) decode(g *engine.Graph, x *engine.Node) *engine.Node {
	p, channels := path("decoder"), c.decoderChannels()
	last := len(channels) - 1
	x = conv(g, p.Sub("conv_in"), x, channels[last], 3)
	x = klMid(g, p.Sub("mid_block"), c, x)
	for i := range channels {
		block := p.Sub("up_blocks", i)
		for j := range c.Layers + 1 {
			x = c.layer(g, block, j, c.UpTypes[i], x, channels[last-i])
		}
		if i < last {
			x = upsample(g, block.Sub("upsamplers", 0), x, 2*x.Shape[1], 2*x.Shape[2])
		}
	}
	x = engine.SiLU(groupNorm(g, p.Sub("conv_norm_out"), x, c.Groups, klEps))
	return conv(g, p.Sub("conv_out"), x, c.Out, 3)
}

// layer is a residual block, and where the block's kind has it attention with
// one head.
func (c klConfig) layer(g *engine.Graph, block path, j int, kind string, x *engine.Node, width int) *engine.Node {
	x = resnetBlock(g, block.Sub("resnets", j), c.resnet(), x, nil, width)
	if strings.HasPrefix(kind, "Attn") {
		x = imageAttention(g, block.Sub("attentions", j), x, 1, c.Groups, klEps)
	}
	return x
}

// AutoencoderKLEncoder is the other half.
//
// Input "image" (batch, h, w, in_channels) from −1 to 1; outputs "mean" and
// "logvar" (batch, h', w', latent_channels) of the Gaussian over latents,
// log-variance clamped to −30…20. Latents are (mean + exp(logvar/2)·noise −
// shift_factor)·scaling_factor.
func AutoencoderKLEncoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseKL(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		x := c.encode(g, g.Input("image", engine.F32, batch, h, w, c.In), 2*c.Latent)
		if c.QuantConv {
			x = conv(g, "quant_conv", x, 2*c.Latent, 1)
		}
		g.Output("mean", engine.Slice(x, -1, 0, c.Latent))
		g.Output("logvar", engine.Clamp(engine.Slice(x, -1, c.Latent, 2*c.Latent), -30, 20))
	})
}

// encode is diffusers' Encoder on x (n,h,w,in), of which it makes out channels.
func (c klConfig) encode(g *engine.Graph, x *engine.Node, out int) *engine.Node {
	p, last := path("encoder"), len(c.Channels)-1
	x = conv(g, p.Sub("conv_in"), x, c.Channels[0], 3)
	for i, channels := range c.Channels {
		block := p.Sub("down_blocks", i)
		for j := range c.Layers {
			x = c.layer(g, block, j, c.DownTypes[i], x, channels)
		}
		if i < last {
			x = downsample(g, block.Sub("downsamplers", 0), x, 0)
		}
	}
	x = klMid(g, p.Sub("mid_block"), c, x)
	x = engine.SiLU(groupNorm(g, p.Sub("conv_norm_out"), x, c.Groups, klEps))
	return conv(g, p.Sub("conv_out"), x, out, 3)
}

// klMid is two residual blocks around attention with one head.
func klMid(g *engine.Graph, p path, c klConfig, x *engine.Node) *engine.Node {
	width := x.Shape[3]
	x = resnetBlock(g, p.Sub("resnets", 0), c.resnet(), x, nil, width)
	if c.MidAttention {
		x = imageAttention(g, p.Sub("attentions", 0), x, 1, c.Groups, klEps)
	}
	return resnetBlock(g, p.Sub("resnets", 1), c.resnet(), x, nil, width)
}
