package diffusion

import (
	"context"
	"fmt"
	"image"

	"wisp/engine"
	"wisp/engine/model"
)

// flux2 is diffusers' Flux2KleinPipeline: three states of Qwen3 side by side and
// a transformer over latents packed by squares of 2 × 2 and normalised by a batch
// norm's moments. Black Forest Labs 2025. A distilled model has no guidance. The
// decoder may be an AutoencoderTiny, which takes the normalised latents.
type flux2 struct {
	text        *qwenText
	transformer transformer
	vae         decoder
	distilled   bool
}

func newFlux2Klein(m Configs) (Kind, error) {
	k := &flux2{}
	err := parse(m, "model_index", &struct {
		Distilled *bool `json:"is_distilled"`
	}{&k.distilled})
	if err != nil {
		return nil, err
	}
	if k.text, err = newQwen(m, true, 9, 18, 27); err != nil {
		return nil, err
	}
	if k.transformer, err = newTransformer(m, nil); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	f := k.transformer.facts
	switch {
	case f.Guidance:
		return nil, fmt.Errorf("transformer: guidance_embeds is not drawn by this pipeline")
	case len(k.text.states)*k.text.facts.Width != f.Context:
		return nil, fmt.Errorf("text_encoder makes states of width %d, of which the transformer takes three of %d in all", k.text.facts.Width, f.Context)
	case k.tiny() && f.In%(fluxPatch*fluxPatch) != 0:
		return nil, fmt.Errorf("transformer takes %d channels, not packed by %d × %d", f.In, fluxPatch, fluxPatch)
	case k.tiny():
		return k, k.vae.takes(f.In / (fluxPatch * fluxPatch))
	}
	return k, k.vae.takes(f.In)
}

// tiny tells that the decoder takes latents as they are, not packed.
func (k *flux2) tiny() bool { return k.vae.facts.NormEps == 0 }

// factor is how many pixels a packed latent spans in each direction.
func (k *flux2) factor() int {
	if k.tiny() {
		return k.vae.facts.Factor * fluxPatch
	}
	return k.vae.facts.Factor
}

func (k *flux2) Nets() []Net {
	net := k.transformer.net(k, qwenTokens)
	size := net.Size
	net.Size = func(r Request) Size {
		s := size(r)
		s.References = followed(k, r.References, k.factor())
		return s
	}
	net.Graph = func(s Size) (*engine.Graph, error) {
		var options []model.Flux2Option
		for _, r := range s.References {
			if r != [2]int{} {
				options = append(options, model.References(r))
			}
		}
		return model.Flux2(k.transformer.config, s.Batch, s.Height, s.Width, s.Tokens, options...)
	}
	return []Net{k.text.net(qwenTokens), net, k.vae.net(), k.vae.encoder()}
}

func (k *flux2) Open(m Model) error { return k.text.open(m) }

// Defaults are those of the models' cards.
func (k *flux2) Defaults() Request {
	r := Request{Width: 64 * k.factor(), Height: 64 * k.factor(), Count: 1, Steps: 50, Guidance: 4, Schedule: "trailing"}
	if k.distilled {
		r.Steps, r.Guidance = 4, 1
	}
	return r
}

func (k *flux2) Fields() Fields {
	return Fields{Prompt: true, References: true, NegativePrompt: !k.distilled, Guidance: !k.distilled, Multiple: k.factor()}
}

func (k *flux2) Latent(r Request) Latent {
	return Latent{Height: r.Height / k.factor(), Width: r.Width / k.factor(), Channels: k.transformer.facts.In}
}

func (k *flux2) Guided(r Request) bool { return r.Guidance > 1 && !k.distilled }

// referred is a following's: to whole packed latents.
func (k *flux2) referred(img *image.NRGBA) (whole, read image.Point) {
	return withinMillion(img, k.factor())
}

// shift is diffusers' compute_empirical_mu: a line over the tokens for 10 steps
// and one for 200, and a line between them.
func (k *flux2) shift(tokens, steps int) float64 {
	n := float64(tokens)
	few, many := 8.73809524e-05*n+1.89833333, 0.00016927*n+0.45666666
	if tokens > 4300 {
		return many
	}
	slope := (many - few) / 190
	return slope*float64(steps) + many - 200*slope
}

func (k *flux2) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	hidden, _, truncated, err := k.text.encode(ctx, run, p.Text, qwenTokens)
	return Conditioning{Inputs{"context": hidden}, truncated}, err
}

func (k *flux2) Inputs(_ Request, t float32) Inputs { return Inputs{"timestep_embedding": embedded(t)} }

func (k *flux2) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	p, err := k.vae.posterior(ctx, run, r, rgb)
	if k.tiny() && err == nil {
		p = p.pack(k.packed(r))
	}
	return p, err
}

func (k *flux2) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	if k.tiny() {
		x = k.packed(r).unpack(x)
	}
	return k.vae.decode(ctx, run, r, x)
}

// packed is the latent as squares of the tiny decoder's latents.
func (k *flux2) packed(r Request) Latent {
	l := k.Latent(r)
	l.Patch = fluxPatch
	return l
}
