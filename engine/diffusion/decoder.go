package diffusion

import (
	"context"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// decoder is the half of an AutoencoderKL, AutoencoderTiny or VQModel that
// makes pictures, as the kinds with latents use it.
type decoder struct {
	component string
	config    []byte
	facts     model.AutoencoderFacts
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
	return Net{
		Component: d.component, Prefixes: []string{"decoder.", "post_quant_conv.", "quantize."},
		Size: func(r Request) Size {
			l := d.latent(r)
			return Size{Batch: 1, Height: l.Height, Width: l.Width}
		},
		Graph: func(s Size) (*engine.Graph, error) { return model.Decoder(d.config, s.Batch, s.Height, s.Width) },
	}
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
