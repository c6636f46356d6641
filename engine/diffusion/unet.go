package diffusion

import (
	"cmp"
	"errors"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// unetPart is a UNet2DConditionModel as the kinds that have one use it.
type unetPart struct {
	config []byte
	facts  model.UNetFacts
}

func newUNet(m Configs) (u unetPart, err error) {
	var ok bool
	if u.config, ok = m.Config("unet"); !ok {
		return u, errors.New("the model has no unet")
	}
	if u.facts, err = model.ReadUNet(u.config); err == nil && u.facts.Labelled {
		err = errors.New("unet config: num_class_embeds or class_embed_type asks for a class, which this pipeline does not give")
	}
	return u, err
}

// fits validates that the UNet's latents are those that the decoder takes.
func (u unetPart) fits(d decoder) error {
	if beside := u.beside(); u.facts.Out != d.facts.Latent || beside != 0 && beside != u.facts.Out && beside != u.facts.Out+1 {
		return fmt.Errorf("unet makes %d of %d channels, vae decodes %d", u.facts.Out, u.facts.In, d.facts.Latent)
	}
	return nil
}

// beside is how many channels it reads after the sample's.
func (u unetPart) beside() int { return u.facts.In - u.facts.Out }

// latent is what the UNet walks.
func (u unetPart) latent(d decoder, r Request) Latent {
	l := d.latent(r)
	l.Beside = u.beside()
	return l
}

// guided tells whether guidance takes a second row: a UNet that embeds it does
// without.
func (u unetPart) guided(r Request) bool { return r.Guidance > 1 && u.facts.TimestepCond == 0 }

// net draws the UNet for texts of that many tokens.
func (u unetPart) net(factor int, tokens func() int) Net {
	return Net{
		Component: "unet", Denoiser: true, Fixed: []string{"context"},
		Size: func(r Request) Size {
			s := Size{Batch: 1, Height: r.Height / factor, Width: r.Width / factor, Tokens: tokens()}
			if u.guided(r) {
				s.Batch = 2
			}
			if u.beside() == u.facts.Out && s.Batch == 2 { // see edit
				s.Batch = 3
			}
			return s
		},
		Graph: func(s Size) (*engine.Graph, error) {
			var options []model.UNetOption
			if s.Images > 0 {
				options = append(options, model.WithImagePrompt(s.Images))
			}
			if s.Kept > 0 {
				options = append(options, model.WithKept(s.Kept-1))
			}
			if s.Adapter > 0 {
				options = append(options, model.WithAdapter(s.Adapter))
			}
			switch {
			case s.Deep > 0:
				options = append(options, model.WithDeep(s.Deep-1))
			case s.Deep < 0:
				options = append(options, model.FromDeep(-s.Deep-1))
			}
			if s.Control {
				options = append(options, model.WithControl())
			}
			return model.UNet2DCondition(u.config, s.Batch, s.Height, s.Width, s.Tokens, options...)
		},
	}
}

// size is a request of the size that the UNet was trained at.
func (u unetPart) size(factor int) Request {
	return Request{Width: cmp.Or(u.facts.Width, 64) * factor, Height: cmp.Or(u.facts.Height, 64) * factor, Count: 1}
}

func (u unetPart) inputs(r Request, t float32) Inputs {
	f := u.facts
	in := Inputs{"timestep_embedding": engine.FromFloat32s(f.TimestepEmbedding([]float32{t}), 1, f.Embedding)}
	if f.TimestepCond != 0 { // diffusers' get_guidance_scale_embedding: sines first, no shift of frequencies but one
		w := []float32{(r.Guidance - 1) * 1000}
		in["timestep_cond"] = engine.FromFloat32s(model.TimestepEmbedding(w, f.TimestepCond, false, 1), 1, f.TimestepCond)
	}
	return in
}
