package diffusion

import (
	"context"
	"errors"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// auraFlow is diffusers' AuraFlowPipeline: a T5 over Llama's tokens, zero where
// the text is padded, and a transformer that attends to pixels and text together.
// fal 2024.
type auraFlow struct {
	text        *t5Text
	transformer transformer
	vae         decoder
}

// auraTokens is the max_sequence_length of diffusers' pipeline.
const auraTokens = 256

func newAuraFlow(m Configs) (Kind, error) {
	k := &auraFlow{}
	var err error
	if k.text, err = newT5(m, "", auraTokens, true); err != nil {
		return nil, err
	}
	if k.text == nil {
		return nil, errors.New("the model has no text_encoder")
	}
	if k.transformer, err = newTransformer(m, model.AuraFlow); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	f := k.transformer.facts
	if k.text.facts.Width != f.Context {
		return nil, fmt.Errorf("text_encoder makes states of width %d, transformer takes %d", k.text.facts.Width, f.Context)
	}
	return k, k.vae.takes(f.In)
}

func (k *auraFlow) Nets() []Net {
	return []Net{k.text.net(), k.transformer.net(k, auraTokens), k.vae.net(), k.vae.encoder()}
}

func (k *auraFlow) Open(m Model) error { return k.text.open(m) }

func (k *auraFlow) Defaults() Request {
	r := k.transformer.defaults(k.vae, 64)
	r.Steps, r.Guidance = 50, 3.5
	return r
}

func (k *auraFlow) Fields() Fields { return k.transformer.fields(k.vae) }

func (k *auraFlow) Latent(r Request) Latent { return k.vae.latent(r) }

func (k *auraFlow) Guided(r Request) bool { return r.Guidance > 1 }

func (k *auraFlow) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	hidden, mask, truncated, err := k.text.encode(ctx, run, p.Text)
	if err != nil {
		return Conditioning{}, err
	}
	states, width := hidden.Float32s(), hidden.Shape[2]
	for i, m := range mask.Float32s() {
		if m == 0 {
			clear(states[i*width:][:width])
		}
	}
	return Conditioning{Inputs{"context": engine.FromFloat32s(states, hidden.Shape...)}, truncated}, nil
}

func (k *auraFlow) Inputs(_ Request, t float32) Inputs {
	return Inputs{"timestep_embedding": embedded(t)}
}

func (k *auraFlow) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *auraFlow) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
