package diffusion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"wisp/engine"
	"wisp/engine/model"
)

// unconditional is a UNet2DModel that draws without words: diffusers'
// DDPMPipeline (Ho et al. 2020), DDIMPipeline (Song et al. 2020), PNDMPipeline
// and ConsistencyModelPipeline (Song et al. 2023) in pixels, LDMPipeline
// (Rombach et al. 2022) in the latents of a VQModel.
type unconditional struct {
	config []byte
	facts  model.UNet2DFacts
	vae    *decoder // nil: the sample is the picture
	steps  int
	time   string // its time_embedding_type
}

// newUnconditional makes the kind with that many steps by default and with that
// decoder, "" for none.
func newUnconditional(steps int, decoder string) func(Configs) (Kind, error) {
	return func(m Configs) (Kind, error) {
		k := &unconditional{steps: steps, time: "positional"}
		if err := k.read(m); err != nil {
			return nil, err
		}
		if decoder != "" {
			d, err := newDecoder(m, decoder)
			if err != nil {
				return nil, err
			}
			k.vae = &d
		}
		return k, k.fits()
	}
}

func (k *unconditional) read(m Configs) (err error) {
	var ok bool
	if k.config, ok = m.Config("unet"); !ok {
		return errors.New("the model has no unet")
	}
	k.facts, err = model.ReadUNet2D(k.config)
	return err
}

func (k *unconditional) fits() error {
	f := k.facts
	switch {
	case f.Time != k.time:
		return fmt.Errorf("unet: time_embedding_type %q is not drawn by this pipeline", f.Time)
	case f.ClassWidth != 0:
		return errors.New("unet: class_embed_type is not drawn by this pipeline")
	case k.vae != nil:
		return k.vae.takes(f.In)
	case f.In != 3 && f.In != 1:
		return fmt.Errorf("unet draws %d channels, a picture has 3 or 1", f.In)
	}
	return nil
}

func (k *unconditional) factor() int {
	if k.vae != nil {
		return k.vae.facts.Factor
	}
	return 1
}

func (k *unconditional) Nets() []Net {
	unet := Net{
		Component: "unet", Denoiser: true,
		Size: func(r Request) Size {
			l := k.Latent(r)
			return Size{Batch: 1, Height: l.Height, Width: l.Width}
		},
		Graph: func(s Size) (*engine.Graph, error) { return model.UNet2D(k.config, s.Batch, s.Height, s.Width) },
	}
	if k.vae != nil {
		return []Net{unet, k.vae.net(), k.vae.encoder()}
	}
	return []Net{unet}
}

func (k *unconditional) Open(Model) error { return nil }

func (k *unconditional) Defaults() Request {
	f := k.factor()
	return Request{Steps: k.steps, Width: cmp.Or(k.facts.Width, 32) * f, Height: cmp.Or(k.facts.Height, 32) * f, Count: 1}
}

func (k *unconditional) Fields() Fields {
	return Fields{Classes: k.facts.Classes, Multiple: k.facts.Multiple * k.factor()}
}

func (k *unconditional) Latent(r Request) Latent {
	f := k.factor()
	return Latent{Height: r.Height / f, Width: r.Width / f, Channels: k.facts.In, Varies: k.facts.Out == 2*k.facts.In}
}

func (k *unconditional) Guided(Request) bool { return false }

func (k *unconditional) Encode(_ context.Context, _ Runner, p Prompt) (Conditioning, error) {
	if k.facts.Classes == 0 {
		return Conditioning{}, nil
	}
	return Conditioning{Inputs: Inputs{"class_labels": engine.FromInt32s([]int32{int32(p.Class)}, 1)}}, nil
}

func (k *unconditional) Inputs(_ Request, t float32) Inputs {
	return Inputs{"timestep_embedding": engine.FromFloat32s(k.facts.TimestepEmbedding([]float32{t}), 1, k.facts.Embedding)}
}

func (k *unconditional) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	if k.vae != nil {
		return k.vae.posterior(ctx, run, r, rgb)
	}
	if k.facts.In == 3 {
		return posterior{mean: rgb}, nil
	}
	var grey []float32
	for c := range slices.Chunk(rgb, 3) {
		grey = append(grey, (c[0]+c[1]+c[2])/3)
	}
	return posterior{mean: grey}, nil
}

func (k *unconditional) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	if k.vae != nil {
		return k.vae.decode(ctx, run, r, x)
	}
	if k.facts.In == 3 {
		return x, nil
	}
	rgb := make([]float32, 0, 3*len(x))
	for _, grey := range x {
		rgb = append(rgb, grey, grey, grey)
	}
	return rgb, nil
}
