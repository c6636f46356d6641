package diffusion

import (
	"fmt"
	"slices"

	"wisp/engine"
	"wisp/engine/model"
)

// ControlNets of transformers, which read a picture's latents.

// fed makes of what a request says, for all rows, what such a ControlNet reads
// besides.
func (c *controlNet) feed(r Request, given Control, fed Inputs) {
	batch := fed["timestep_embedding"].Shape[0]
	same := func(t engine.Tensor) engine.Tensor { return chosen(t, make([]int, batch)) }
	if c.tokens.Unpooled {
		fed["pooled"] = engine.NewTensor(engine.F32, batch, c.tokens.Pooled)
	}
	if c.tokens.Guidance {
		fed["guidance_embedding"] = same(embedded(1000 * r.Guidance))
	}
}

// fitsTransformer validates that a ControlNet is for a transformer of these facts.
func fitsTransformer(c model.TransformerControl, f model.TransformerFacts) error {
	if c.In != f.In || c.Context != f.Context || c.Pooled != f.Pooled || c.Dim != f.Inner {
		return fmt.Errorf("it is for another model: it reads latents of %d, texts of %d and %d, tokens of %d, the model's are %d, %d, %d and %d",
			c.In, c.Context, c.Pooled, c.Dim, f.In, f.Context, f.Pooled, f.Inner)
	}
	return nil
}

func (k *stableDiffusion3) controlNet(config []byte) (*controlNet, error) {
	f, err := model.ReadSD3Control(config)
	if err == nil {
		err = fitsTransformer(f, k.transformer.facts)
	}
	c := &controlNet{tokens: &f, reads: []string{"context", "timestep_embedding", "pooled"}}
	largest := k.largest()
	c.Fixed, c.Middle = []string{"context", "condition"}, []string{"pos_embed.pos_embed"}
	c.Graph = func(s Size) (*engine.Graph, error) {
		return model.SD3Control(config, s.Batch, s.Height, s.Width, s.Tokens, largest)
	}
	// diffusers samples the latents, of noise that no seed gives: the mean is taken.
	c.latents = func(at posterior, _ *noise) []float32 {
		x := slices.Clone(at.mean)
		if f.Unpooled { // InstantX's, which were trained on latents that are not shifted
			for i, v := range k.vae.facts.Normalise(make([]float32, len(x))) {
				x[i] -= v
			}
		}
		return x
	}
	return c, err
}

func (k *flux) controlNet(config []byte) (*controlNet, error) {
	f, err := model.ReadFluxControl(config)
	if err == nil {
		err = fitsTransformer(f, k.transformer.facts)
	}
	c := &controlNet{tokens: &f, modes: f.Modes, reads: []string{"context", "timestep_embedding", "pooled"}}
	c.Fixed = []string{"context", "condition"}
	c.Graph = func(s Size) (*engine.Graph, error) {
		return model.FluxControl(config, s.Batch, s.Height, s.Width, s.Tokens)
	}
	c.latents = func(at posterior, n *noise) []float32 { return at.sample(n) }
	return c, err
}
