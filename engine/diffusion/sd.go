package diffusion

import (
	"context"
	"errors"
	"fmt"
)

// stableDiffusion is diffusers' StableDiffusionPipeline: one CLIP text encoder,
// a UNet and an image decoder. Rombach et al. 2022. A UNet that embeds its
// guidance makes it a latent consistency model, Luo et al. 2023.
type stableDiffusion struct {
	text *clipText
	unet unetPart
	vae  decoder
	few  distilled
}

// insistentSD is StableDiffusionPipeline itself, which mends the schedulers of
// its early checkpoints.
type insistentSD struct {
	*stableDiffusion
	fields map[string]any
}

func (k insistentSD) schedulerFields() map[string]any { return k.fields }

// newInsistentSD makes the kind that sets a field beside steps_offset.
func newInsistentSD(field string, value bool) func(Configs) (Kind, error) {
	return func(m Configs) (Kind, error) {
		k, err := newStableDiffusion(m)
		if err != nil {
			return nil, err
		}
		return insistentSD{k.(*stableDiffusion), map[string]any{"steps_offset": 1, field: value}}, nil
	}
}

func newStableDiffusion(m Configs) (Kind, error) {
	k := &stableDiffusion{}
	var err error
	if k.text, err = newCLIP(m, ""); err != nil {
		return nil, err
	}
	if k.unet, err = newUNet(m); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	if k.few, err = readDistilled(m, 1); err != nil {
		return nil, err
	}
	t, u := k.text.facts, k.unet.facts
	switch {
	case t.Width != u.Context:
		return nil, fmt.Errorf("text_encoder makes states of width %d, unet takes %d", t.Width, u.Context)
	case u.Added != 0:
		return nil, errors.New("unet takes added conditions, which this pipeline does not make")
	}
	return k, k.unet.fits(k.vae)
}

func (k *stableDiffusion) Nets() []Net {
	return []Net{k.text.net(), k.unet.net(k.vae.facts.Factor, k.text.tokens), k.vae.net(), k.vae.encoder()}
}

func (k *stableDiffusion) Open(m Model) error { return k.text.open(m) }

func (k *stableDiffusion) Defaults() Request {
	r := k.unet.size(k.vae.facts.Factor)
	r.Steps, r.Guidance = 20, 7.5
	if k.few.apply(&r); k.unet.facts.TimestepCond != 0 {
		r.Steps, r.Guidance = 4, 8.5
	}
	return r
}

func (k *stableDiffusion) Fields() Fields {
	return Fields{Prompt: true, Weights: true, Guidance: true, NegativePrompt: k.unet.facts.TimestepCond == 0, ClipSkip: k.text.facts.Layers, Penultimate: k.text.shorn(), Branches: k.unet.facts.Branches, Multiple: k.vae.facts.Factor}
}

func (k *stableDiffusion) Latent(r Request) Latent { return k.unet.latent(k.vae, r) }

func (k *stableDiffusion) Guided(r Request) bool { return k.unet.guided(r) }

func (k *stableDiffusion) steered() (unetPart, int) { return k.unet, k.vae.facts.Factor }

func (k *stableDiffusion) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	out, truncated, err := k.text.encode(ctx, run, p.Text, p)
	return Conditioning{Inputs{"context": out["hidden"]}, truncated}, err
}

func (k *stableDiffusion) Inputs(r Request, t float32) Inputs { return k.unet.inputs(r, t) }

func (k *stableDiffusion) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *stableDiffusion) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
