package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"
)

// edit changes a picture as the prompt tells: InstructPix2Pix, Brooks et al.
// 2023, as diffusers' pipelines of that name have it. The denoiser reads the
// picture's latents beside its own, and is evaluated with both conditions, with
// the picture alone, and with none (eq. 3).
type edit struct {
	unchanged
	image *image.NRGBA
}

// mostGuidance bounds a scale of guidance.
const mostGuidance = 100

func newEdit(p *Pipeline, r Request) (mode, error) {
	l := p.kind.Latent(r)
	if l.Beside == 0 || l.Beside != l.Channels {
		return nil, nil
	}
	if r.Image == nil {
		return nil, errors.New("image: this model changes pictures: give one")
	}
	if !(r.ImageGuidance >= 0 && r.ImageGuidance <= mostGuidance) {
		return nil, fmt.Errorf("image guidance is %v: choose 0 to %d", r.ImageGuidance, mostGuidance)
	}
	return &edit{image: r.Image}, checkPicture("image", r.Image)
}

func (m *edit) feeds() bool { return true }

func (m *edit) begin(ctx context.Context, d *drawing) error {
	at, err := d.encode(ctx, colours(resized(m.image, d.r.Width, d.r.Height)))
	if err != nil {
		return err
	}
	latents := at.raw
	if d.latent.Scaled {
		latents = at.mean
	}
	g, image := d.r.Guidance, d.r.ImageGuidance
	last := len(d.guide.rows) - 1
	if cond := d.guide.rows[last].In; last == 0 || image < 1 {
		d.guide.rows = []Row{{In: cond, Weight: 1, Beside: latents}}
	} else {
		uncond := d.guide.rows[0].In
		d.guide.rows = []Row{
			{In: cond, Weight: g, Beside: latents},
			{In: uncond, Weight: image - g, Beside: latents},
			{In: uncond, Weight: 1 - image, Beside: make([]float32, len(latents))},
		}
	}
	return nil
}
