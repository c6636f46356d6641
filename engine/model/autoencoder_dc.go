package model

import (
	"slices"

	"wisp/engine"
)

// dcConfig is diffusers' AutoencoderDC configuration, with its defaults.
type dcConfig struct {
	In        int              `json:"in_channels"`
	Latent    int              `json:"latent_channels"`
	HeadSize  int              `json:"attention_head_dim"`
	EncTypes  perBlock[string] `json:"encoder_block_types"`
	DecTypes  perBlock[string] `json:"decoder_block_types"`
	EncWidths []int            `json:"encoder_block_out_channels"`
	DecWidths []int            `json:"decoder_block_out_channels"`
	EncLayers []int            `json:"encoder_layers_per_block"`
	DecLayers []int            `json:"decoder_layers_per_block"`
	EncScales [][]int          `json:"encoder_qkv_multiscales"`
	DecScales [][]int          `json:"decoder_qkv_multiscales"`
	Up        string           `json:"upsample_block_type"`
	Down      string           `json:"downsample_block_type"`
	Norms     perBlock[string] `json:"decoder_norm_types"`
	Acts      perBlock[string] `json:"decoder_act_fns"`
	OutShort  bool             `json:"encoder_out_shortcut"`
	InShort   bool             `json:"decoder_in_shortcut"`
	LastAct   string           `json:"decoder_conv_act_fn"`
}

// dcHalf is an encoder's or a decoder's blocks.
type dcHalf struct {
	types  perBlock[string]
	widths []int
	layers []int
	scales [][]int
	acts   perBlock[string]
	head   int
}

func parseDC(config []byte) (dcConfig, error) {
	widths := []int{128, 256, 512, 512, 1024, 1024}
	scales := func() [][]int { return [][]int{{}, {}, {}, {5}, {5}, {5}} } // of its own for each half, as a config is decoded over it
	c := dcConfig{In: 3, Latent: 32, HeadSize: 32, EncTypes: perBlock[string]{"ResBlock"}, DecTypes: perBlock[string]{"ResBlock"},
		EncWidths: widths, DecWidths: slices.Clone(widths), EncLayers: []int{2, 2, 2, 3, 3, 3}, DecLayers: []int{3, 3, 3, 3, 3, 3},
		EncScales: scales(), DecScales: scales(), Up: "pixel_shuffle", Down: "pixel_unshuffle",
		Norms: perBlock[string]{"rms_norm"}, Acts: perBlock[string]{"silu"}, OutShort: true, InShort: true, LastAct: "relu"}
	if err := parse("AutoencoderDC", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "AutoencoderDC"}
	k.within("in_channels", c.In, 3, 3)
	k.width("latent_channels", c.Latent)
	k.width("attention_head_dim", c.HeadSize)
	k.one("upsample_block_type", c.Up, "pixel_shuffle", "interpolate")
	k.one("downsample_block_type", c.Down, "pixel_unshuffle", "Conv", "conv")
	k.one("decoder_conv_act_fn", c.LastAct, "relu", "silu")
	for _, n := range c.Norms {
		k.one("decoder_norm_types", n, "rms_norm")
	}
	for _, a := range c.Acts {
		k.one("decoder_act_fns", a, "relu", "silu")
	}
	c.encoder().check(&k, "encoder")
	c.decoder().check(&k, "decoder")
	if k.err == nil {
		k.within("length of decoder_block_out_channels", len(c.DecWidths), len(c.EncWidths), len(c.EncWidths))
		c.Acts.fits(&k, "decoder_act_fns", len(c.DecWidths))
		c.Norms.fits(&k, "decoder_norm_types", len(c.DecWidths))
		k.divides("latent_channels", c.Latent, c.EncWidths[len(c.EncWidths)-1])
		k.divides("latent_channels", c.Latent, c.DecWidths[len(c.DecWidths)-1])
	}
	return c, k.err
}

func (c dcConfig) encoder() dcHalf {
	return dcHalf{c.EncTypes, c.EncWidths, c.EncLayers, c.EncScales, perBlock[string]{"silu"}, c.HeadSize}
}

func (c dcConfig) decoder() dcHalf {
	return dcHalf{c.DecTypes, c.DecWidths, c.DecLayers, c.DecScales, c.Acts, c.HeadSize}
}

