package diffusion

import (
	"wisp/engine"
	"wisp/engine/model"
)

// uViT draws a class as DiT's pipeline does, with Bao et al.'s U-ViT. Guidance
// counts as there, one more than the paper's.
type uViT struct{ *dit }

func newUViT(m Configs) (Kind, error) {
	d, err := readDiT(m, model.UViT)
	return uViT{d}, err
}

func (k uViT) Defaults() Request {
	r := k.dit.Defaults()
	r.Steps, r.Guidance = 50, 1.4
	return r
}

func (k uViT) Inputs(_ Request, t float32) Inputs {
	width := k.transformer.facts.Embedding
	return Inputs{"timestep_embedding": engine.FromFloat32s(model.TimestepEmbedding([]float32{t}, width, true, 0), 1, width)}
}
