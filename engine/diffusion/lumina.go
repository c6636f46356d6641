package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
)

// lumina is diffusers' LuminaPipeline: a state of Gemma and a transformer whose
// places are spread over the picture. Zhuo et al. 2024, Lumina-Next. Prompts are
// read in lower case, as with clean_caption False, and the negative one at its
// full length.
type lumina struct {
	text        *gemmaText
	transformer transformer
	vae         decoder
	side        int // of the pictures it was trained on, in pixels
}

// The max_sequence_length of diffusers' pipeline, and what it pads to a multiple
// of.
const (
	luminaTokens   = 256
	luminaMultiple = 8
)

func newLumina(m Configs) (Kind, error) {
	k := &lumina{}
	var err error
	if k.text, err = newGemma(m, -2); err != nil {
		return nil, err
	}
	if k.transformer, err = newTransformer(m, k.graph); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	var s struct {
		Inverted bool `json:"invert_sigmas"`
	}
	if err := parse(m, "scheduler", &s); err != nil {
		return nil, err
	}
	if s.Inverted { // whose first step has other places, beyond the pipeline's scaling_watershed
		return nil, errors.New("scheduler config: invert_sigmas is true, which this pipeline does not draw")
	}
	f := k.transformer.facts
	if k.text.facts.Width != f.Context {
		return nil, fmt.Errorf("text_encoder makes states of width %d, transformer takes %d", k.text.facts.Width, f.Context)
	}
	k.side = 8 * f.Width
	return k, k.vae.takes(f.In)
}

// graph has attention in proportion to the tokens of the training, whose places
// are spread over the picture.
func (k *lumina) graph(config []byte, batch, h, w, tokens int) (*engine.Graph, error) {
	base, factor := k.side/16, k.vae.facts.Factor
	spread := math.Sqrt(float64(h*factor*w*factor)) / float64(k.side)
	return model.Lumina(config, batch, h, w, tokens, model.ProportionalAttention(base*base), model.LuminaPlaces(spread, 1), model.LuminaVelocity())
}

func (k *lumina) Nets() []Net {
	return []Net{k.text.net(luminaMultiple), k.transformer.net(k, luminaMultiple), k.vae.net(), k.vae.encoder()}
}

func (k *lumina) Open(m Model) error { return k.text.open(m) }

func (k *lumina) Defaults() Request {
	r := k.transformer.defaults(k.vae, 128)
	r.Steps, r.Guidance = 30, 4
	return r
}

func (k *lumina) Fields() Fields { return k.transformer.fields(k.vae) }

func (k *lumina) Latent(r Request) Latent { return k.vae.latent(r) }

func (k *lumina) Guided(r Request) bool { return r.Guidance > 1 }

// guidedChannels: the pipeline guides the first three alone.
func (k *lumina) guidedChannels() int { return 3 }

func (k *lumina) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	text := p.Text
	if !p.Negative {
		text = strings.TrimSpace(strings.ToLower(text))
	}
	hidden, mask, truncated, err := k.text.encode(ctx, run, text, luminaTokens, luminaMultiple)
	return Conditioning{Inputs{"context": hidden, "mask": mask}, truncated}, err
}

func (k *lumina) Inputs(_ Request, t float32) Inputs {
	return Inputs{"timestep_embedding": embedded(1 - t/1000)}
}

func (k *lumina) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *lumina) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