func (d dcHalf) check(k *checker, half string) {
	field := func(name string) string { return half + "_" + name }
	k.widths(field("block_out_channels"), d.widths)
	n := len(d.widths)
	d.types.fits(k, field("block_types"), n)
	k.within("length of "+field("layers_per_block"), len(d.layers), n, n)
	k.within("length of "+field("qkv_multiscales"), len(d.scales), n, n)
	if k.err != nil {
		return
	}
	for i, w := range d.widths {
		k.within(field("layers_per_block"), d.layers[i], 1, maxLayers)
		k.one(field("block_types"), d.types.at(i), "ResBlock", "EfficientViTBlock")
		if d.types.at(i) == "EfficientViTBlock" {
			k.divides("attention_head_dim", d.head, w)
		}
		k.within("length of "+field("qkv_multiscales"), len(d.scales[i]), 0, 8)
		for _, size := range d.scales[i] {
			k.within(field("qkv_multiscales"), size, 1, 15)
			k.divides("an even number beside one in "+field("qkv_multiscales")+": 2", 2, size-1)
		}
		if i > 0 { // what is repeated or averaged on the way past a convolution
			k.divides(field("block_out_channels"), w, 4*d.widths[i-1])
			k.divides("4, for "+field("block_out_channels"), 4, w)
		}
	}
}

// layer is a residual block or an EfficientViT block of width i.
func (d dcHalf) layer(g *engine.Graph, p path, x *engine.Node, i int) *engine.Node {
	if d.types.at(i) == "ResBlock" {
		c := x.Shape[3]
		h := engine.Activation(activations[d.acts.at(i)], conv(g, p.Sub("conv1"), x, c, 3))
		h = convNoBias(g, p.Sub("conv2"), h, c, 1)
		return engine.Add(biasedRMSNorm(g, p.Sub("norm"), h), x)
	}
	x = engine.Add(d.attention(g, p.Sub("attn"), x, d.scales[i]), x)
	p = p.Sub("conv_out")
	return engine.Add(biasedRMSNorm(g, p.Sub("norm"), gluConv(g, p, x, 4*x.Shape[3])), x)
}

// attention is SanaMultiscaleLinearAttention: linear attention, of which further
// heads see sums over neighbourhoods.
func (d dcHalf) attention(g *engine.Graph, p path, x *engine.Node, scales []int) *engine.Node {
	b, h, w, c := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	qkv := engine.Concat(3, linearNoBias(g, p.Sub("to_q"), x, c), linearNoBias(g, p.Sub("to_k"), x, c), linearNoBias(g, p.Sub("to_v"), x, c))
	all := []*engine.Node{d.groups(qkv)}
	for i, size := range scales {
		s := p.Sub("to_qkv_multiscale", i)
		near := engine.DepthwiseConv2D(qkv, s.Sub("proj_in").weight(g, "weight", 3*c, 1, size, size), nil, 1, samePad(size))
		weight := engine.Reshape(s.Sub("proj_out").weight(g, "weight", 3*c, d.head, 1, 1), 3*c/d.head, d.head, d.head)
		grouped := engine.Permute(engine.Reshape(near, b*h*w, 3*c/d.head, d.head), 1, 0, 2)
		grouped = engine.Permute(engine.MatMul(grouped, weight, true), 1, 0, 2)
		all = append(all, d.groups(engine.Reshape(grouped, b, h, w, 3*c)))
	}
	heads := engine.Concat(1, all...) // (b, heads, h·w, 3·d)
	part := func(i int) *engine.Node { return engine.Slice(heads, 3, i*d.head, (i+1)*d.head) }
	y := linearNoBias(g, p.Sub("to_out"), joinHeads(linearAttention(g, part(0), part(1), part(2))), c)
	return biasedRMSNorm(g, p.Sub("norm_out"), engine.Reshape(y, b, h, w, c))
}

// groups are channels (b,h,w,c) by heads of three times their size, which have a
// query, a key and a value.
func (d dcHalf) groups(x *engine.Node) *engine.Node {
	return splitHeads(engine.Reshape(x, x.Shape[0], x.Shape[1]*x.Shape[2], x.Shape[3]), x.Shape[3]/(3*d.head))
}

// channelsRepeated has each channel so often that there are c.
func channelsRepeated(g *engine.Graph, x *engine.Node, c int) *engine.Node {
	n, h, w, times := x.Shape[0], x.Shape[1], x.Shape[2], c/x.Shape[3]
	ones := g.Const(engine.FromFloat32s(slices.Repeat([]float32{1}, times), times))
	return engine.Reshape(engine.Mul(engine.Reshape(x, n, h, w, x.Shape[3], 1), ones), n, h, w, c)
}

