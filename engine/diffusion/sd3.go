package diffusion

import (
	"cmp"
	"context"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// stableDiffusion3 is diffusers' StableDiffusion3Pipeline, for 3 and 3.5: two
// CLIP text encoders side by side, T5 after them where it is there, and a
// transformer that attends to pixels and text together. Esser et al. 2024.
type stableDiffusion3 struct {
	texts       [2]*clipText
	t5          *t5Text // nil: its states are zeros
	transformer transformer
	vae         decoder
}

// t5Tokens is the max_sequence_length of diffusers' pipeline.
const t5Tokens = 256

func newStableDiffusion3(m Configs) (Kind, error) {
	k := &stableDiffusion3{}
	var err error
	for i, suffix := range []string{"", "_2"} {
		if k.texts[i], err = newPenultimate(m, suffix); err != nil {
			return nil, err
		}
		k.texts[i].bare = true
		k.texts[i].withPooled(model.WithProjection())
	}
	if k.t5, err = newT5(m, "_3", t5Tokens, false); err != nil {
		return nil, err
	}
	if k.transformer, err = newTransformer(m, nil); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	return k, cmp.Or(k.fits(), k.vae.takes(k.transformer.facts.In))
}

func (k *stableDiffusion3) fits() error {
	f, a, b := k.transformer.facts, k.texts[0].facts, k.texts[1].facts
	switch {
	case a.Width+b.Width > f.Context:
		return fmt.Errorf("text_encoder and text_encoder_2 make states of width %d, transformer takes %d", a.Width+b.Width, f.Context)
	case a.Projected+b.Projected != f.Pooled:
		return fmt.Errorf("text_encoder and text_encoder_2 make pooled states of width %d, transformer takes %d", a.Projected+b.Projected, f.Pooled)
	case k.t5 != nil && k.t5.facts.Width != f.Context:
		return fmt.Errorf("text_encoder_3 makes states of width %d, transformer takes %d", k.t5.facts.Width, f.Context)
	}
	return nil
}

func (k *stableDiffusion3) Nets() []Net {
	nets := []Net{k.texts[0].net(), k.texts[1].net()}
	if k.t5 != nil {
		nets = append(nets, k.t5.net())
	}
	net := k.transformer.net(k, k.texts[0].tokens()+t5Tokens)
	net.Middle = []string{"pos_embed.pos_embed"}
	net.Graph = func(s Size) (*engine.Graph, error) {
		return model.SD3(k.transformer.config, s.Batch, s.Height, s.Width, s.Tokens, model.SkipLayers(s.without()...), model.MiddlePlaces(k.largest()), model.AddControl(s.Blocks))
	}
	return append(nets, net, k.vae.net(), k.vae.encoder())
}

// largest is the side of the largest picture in patches.
func (k *stableDiffusion3) largest() int {
	return maxSize / (k.vae.facts.Factor * k.transformer.facts.Multiple)
}

func (k *stableDiffusion3) Open(m Model) error {
	for _, t := range k.texts {
		if err := t.open(m); err != nil {
			return err
		}
	}
	if a, b := k.texts[0].tokens(), k.texts[1].tokens(); a != b {
		return fmt.Errorf("tokenizer makes %d tokens, tokenizer_2 %d", a, b)
	}
	if k.t5 != nil {
		return k.t5.open(m)
	}
	return nil
}

func (k *stableDiffusion3) Defaults() Request {
	r := k.transformer.defaults(k.vae, 128)
	r.Steps, r.Guidance = 28, 7
	return r
}

func (k *stableDiffusion3) Fields() Fields {
	f := k.transformer.fields(k.vae)
	f.Layers = k.transformer.facts.Layers
	f.SecondPrompt, f.ClipSkip, f.Penultimate = true, min(k.texts[0].facts.Layers, k.texts[1].facts.Layers), true
	return f
}

func (k *stableDiffusion3) Latent(r Request) Latent { return k.vae.latent(r) }

func (k *stableDiffusion3) Guided(r Request) bool { return r.Guidance > 1 }

func (k *stableDiffusion3) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	first, cut, err := k.texts[0].encode(ctx, run, p.Text, p)
	if err != nil {
		return Conditioning{}, err
	}
	second, cutToo, err := k.texts[1].encode(ctx, run, p.second(), p)
	if err != nil {
		return Conditioning{}, err
	}
	width := k.transformer.facts.Context
	clip := widened(beside(first["hidden"], second["hidden"]), width)
	long, truncated := engine.NewTensor(engine.F32, 1, t5Tokens, width), cut || cutToo
	if k.t5 != nil {
		if long, _, truncated, err = k.t5.encode(ctx, run, p.Text); err != nil {
			return Conditioning{}, err
		}
	}
	pooled := append(first["pooled"].Float32s(), second["pooled"].Float32s()...)
	return Conditioning{Inputs{
		"context": below(clip, long),
		"pooled":  engine.FromFloat32s(pooled, 1, len(pooled)),
	}, truncated}, nil
}

func (k *stableDiffusion3) Inputs(_ Request, t float32) Inputs {
	return Inputs{"timestep_embedding": embedded(t)}
}

func (k *stableDiffusion3) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *stableDiffusion3) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
