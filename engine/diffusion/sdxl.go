package diffusion

import (
	"cmp"
	"context"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// stableDiffusionXL is diffusers' StableDiffusionXLPipeline: two CLIP text
// encoders, whose last layers but one lie side by side, and a UNet conditioned
// on the pooled text and on the picture's size. Podell et al. 2023. Turbo,
// Lightning, SSD-1B, Vega and Playground v2.5 are configurations of it.
type stableDiffusionXL struct {
	texts  [2]*clipText // the refiner lacks the first
	ids    int          // how many numbers tell of the picture's size
	few    distilled
	unet   unetPart
	vae    decoder
	scaled bool // a picture to be changed is scaled as the latents are: CosXL's
	zeros  bool // an empty negative prompt is zeros, not an encoded text; ComfyUI always encodes it
}

func newStableDiffusionXL(m Configs) (_ Kind, err error) {
	k := &stableDiffusionXL{ids: 6}
	for i, suffix := range []string{"", "_2"} {
		if k.texts[i], err = newPenultimate(m, suffix); err != nil {
			return nil, err
		}
	}
	k.texts[1].withPooled(model.WithProjection())
	return k, k.read(m)
}

// read reads all but the text encoders.
func (k *stableDiffusionXL) read(m Configs) (err error) {
	if k.unet, err = newUNet(m); err != nil {
		return err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return err
	}
	if k.few, err = readDistilled(m, 4); err != nil {
		return err
	}
	k.vae.precise, k.zeros = k.vae.facts.Upcast, true
	if err := parse(m, "model_index", &struct {
		Zeros  *bool `json:"force_zeros_for_empty_prompt"`
		Scaled *bool `json:"is_cosxl_edit"`
	}{&k.zeros, &k.scaled}); err != nil {
		return err
	}
	return cmp.Or(k.fits(), k.unet.fits(k.vae))
}

func (k *stableDiffusionXL) fits() error {
	u, w := k.unet.facts, k.texts[1].facts.Width
	if k.texts[0] != nil {
		w += k.texts[0].facts.Width
	}
	if w != u.Context {
		return fmt.Errorf("the text encoders make states of width %d in all, unet takes %d", w, u.Context)
	}
	if w := k.texts[1].facts.Projected + k.ids*u.AddedTime; w != u.Added {
		return fmt.Errorf("unet takes added conditions of width %d, its pooled text and %d time ids are %d", u.Added, k.ids, w)
	}
	return nil
}

func (k *stableDiffusionXL) Nets() []Net {
	return []Net{k.texts[0].net(), k.texts[1].net(), k.unet.net(k.vae.facts.Factor, k.texts[0].tokens), k.vae.net(), k.vae.encoder()}
}

func (k *stableDiffusionXL) Open(m Model) error {
	for _, t := range k.texts {
		if err := t.open(m); err != nil {
			return err
		}
	}
	if a, b := k.texts[0].tokens(), k.texts[1].tokens(); a != b {
		return fmt.Errorf("tokenizer makes %d tokens, tokenizer_2 %d", a, b)
	}
	return nil
}

func (k *stableDiffusionXL) Defaults() Request {
	r := k.unet.size(k.vae.facts.Factor)
	r.Steps, r.Guidance = 30, 5
	if k.few.apply(&r); k.unet.facts.TimestepCond != 0 {
		r.Steps, r.Guidance = 4, 8.5
	}
	return r
}

func (k *stableDiffusionXL) Fields() Fields {
	return Fields{
		Prompt: true, Weights: true, Guidance: true, NegativePrompt: k.unet.facts.TimestepCond == 0, SecondPrompt: true,
		ClipSkip: min(k.texts[0].facts.Layers, k.texts[1].facts.Layers), Penultimate: true, Branches: k.unet.facts.Branches,
		Multiple: k.vae.facts.Factor,
	}
}

func (k *stableDiffusionXL) Latent(r Request) Latent {
	l := k.unet.latent(k.vae, r)
	l.Scaled = k.scaled
	return l
}

func (k *stableDiffusionXL) Guided(r Request) bool { return k.unet.guided(r) }

func (k *stableDiffusionXL) steered() (unetPart, int) { return k.unet, k.vae.facts.Factor }

func (k *stableDiffusionXL) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	first, cut, err := k.texts[0].encode(ctx, run, p.Text, p)
	if err != nil {
		return Conditioning{}, err
	}
	second, cutToo, err := k.texts[1].encode(ctx, run, p.second(), p)
	if err != nil {
		return Conditioning{}, err
	}
	if a, b := first["hidden"].Shape[1], second["hidden"].Shape[1]; a != b {
		return Conditioning{}, fmt.Errorf("the tokenizers cut the prompt into %d and %d tokens", a, b)
	}
	context, pooled := beside(first["hidden"], second["hidden"]), second["pooled"].Float32s()
	if k.blank(p) {
		clear(context.Data)
		clear(pooled)
	}
	h, w := float32(p.Height), float32(p.Width)
	times := k.unet.facts.AddedEmbedding([]float32{h, w, 0, 0, h, w}) // original size, corner of the crop, target size
	added := engine.FromFloat32s(append(pooled, times...), 1, k.unet.facts.Added)
	return Conditioning{Inputs{"context": context, "added_embedding": added}, cut || cutToo}, nil
}

// blank tells whether a prompt is zeros.
func (k *stableDiffusionXL) blank(p Prompt) bool {
	return p.Negative && p.Text == "" && k.zeros && p.Syntax != syntaxComfyUI
}

func (k *stableDiffusionXL) Inputs(r Request, t float32) Inputs { return k.unet.inputs(r, t) }

func (k *stableDiffusionXL) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *stableDiffusionXL) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
