package diffusion

import (
	"context"
	"errors"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// uViT draws a class as DiT's pipeline does, with Bao et al.'s U-ViT. Guidance
// counts as there, one more than the paper's.
type uViT struct{ *dit }

func newUViT(m Configs) (Kind, error) {
	t, err := newTransformer(m, func(config []byte, batch, h, w, _ int) (*engine.Graph, error) { return model.UViT(config, batch, h, w) })
	if err != nil {
		return nil, err
	}
	if t.facts.Context != 0 {
		return newUViTText(m, t)
	}
	if _, ok := m.Config("vae"); !ok {
		return newUViTPixels(t)
	}
	if t.facts.Classes == 0 {
		return nil, errors.New("transformer has neither clip_dim nor num_classes, of which this pipeline draws latents")
	}
	d, err := readDiT(m, model.UViT)
	return uViT{d}, err
}

func (k uViT) Defaults() Request { return k.transformer.uViTDefaults(k.vae.facts.Factor) }

func (t transformer) uViTDefaults(factor int) Request {
	return Request{Width: t.facts.Width * factor, Height: t.facts.Height * factor, Count: 1, Steps: 50, Guidance: 1.4}
}

func (k uViT) Inputs(_ Request, t float32) Inputs { return k.transformer.uViTInputs(t) }

func (t transformer) uViTInputs(at float32) Inputs {
	width := t.facts.Embedding
	return Inputs{"timestep_embedding": engine.FromFloat32s(model.TimestepEmbedding([]float32{at}, width, true, 0), 1, width)}
}

// uViTText is the form that draws a text, as CLIP reads it.
type uViTText struct {
	text        *clipText
	transformer transformer
	vae         decoder
}

func newUViTText(m Configs, t transformer) (Kind, error) {
	k := &uViTText{transformer: t}
	var err error
	if k.text, err = newCLIP(m, ""); err != nil {
		return nil, err
	}
	k.text.bare = true
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	if w := k.text.facts.Width; w != t.facts.Context {
		return nil, fmt.Errorf("text_encoder makes states of width %d, transformer takes %d", w, t.facts.Context)
	}
	return k, k.vae.takes(t.facts.In)
}

func (k *uViTText) Nets() []Net {
	return []Net{k.text.net(), k.transformer.net(k, k.transformer.facts.Tokens), k.vae.net(), k.vae.encoder()}
}

func (k *uViTText) Open(m Model) error {
	if err := k.text.open(m); err != nil {
		return err
	}
	if n := k.text.tokens(); n != k.transformer.facts.Tokens {
		return fmt.Errorf("tokenizer makes %d tokens, transformer takes %d", n, k.transformer.facts.Tokens)
	}
	return nil
}

func (k *uViTText) Defaults() Request { return k.transformer.uViTDefaults(k.vae.facts.Factor) }

func (k *uViTText) Fields() Fields {
	f := k.transformer.fields(k.vae)
	f.ClipSkip = k.text.facts.Layers
	return f
}

func (k *uViTText) Latent(r Request) Latent { return k.vae.latent(r) }

func (k *uViTText) Guided(r Request) bool { return r.Guidance > 1 }

func (k *uViTText) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	out, truncated, err := k.text.encode(ctx, run, p.Text, p)
	return Conditioning{Inputs{"context": out["hidden"]}, truncated}, err
}

func (k *uViTText) Inputs(_ Request, t float32) Inputs { return k.transformer.uViTInputs(t) }

func (k *uViTText) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *uViTText) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}

// uViTPixels is the form whose sample is the picture, of a class or of none.
type uViTPixels struct{ transformer transformer }

func newUViTPixels(t transformer) (Kind, error) {
	if t.facts.In != 3 {
		return nil, fmt.Errorf("the model has no vae, and transformer draws %d channels where a picture has 3", t.facts.In)
	}
	return uViTPixels{t}, nil
}

func (k uViTPixels) Nets() []Net { return []Net{k.transformer.net(k, 0)} }

func (k uViTPixels) Open(Model) error { return nil }

func (k uViTPixels) Defaults() Request { return k.transformer.uViTDefaults(1) }

func (k uViTPixels) Fields() Fields {
	f := k.transformer.facts
	return Fields{Classes: f.Classes, Multiple: f.Multiple, Largest: f.Largest}
}

func (k uViTPixels) Latent(r Request) Latent {
	return Latent{Height: r.Height, Width: r.Width, Channels: 3}
}

func (k uViTPixels) Guided(Request) bool { return false }

func (k uViTPixels) Encode(_ context.Context, _ Runner, p Prompt) (Conditioning, error) {
	if k.transformer.facts.Classes == 0 {
		return Conditioning{}, nil
	}
	return Conditioning{Inputs: Inputs{"class_labels": engine.FromInt32s([]int32{int32(p.Class)}, 1)}}, nil
}

func (k uViTPixels) Inputs(_ Request, t float32) Inputs { return k.transformer.uViTInputs(t) }

func (k uViTPixels) Posterior(_ context.Context, _ Runner, _ Request, rgb []float32) (posterior, error) {
	return posterior{mean: rgb}, nil
}

func (k uViTPixels) Decode(_ context.Context, _ Runner, _ Request, x []float32) ([]float32, error) {
	return x, nil
}
