package diffusion

import (
	"context"
	"fmt"
	"math"
	"slices"

	"wisp/engine"
	"wisp/engine/model"
)

// decoder is an AutoencoderKL, AutoencoderTiny or VQModel as the kinds with
// latents use it: above all the half that makes pictures.
type decoder struct {
	component string
	config    []byte
	facts     model.AutoencoderFacts
	precise   bool // f16 is too narrow for it
}

func newDecoder(m Configs, component string) (d decoder, err error) {
	d.component = component
	var ok bool
	if d.config, ok = m.Config(component); !ok {
		return d, fmt.Errorf("the model has no %s", component)
	}
	d.facts, err = model.ReadAutoencoder(d.config)
	return d, err
}

func (d decoder) net() Net {
	n := Net{
		Component: d.component, Prefixes: []string{"decoder.", "post_quant_conv.", "quantize."},
		Size: func(r Request) Size {
			l := d.latent(r)
			return Size{Batch: 1, Height: l.Height, Width: l.Width}
		},
		Graph: func(s Size) (*engine.Graph, error) {
			return d.graph(model.Decoder(d.config, s.Batch, s.Height, s.Width))
		},
		Tile: Tile{d.facts.Sample / d.facts.Factor, d.facts.Sample},
	}
	return d.normed(n)
}

// graph marks a half as what it must be.
func (d decoder) graph(g *engine.Graph, err error) (*engine.Graph, error) {
	if err == nil {
		g.Precise = g.Precise || d.precise
	}
	return g, err
}

// normed is a half that is fed the moments of the batch norm, where there is one.
func (d decoder) normed(n Net) Net {
	if d.facts.NormEps != 0 {
		n.Prefixes = append(n.Prefixes, "bn.running_")
		n.Host, n.Derive = batchNorm("bn", d.facts.NormEps)
	}
	return n
}

// takes validates that the decoder is for latents of that many channels.
func (d decoder) takes(channels int) error {
	if channels != d.facts.Latent {
		return fmt.Errorf("the denoiser takes %d channels, %s decodes %d", channels, d.component, d.facts.Latent)
	}
	return nil
}

// latent is what a picture of the request is decoded from.
func (d decoder) latent(r Request) Latent {
	return Latent{Height: r.Height / d.facts.Factor, Width: r.Width / d.facts.Factor, Channels: d.facts.Latent}
}

func (d decoder) decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	l := d.latent(r)
	latents := d.facts.Denormalise(x)
	in := Inputs{"latents": engine.FromFloat32s(latents, 1, l.Height, l.Width, l.Channels)}
	out, err := run.Run(ctx, d.component, Size{Batch: 1, Height: l.Height, Width: l.Width}, in)
	if err != nil {
		return nil, err
	}
	return out["image"].Float32s(), nil
}

// encoderName is what a [Runner] knows the other half by.
func (d decoder) encoderName() string { return d.component + " encoder" }

// encoder is the half that reads pictures.
func (d decoder) encoder() Net {
	return d.normed(Net{
		Component: d.component, Name: d.encoderName(), Late: true, Prefixes: []string{"encoder.", "quant_conv."},
		Size: func(r Request) Size { return Size{Batch: 1, Height: r.Height, Width: r.Width} },
		Graph: func(s Size) (*engine.Graph, error) {
			return d.graph(model.Encoder(d.config, s.Batch, s.Height, s.Width))
		},
		Tile: Tile{d.facts.Sample, d.facts.Sample / d.facts.Factor},
	})
}

// posterior encodes a picture's colours (height, width, 3).
func (d decoder) posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	in := Inputs{"image": engine.FromFloat32s(rgb, 1, r.Height, r.Width, 3)}
	out, err := run.Run(ctx, d.encoderName(), Size{Batch: 1, Height: r.Height, Width: r.Width}, in)
	if err != nil {
		return posterior{}, err
	}
	if latents, ok := out["latents"]; ok {
		raw := latents.Float32s()
		return posterior{mean: d.facts.Normalise(raw), raw: raw}, nil
	}
	deviation := out["logvar"].Float32s()
	for i, v := range deviation {
		deviation[i] = d.facts.Deviation(i%d.facts.Latent, float32(math.Exp(0.5*float64(v))))
	}
	mean := out["mean"].Float32s()
	return posterior{d.facts.Normalise(mean), deviation, mean}, nil
}

// posterior is where the latents of a picture lie, as a sampler walks them: a
// mean, and a standard deviation where the encoder gives one. raw is the mean as
// the encoder gives it.
type posterior struct{ mean, deviation, raw []float32 }

// sample draws latents, with noise where there is a deviation.
func (p posterior) sample(n *noise) []float32 {
	x := slices.Clone(p.mean)
	if p.deviation == nil {
		return x
	}
	for i, v := range n.next() {
		x[i] += p.deviation[i] * v
	}
	return x
}

// pack packs both as [noise] is packed.
func (p posterior) pack(l Latent) posterior {
	p.mean, p.raw = l.pack(p.mean), l.pack(p.raw)
	if p.deviation != nil {
		p.deviation = l.pack(p.deviation)
	}
	return p
}
