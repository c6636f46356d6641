package diffusion

import (
	"context"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// zImage is diffusers' ZImagePipeline: a state of Qwen3, without its padding, and
// a single-stream transformer. Tongyi Lab 2025. Its guidance counts from 0: the
// pipeline adds the difference to the prompt's prediction.
type zImage struct {
	text        *qwenText
	transformer transformer
	vae         decoder
	turbo       bool // distilled
}

func newZImage(m Configs) (Kind, error) {
	k := &zImage{}
	var err error
	if k.text, err = newQwen(m, false, -2); err != nil {
		return nil, err
	}
	if k.transformer, err = newTransformer(m, func(config []byte, batch, h, w, tokens int) (*engine.Graph, error) {
		return model.ZImage(config, batch, h, w, tokens, model.Velocity())
	}); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	scheduler := struct{ Shift float64 }{1}
	if err := parseScheduler(m, &scheduler); err != nil {
		return nil, err
	}
	k.turbo = scheduler.Shift == 3
	f := k.transformer.facts
	if k.text.facts.Width != f.Context {
		return nil, fmt.Errorf("text_encoder makes states of width %d, transformer takes %d", k.text.facts.Width, f.Context)
	}
	return k, k.vae.takes(f.In)
}

// zImageTokens is the length of common prompts with their template.
const zImageTokens = 2 * model.ZImageMultiple

func (k *zImage) Nets() []Net {
	return []Net{k.text.net(zImageTokens), k.transformer.net(k, zImageTokens), k.vae.net(), k.vae.encoder()}
}

func (k *zImage) Open(m Model) error { return k.text.open(m) }

// Defaults are those of the pipeline, or of the distilled model's card, which
// differs by its scheduler's shift alone: 3 for 6.
func (k *zImage) Defaults() Request {
	r := k.transformer.defaults(k.vae, 128)
	r.Steps, r.Guidance, r.Schedule = 50, 5, "trailing"
	if k.turbo {
		r.Steps, r.Guidance = 9, 0
	}
	return r
}

func (k *zImage) Fields() Fields { return k.transformer.fields(k.vae) }

func (k *zImage) Latent(r Request) Latent { return k.vae.latent(r) }

func (k *zImage) Guided(r Request) bool { return r.Guidance > 0 }

func (k *zImage) scale(r Request) float32 { return 1 + r.Guidance }

func (k *zImage) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	hidden, mask, truncated, err := k.text.encode(ctx, run, p.Text, model.ZImageMultiple)
	return Conditioning{Inputs{"context": hidden, "mask": mask}, truncated}, err
}

func (k *zImage) Inputs(_ Request, t float32) Inputs {
	return Inputs{"timestep_embedding": embedded((1000 - t) / 1000 * k.transformer.facts.TimeScale)}
}

func (k *zImage) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *zImage) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
