package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/sampler"
)

// sdUpscale is diffusers' StableDiffusionUpscalePipeline: a UNet that reads, beside
// its latents, a small picture of as many pixels with some noise, and how much. The
// picture that it draws is as many times as large as a latent has pixels.
type sdUpscale struct {
	*stableDiffusion
	low sampler.Config // whose noise the small picture has
	max int            // the most of it, a training step
}

// defaultNoiseLevel and the model's bound are the pipeline's.
const (
	defaultNoiseLevel = 20
	mostNoiseLevel    = 350
)

func newSDUpscale(m Configs) (Kind, error) {
	k := &sdUpscale{stableDiffusion: &stableDiffusion{}, max: mostNoiseLevel}
	var err error
	if k.text, err = newCLIP(m, ""); err != nil {
		return nil, err
	}
	var ok bool
	if k.unet.config, ok = m.Config("unet"); !ok {
		return nil, errors.New("the model has no unet")
	}
	if k.unet.facts, err = model.ReadUNet(k.unet.config); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	if err := parse(m, "model_index", &struct {
		Max *int `json:"max_noise_level"`
	}{&k.max}); err != nil {
		return nil, err
	}
	config, ok := m.Config("low_res_scheduler")
	if !ok {
		return nil, errors.New("the model has no low_res_scheduler config")
	}
	if k.low, err = sampler.ParseConfig(config); err != nil {
		return nil, err
	}
	switch u := k.unet.facts; {
	case k.text.facts.Width != u.Context:
		return nil, fmt.Errorf("text_encoder makes states of width %d, unet takes %d", k.text.facts.Width, u.Context)
	case u.Out != k.vae.facts.Latent || u.In != u.Out+3:
		return nil, fmt.Errorf("unet makes %d of %d channels, vae decodes %d and a picture has 3", u.Out, u.In, k.vae.facts.Latent)
	case u.Classes <= k.max || u.Added != 0 || u.TimestepCond != 0:
		return nil, fmt.Errorf("unet knows %d levels of noise, max_noise_level is %d", u.Classes, k.max)
	}
	return k, nil
}

func (k *sdUpscale) Nets() []Net {
	return []Net{k.text.net(), k.unet.net(k.vae.facts.Factor, k.text.tokens), k.vae.net()}
}

func (k *sdUpscale) Defaults() Request {
	r := k.unet.size(k.vae.facts.Factor)
	r.Steps, r.Guidance, r.NoiseLevel = 75, 9, defaultNoiseLevel
	return r
}

func (k *sdUpscale) Inputs(r Request, t float32) Inputs {
	in := k.unet.inputs(r, t)
	in["class_labels"] = engine.FromInt32s([]int32{int32(r.NoiseLevel)}, 1)
	return in
}

func (k *sdUpscale) Posterior(context.Context, Runner, Request, []float32) (posterior, error) {
	return posterior{}, errNoEncoder
}

// enlarges tells whether the model draws pictures larger and nothing else.
func (p *Pipeline) enlarges() bool { _, ok := p.kind.(*sdUpscale); return ok }

// enlarging is the mode in which that kind draws alone.
type enlarging struct {
	unchanged
	image *image.NRGBA
	clean float32 // of the small picture's pixels
	noisy float32 // of its noise
}

func newEnlarging(p *Pipeline, r Request) (mode, error) {
	k, ok := p.kind.(*sdUpscale)
	switch {
	case !ok:
		return nil, nil
	case r.Image == nil:
		return nil, errors.New("image: this model enlarges pictures: give one")
	case r.Mask != nil || r.outpaint() != (margins{}):
		return nil, errors.New("mask and margins: this model enlarges whole pictures")
	case r.NoiseLevel < 0 || r.NoiseLevel > k.max:
		return nil, fmt.Errorf("noise level is %d: choose 0 to %d", r.NoiseLevel, k.max)
	}
	m := &enlarging{image: r.Image}
	var err error
	if m.clean, m.noisy, err = sampler.Noised(k.low, r.NoiseLevel); err != nil {
		return nil, err
	}
	return m, checkPicture("image", r.Image)
}

func (m *enlarging) feeds() bool { return true }

// first gives the small picture its noise, before any other is drawn.
func (m *enlarging) first(d *drawing, n *noise) []float32 {
	l := d.latent
	x := colours(resized(m.image, l.Width, l.Height))
	small := *n
	small.latent.Channels = 3
	for i, v := range small.draw(n.generator.Randn) {
		x[i] = m.clean*x[i] + m.noisy*v
	}
	for i := range d.guide.rows {
		d.guide.rows[i].Beside = x
	}
	return nil
}
