package diffusion

import (
	"context"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// refiner is diffusers' StableDiffusionXLImg2ImgPipeline without the first text
// encoder: Stable Diffusion XL's second model, which redraws what the first made
// and is conditioned on how good a picture is thought to be. Podell et al. 2023.
type refiner struct {
	stableDiffusionXL
	scored bool
}

// The scores of the pipeline, of what to draw and of what to avoid.
const (
	goodScore = 6.0
	poorScore = 2.5
)

// newXLImageToImage is Stable Diffusion XL itself where both encoders are there.
func newXLImageToImage(m Configs) (Kind, error) {
	if _, ok := m.Config("text_encoder"); ok {
		return newStableDiffusionXL(m)
	}
	k := &refiner{stableDiffusionXL: stableDiffusionXL{ids: 6}}
	text, err := newPenultimate(m, "_2")
	if err != nil {
		return nil, err
	}
	text.withPooled(model.WithProjection())
	k.texts[1] = text
	index := struct {
		Scored bool `json:"requires_aesthetics_score"`
	}{}
	if err := parse(m, "model_index", &index); err != nil {
		return nil, err
	}
	if k.scored = index.Scored; k.scored {
		k.ids = 5
	}
	return k, k.read(m)
}

func (k *refiner) Nets() []Net {
	return []Net{k.texts[1].net(), k.unet.net(k.vae.facts.Factor, k.texts[1].tokens), k.vae.net(), k.vae.encoder()}
}

func (k *refiner) Open(m Model) error { return k.texts[1].open(m) }

func (k *refiner) Fields() Fields {
	return Fields{Prompt: true, Weights: true, Guidance: true, NegativePrompt: true, ClipSkip: k.texts[1].facts.Layers, Penultimate: true, Branches: k.unet.facts.Branches, Multiple: k.vae.facts.Factor}
}

func (k *refiner) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	out, cut, err := k.texts[1].encode(ctx, run, p.Text, p)
	if err != nil {
		return Conditioning{}, err
	}
	context, pooled := out["hidden"], out["pooled"].Float32s()
	if k.blank(p) {
		clear(context.Data)
		clear(pooled)
	}
	h, w := float32(p.Height), float32(p.Width)
	ids := []float32{h, w, 0, 0, h, w} // original size, corner of the crop, target size or score
	if k.scored {
		if ids = append(ids[:4], goodScore); p.Negative {
			ids[4] = poorScore
		}
	}
	added := append(pooled, k.unet.facts.AddedEmbedding(ids)...)
	if len(added) != k.unet.facts.Added {
		return Conditioning{}, fmt.Errorf("the added conditions are %d wide, unet takes %d", len(added), k.unet.facts.Added)
	}
	return Conditioning{Inputs{"context": context, "added_embedding": engine.FromFloat32s(added, 1, len(added))}, cut}, nil
}
