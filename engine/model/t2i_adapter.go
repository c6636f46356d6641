package model

import (
	"fmt"

	"wisp/engine"
)

// adapterConfig is diffusers' T2IAdapter configuration, with its defaults.
type adapterConfig struct {
	In       int    `json:"in_channels"`
	Channels []int  `json:"channels"`
	Layers   int    `json:"num_res_blocks"`
	Scale    int    `json:"downscale_factor"`
	Type     string `json:"adapter_type"`
}

func parseT2IAdapter(config []byte) (adapterConfig, error) {
	c := adapterConfig{In: 3, Channels: []int{320, 640, 1280, 1280}, Layers: 2, Scale: 8, Type: "full_adapter"}
	const component = "T2IAdapter"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.one("adapter_type", c.Type, "full_adapter", "full_adapter_xl", "light_adapter")
	k.within("in_channels", c.In, 1, 3)
	k.widths("channels", c.Channels)
	k.within("num_res_blocks", c.Layers, 0, maxLayers)
	k.within("downscale_factor", c.Scale, 1, 64)
	if c.In == 2 {
		k.fail("in_channels", "is 2: a picture has 1 or 3")
	}
	return c, k.err
}

// AdapterFacts are what a pipeline must know of a T2IAdapter.
type AdapterFacts struct {
	In    int // channels of the picture: 3, or 1 for its brightness
	Scale int // its pixels to what the first output has
	Count int // of outputs
	Halve int // times that the last is half as large as the first, again and again
}

// ReadT2IAdapter reads the facts of a T2IAdapter's config.
func ReadT2IAdapter(config []byte) (AdapterFacts, error) {
	c, err := parseT2IAdapter(config)
	f := AdapterFacts{In: c.In, Scale: c.Scale, Count: len(c.Channels)}
	if c.Type == "light_adapter" {
		f.Count++
	}
	if f.Halve = f.Count - 1; c.Type == "full_adapter_xl" {
		f.Halve = min(1, max(0, f.Count-2))
	}
	return f, err
}

// T2IAdapter is Mou et al. 2023, which reads a picture once for all steps, from
// the config of diffusers' T2IAdapter, in its three forms.
//
// Inputs: "condition" (1, h, w, in_channels) from 0 to 1, and "strength" (1), which
// scales every output. Outputs: "adapter.0" and so on, for a UNet built
// [WithAdapter].
func T2IAdapter(config []byte, h, w int) (*engine.Graph, error) {
	c, err := parseT2IAdapter(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "T2IAdapter"}
	if h%c.Scale != 0 || w%c.Scale != 0 {
		k.fail("downscale_factor", "is %d, which does not divide %d×%d pixels", c.Scale, w, h)
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		x := g.Input("condition", engine.F32, 1, h, w, c.In)
		strength := g.Input("strength", engine.F32, 1)
		x = engine.Reshape(patchify(x, c.Scale), 1, h/c.Scale, w/c.Scale, c.In*c.Scale*c.Scale)
		p, channels := path("adapter"), c.Channels
		light := c.Type == "light_adapter"
		if light {
			channels = append(channels[:len(channels):len(channels)], channels[len(channels)-1])
		} else {
			x = conv(g, p.Sub("conv_in"), x, channels[0], 3)
		}
		for i, width := range channels {
			if i > 0 && (c.Type != "full_adapter_xl" || i == 2) {
				x = averaged(x)
			}
			block := p.Sub("body", i)
			if light {
				x = c.light(g, block, x, width)
			} else {
				x = c.full(g, block, x, width)
			}
			g.Output(adapterName(i), engine.Mul(x, strength))
		}
	})
}

// full is diffusers' AdapterBlock after its pooling.
func (c adapterConfig) full(g *engine.Graph, p path, x *engine.Node, width int) *engine.Node {
	if x.Shape[3] != width {
		x = conv(g, p.Sub("in_conv"), x, width, 1)
	}
	return c.resnets(g, p, x, 1)
}

// light is diffusers' LightAdapterBlock after its pooling.
func (c adapterConfig) light(g *engine.Graph, p path, x *engine.Node, width int) *engine.Node {
	x = conv(g, p.Sub("in_conv"), x, width/4, 1)
	return conv(g, p.Sub("out_conv"), c.resnets(g, p, x, 3), width, 1)
}

func (c adapterConfig) resnets(g *engine.Graph, p path, x *engine.Node, k int) *engine.Node {
	for j := range c.Layers {
		r := p.Sub("resnets", j)
		h := engine.Activation(engine.OpReLU, conv(g, r.Sub("block1"), x, x.Shape[3], 3))
		x = engine.Add(conv(g, r.Sub("block2"), h, x.Shape[3], k), x)
	}
	return x
}

// averaged is the mean of squares of 2 × 2 of x (1,h,w,c); at an odd edge of what
// there is.
func averaged(x *engine.Node) *engine.Node {
	for axis := 1; axis <= 2; axis++ {
		n := x.Shape[axis]
		if n%2 == 1 {
			x = engine.Concat(axis, x, engine.Slice(x, axis, n-1, n))
		}
	}
	h, w, c := x.Shape[1]/2, x.Shape[2]/2, x.Shape[3]
	x = engine.Reshape(x, h, 2, w, 2*c)
	x = engine.Add(engine.Slice(x, 1, 0, 1), engine.Slice(x, 1, 1, 2))
	x = engine.Add(engine.Slice(x, -1, 0, c), engine.Slice(x, -1, c, 2*c))
	return engine.Affine(engine.Reshape(x, 1, h, w, c), 0.25, 0)
}

// adapterName names what is added after block i of the way down, then the middle.
func adapterName(i int) string { return fmt.Sprintf("adapter.%d", i) }

// WithAdapter adds so many outputs of a [T2IAdapter], as inputs of the same names.
func WithAdapter(n int) UNetOption { return func(u *unet) { u.adapter = n } }

// adapted adds output i of an adapter, if there is one.
func (u *unet) adapted(i int, x *engine.Node) *engine.Node {
	if i >= u.adapter {
		return x
	}
	return engine.Add(x, u.g.Input(adapterName(i), engine.F32, x.Shape...))
}
