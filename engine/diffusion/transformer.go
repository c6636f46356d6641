package diffusion

import (
	"cmp"
	"errors"

	"wisp/engine"
	"wisp/engine/model"
)

// transformer is a diffusion transformer as the kinds that have one use it.
type transformer struct {
	config []byte
	facts  model.TransformerFacts
	graph  func(config []byte, batch, h, w, tokens int) (*engine.Graph, error)
}

// newTransformer reads the config of the component "transformer".
func newTransformer(m Configs, graph func(config []byte, batch, h, w, tokens int) (*engine.Graph, error)) (t transformer, err error) {
	var ok bool
	if t.config, ok = m.Config("transformer"); !ok {
		return t, errors.New("the model has no transformer")
	}
	t.graph = graph
	t.facts, err = model.ReadTransformer(t.config)
	return t, err
}

// net draws the transformer for texts of that many tokens.
func (t transformer) net(k Kind, tokens int) Net {
	return Net{
		Component: "transformer", Denoiser: true, Fixed: []string{"context", "mask"},
		Size: func(r Request) Size {
			l := k.Latent(r)
			s := Size{Batch: 1, Height: l.Height, Width: l.Width, Tokens: tokens}
			if k.Guided(r) {
				s.Batch = 2
			}
			return s
		},
		Graph: func(s Size) (*engine.Graph, error) { return t.graph(t.config, s.Batch, s.Height, s.Width, s.Tokens) },
	}
}

// defaults is a request of the size that the transformer was trained at, of
// that many latents where its config has none.
func (t transformer) defaults(vae decoder, latents int) Request {
	f := vae.facts.Factor
	return Request{Width: cmp.Or(t.facts.Width, latents) * f, Height: cmp.Or(t.facts.Height, latents) * f, Count: 1}
}

// fields are those of every kind with a transformer.
func (t transformer) fields(vae decoder) Fields {
	f := vae.facts.Factor
	return Fields{Prompt: true, NegativePrompt: true, Guidance: true, Multiple: f * t.facts.Multiple, Largest: f * t.facts.Largest}
}

// embedded is an input (1, 256) of a timestep or its like.
func embedded(v float32) engine.Tensor {
	return engine.FromFloat32s(model.TimestepEmbedding256(v), 1, 256)
}