// channelMeans has the means of neighbouring channels, so that there are c.
func channelMeans(g *engine.Graph, x *engine.Node, c int) *engine.Node {
	n, h, w, of := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]/c
	share := g.Const(engine.FromFloat32s(slices.Repeat([]float32{1 / float32(of)}, of), of, 1))
	return engine.Reshape(engine.MatMul(engine.Reshape(x, n*h*w*c, of), share, false), n, h, w, c)
}

// AutoencoderDCDecoder is the decoder of the deep compression autoencoder, Chen
// et al. 2024, from the config of diffusers' AutoencoderDC.
//
// Input "latents" (batch, h, w, latent_channels), already divided by
// scaling_factor; output "image" (batch, H, W, 3), about −1 to 1, unclamped.
func AutoencoderDCDecoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseDC(config)
	if err != nil {
		return nil, err
	}
	d, p := c.decoder(), path("decoder")
	return engine.Build(func(g *engine.Graph) {
		g.Precise = true // as linear attention's sums are
		last := len(d.widths) - 1
		z := g.Input("latents", engine.F32, batch, h, w, c.Latent)
		x := conv(g, p.Sub("conv_in"), z, d.widths[last], 3)
		if c.InShort {
			x = engine.Add(x, channelsRepeated(g, z, d.widths[last]))
		}
		for i := last; i >= 0; i-- {
			b, at := p.Sub("up_blocks", i), 0
			if i < last {
				x = c.up(g, b.Sub(0, "conv"), x, d.widths[i])
				at = 1
			}
			for j := range d.layers[i] {
				x = d.layer(g, b.Sub(at+j), x, i)
			}
		}
		x = engine.Activation(activations[c.LastAct], biasedRMSNorm(g, p.Sub("norm_out"), x))
		g.Output("image", conv(g, p.Sub("conv_out"), x, c.In, 3))
	})
}

// up doubles both sides.
func (c dcConfig) up(g *engine.Graph, p path, x *engine.Node, out int) *engine.Node {
	beside := shuffle(channelsRepeated(g, x, 4*out), 2)
	if c.Up == "interpolate" {
		return engine.Add(conv(g, p, engine.Upsample2D(x, 2*x.Shape[1], 2*x.Shape[2]), out, 3), beside)
	}
	return engine.Add(shuffle(conv(g, p, x, 4*out, 3), 2), beside)
}

// AutoencoderDCEncoder is the other half.
//
// Input "image" (batch, h, w, 3) from −1 to 1, both sides multiples of the
// latents' size; output "latents" (batch, h', w', latent_channels), to be
// multiplied by scaling_factor.
func AutoencoderDCEncoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseDC(config)
	if err != nil {
		return nil, err
	}
	d, p := c.encoder(), path("encoder")
	k := checker{component: "AutoencoderDC"}
	if factor := 1 << (len(d.widths) - 1); h < factor || w < factor || h%factor != 0 || w%factor != 0 {
		k.fail("encoder_block_out_channels", "makes latents of %d×%d pixels, of which %d×%d is no multiple", factor, factor, h, w)
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		g.Precise = true
		x := conv(g, p.Sub("conv_in"), g.Input("image", engine.F32, batch, h, w, c.In), d.widths[0], 3)
		for i, layers := range d.layers {
			b := p.Sub("down_blocks", i)
			for j := range layers {
				x = d.layer(g, b.Sub(j), x, i)
			}
			if i+1 < len(d.widths) {
				x = c.down(g, b.Sub(layers, "conv"), x, d.widths[i+1])
			}
		}
		g.Output("latents", c.narrowed(g, conv(g, p.Sub("conv_out"), x, c.Latent, 3), x))
	})
}

// down halves both sides.
func (c dcConfig) down(g *engine.Graph, p path, x *engine.Node, out int) *engine.Node {
	beside := channelMeans(g, unshuffle(x, 2), out)
	if c.Down == "pixel_unshuffle" {
		return engine.Add(unshuffle(conv(g, p, x, out/4, 3), 2), beside)
	}
	return engine.Add(convPadded(g, p, x, out, 3, 2, samePad(3)), beside)
}

// narrowed adds the means of x's channels to the latents.
func (c dcConfig) narrowed(g *engine.Graph, latents, x *engine.Node) *engine.Node {
	if !c.OutShort {
		return latents
	}
	return engine.Add(latents, channelMeans(g, x, c.Latent))
}
