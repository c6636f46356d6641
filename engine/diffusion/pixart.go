package diffusion

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
)

// pixart is diffusers' PixArtAlphaPipeline and PixArtSigmaPipeline: T5 and a
// diffusion transformer. Chen et al. 2023, 2024. Pictures are drawn at the size
// asked for, as with use_resolution_binning False, and prompts are read in lower
// case, as with clean_caption False.
type pixart struct {
	text        *t5Text
	few         distilled
	transformer transformer
	vae         decoder
}

func newPixArt(m Configs) (Kind, error) {
	var index struct {
		Class string `json:"_class_name"`
	}
	if err := parse(m, "model_index", &index); err != nil {
		return nil, err
	}
	tokens := 120
	if index.Class == "PixArtSigmaPipeline" {
		tokens = 300
	}
	k := &pixart{}
	var err error
	if k.text, err = newT5(m, "", tokens, true); err != nil {
		return nil, err
	}
	if k.text == nil {
		return nil, errors.New("the model has no text_encoder")
	}
	if k.few, err = readDistilled(m, 4); err != nil {
		return nil, err
	}
	if k.transformer, err = newTransformer(m, model.PixArt); err != nil {
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

func (k *pixart) Nets() []Net {
	return []Net{k.text.net(), k.transformer.net(k, k.text.tokens), k.vae.net(), k.vae.encoder()}
}

func (k *pixart) Open(m Model) error { return k.text.open(m) }

func (k *pixart) Defaults() Request {
	r := k.transformer.defaults(k.vae, 64)
	r.Steps, r.Guidance = 20, 4.5
	k.few.apply(&r)
	return r
}

func (k *pixart) Fields() Fields { return k.transformer.fields(k.vae) }

func (k *pixart) Latent(r Request) Latent { return k.vae.latent(r) }

func (k *pixart) Guided(r Request) bool { return r.Guidance > 1 }

func (k *pixart) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	hidden, mask, truncated, err := k.text.encode(ctx, run, strings.TrimSpace(strings.ToLower(p.Text)))
	in := Inputs{"context": hidden, "mask": mask}
	if k.transformer.facts.Sized {
		h, w := float32(p.Height), float32(p.Width)
		in["resolution_embedding"] = engine.FromFloat32s(model.TimestepEmbedding256(h, w), 1, 2, 256)
		in["aspect_ratio_embedding"] = embedded(h / w)
	}
	return Conditioning{in, truncated}, err
}

func (k *pixart) Inputs(_ Request, t float32) Inputs {
	return Inputs{"timestep_embedding": embedded(t)}
}

func (k *pixart) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *pixart) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
