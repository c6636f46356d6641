package diffusion

import (
	"context"
	"errors"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// flux is diffusers' FluxPipeline, FLUX.1 schnell and dev: CLIP's pooled state,
// T5 and a transformer that attends to pixels and text together, over latents
// packed by squares of 2 × 2. Black Forest Labs 2024. Guidance is embedded
// where the model was distilled with it (dev); schnell has none.
type flux struct {
	clip        *clipText
	t5          *t5Text
	transformer transformer
	vae         decoder
}

// The max_sequence_length of diffusers' pipeline, and latents to a packed one.
const (
	fluxTokens = 512
	fluxPatch  = 2
)

func newFlux(m Configs) (Kind, error) {
	k := &flux{}
	var err error
	if k.clip, err = newCLIP(m, ""); err != nil {
		return nil, err
	}
	k.clip.withPooled(model.WithPooled())
	if k.t5, err = newT5(m, "_2", fluxTokens, false); err != nil {
		return nil, err
	}
	if k.t5 == nil {
		return nil, errors.New("the model has no text_encoder_2")
	}
	if k.transformer, err = newTransformer(m, nil); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	switch f := k.transformer.facts; {
	case k.clip.facts.Width != f.Pooled:
		return nil, fmt.Errorf("text_encoder makes pooled states of width %d, transformer takes %d", k.clip.facts.Width, f.Pooled)
	case k.t5.facts.Width != f.Context:
		return nil, fmt.Errorf("text_encoder_2 makes states of width %d, transformer takes %d", k.t5.facts.Width, f.Context)
	case f.In%(fluxPatch*fluxPatch) != 0:
		return nil, fmt.Errorf("transformer takes %d channels, not packed by %d × %d", f.In, fluxPatch, fluxPatch)
	}
	return k, k.vae.takes(k.transformer.facts.In / (fluxPatch * fluxPatch))
}

func (k *flux) Nets() []Net {
	net := k.transformer.net(k, fluxTokens)
	net.Graph = func(s Size) (*engine.Graph, error) {
		return model.ControlledFlux(k.transformer.config, s.Batch, s.Height, s.Width, s.Tokens, s.Blocks)
	}
	return []Net{k.clip.net(), k.t5.net(), net, k.vae.net(), k.vae.encoder()}
}

func (k *flux) Open(m Model) error {
	if err := k.clip.open(m); err != nil {
		return err
	}
	return k.t5.open(m)
}

// Defaults are those of the pipeline for dev, of the model's card for schnell.
// The pipeline spaces its noise levels from 1 to 1/steps.
func (k *flux) Defaults() Request {
	r := k.transformer.defaults(k.vae, 128)
	r.Steps, r.Guidance, r.Schedule = 4, 0, "trailing"
	if k.transformer.facts.Guidance {
		r.Steps, r.Guidance = 28, 3.5
	}
	return r
}

func (k *flux) Fields() Fields {
	return Fields{Prompt: true, SecondPrompt: true, Guidance: k.transformer.facts.Guidance, Multiple: fluxPatch * k.vae.facts.Factor}
}

func (k *flux) Latent(r Request) Latent {
	l := k.vae.latent(r)
	return Latent{Height: l.Height / fluxPatch, Width: l.Width / fluxPatch, Channels: l.Channels * fluxPatch * fluxPatch, Patch: fluxPatch}
}

func (k *flux) Guided(Request) bool { return false }

func (k *flux) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	clip, _, err := k.clip.encode(ctx, run, p.Text, Prompt{})
	if err != nil {
		return Conditioning{}, err
	}
	hidden, _, truncated, err := k.t5.encode(ctx, run, p.second())
	return Conditioning{Inputs{"context": hidden, "pooled": clip["pooled"]}, truncated}, err
}

func (k *flux) Inputs(r Request, t float32) Inputs {
	in := Inputs{"timestep_embedding": embedded(t)}
	if k.transformer.facts.Guidance {
		in["guidance_embedding"] = embedded(1000 * r.Guidance)
	}
	return in
}

func (k *flux) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	p, err := k.vae.posterior(ctx, run, r, rgb)
	if err != nil {
		return p, err
	}
	return p.pack(k.Latent(r)), nil
}

func (k *flux) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, k.Latent(r).unpack(x))
}
