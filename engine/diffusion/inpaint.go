package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"

	"wisp/engine/sampler"
)

// inpaint draws anew what a mask shows white, as diffusers'
// StableDiffusionInpaintPipeline and its kin for XL, 3 and FLUX do: a denoiser
// of its own is fed the mask and the picture under it; of any other one the
// latents outside of the mask are put back after each step (Lugmayr et al.
// 2022, eq. 8). What lies outside stays the picture's very pixels.
type inpaint struct {
	unchanged
	picture, mask *image.NRGBA    // as given; the mask grey and blurred
	crop          image.Rectangle // of both, that is drawn
	start         int             // steps left out
	whole         bool            // begin with noise alone
	keep          []float32       // 1 where latents are drawn, else 0
	latent        posterior       // of the picture
	masked        posterior       // of the picture without what is drawn, for a denoiser that reads it
	clean, noise  []float32       // of the picture under way: its latents, and the noise over them
}

func newInpaint(p *Pipeline, r Request) (mode, error) {
	if r.Mask == nil && r.outpaint() == (margins{}) {
		return nil, nil
	}
	picture, mask, err := r.masked()
	if err != nil {
		return nil, err
	}
	m := &inpaint{picture: picture, mask: blurred(mask, r.MaskBlur), crop: picture.Rect, whole: r.Strength == 1}
	if m.start, err = p.skipped(r); err != nil {
		return nil, err
	}
	if l := p.kind.Latent(r); l.Beside != 0 && l.Beside != l.Channels+1 {
		return nil, errors.New("mask: this model does not paint over a part of a picture")
	}
	if m.crop = maskedPart(m.mask, r.Width, r.Height, r.MaskPadding); m.crop.Empty() {
		return nil, errors.New("mask is black everywhere: make white what is to be drawn")
	}
	if !r.OnlyMasked {
		m.crop = picture.Rect
	}
	return m, nil
}

// margins are pixels to be drawn around a picture.
type margins struct{ left, top, right, bottom int }

func (r Request) outpaint() margins {
	return margins{r.OutpaintLeft, r.OutpaintTop, r.OutpaintRight, r.OutpaintBottom}
}

// masked is what is painted over, on white where it shows through, and where, as
// grey, both with the margins of the request. The margins are filled with the
// picture's edge.
func (r Request) masked() (picture, mask *image.NRGBA, err error) {
	if r.Image == nil {
		return nil, nil, errors.New("mask and outpaint: there is no image to paint over: give it, too")
	}
	if err := checkPicture("image", r.Image); err != nil {
		return nil, nil, err
	}
	mask = image.NewNRGBA(r.Image.Rect)
	if r.Mask != nil {
		if err := checkPicture("mask", r.Mask); err != nil {
			return nil, nil, err
		}
		if r.Mask.Rect != r.Image.Rect {
			return nil, nil, fmt.Errorf("mask is %v, the image %v: make them of one size", r.Mask.Rect.Size(), r.Image.Rect.Size())
		}
		mask = grey(r.Mask)
	}
	m, size := r.outpaint(), r.Image.Rect.Size()
	for _, v := range []int{m.left, m.top, m.right, m.bottom, r.MaskBlur, r.MaskPadding} {
		if v < 0 || v > maxSide {
			return nil, nil, fmt.Errorf("outpaint, mask blur or mask padding is %d: choose 0 to %d", v, maxSide)
		}
	}
	if err := CheckSize("image with outpaint", size.X+m.left+m.right, size.Y+m.top+m.bottom); err != nil {
		return nil, nil, err
	}
	return extended(opaque(r.Image), m), bordered(mask, m), nil
}

func (m *inpaint) plan(p *sampler.Plan) { p.Start = m.start }

func (m *inpaint) feeds() bool { return true }

func (m *inpaint) begin(ctx context.Context, d *drawing) (err error) {
	w, h := d.r.Width, d.r.Height
	shape := func(img *image.NRGBA) *image.NRGBA {
		if d.r.OnlyMasked {
			return filled(part(img, m.crop), w, h)
		}
		return resample(img, w, h)
	}
	rgb, white := colours(shape(m.picture)), shape(m.mask)
	m.keep = d.latent.mask(white)
	if d.latent.Beside == 0 || !m.whole {
		if m.latent, err = d.encode(ctx, rgb); err != nil {
			return err
		}
	}
	if d.latent.Beside == 0 {
		m.masked = posterior{deviation: m.latent.deviation} // it takes noise all the same
		return nil
	}
	for i := range rgb {
		if white.Pix[i/3*4] >= half {
			rgb[i] = 0
		}
	}
	m.masked, err = d.encode(ctx, rgb)
	return err
}

func (m *inpaint) first(d *drawing, n *noise) []float32 {
	if m.latent.mean != nil {
		m.clean = m.latent.sample(n)
	}
	m.noise = n.next()
	x := append([]float32(nil), m.noise...)
	if m.whole {
		for i := range x {
			x[i] *= d.s.InitSigma()
		}
	} else {
		copy(x, m.clean)
		d.s.AddNoise(0, x, m.noise)
	}
	if d.latent.Beside == 0 {
		if m.masked.deviation != nil {
			n.next()
		}
		return x
	}
	l, masked := d.latent, m.masked.sample(n)
	beside := make([]float32, 0, l.Height*l.Width*l.Beside)
	for i := 0; i < len(x); i += l.Channels {
		beside = append(append(beside, m.keep[i]), masked[i:i+l.Channels]...)
	}
	for i := range d.guide.rows {
		d.guide.rows[i].Beside = beside
	}
	return x
}

func (m *inpaint) after(d *drawing, i int, x []float32) {
	if d.latent.Beside != 0 {
		return
	}
	known := append([]float32(nil), m.clean...)
	if i+1 < len(d.s.Timesteps()) {
		d.s.AddNoise(i+1, known, m.noise)
	}
	for j, k := range m.keep {
		x[j] = (1-k)*known[j] + k*x[j]
	}
}

// finish puts back what lies outside of the mask, at the picture's own size
// where a part of it was drawn, else at the request's.
func (m *inpaint) finish(d *drawing, img *image.NRGBA) *image.NRGBA {
	if !d.r.OnlyMasked {
		return over(img, resample(m.picture, d.r.Width, d.r.Height), resample(m.mask, d.r.Width, d.r.Height))
	}
	drawn := covered(img, m.crop.Dx(), m.crop.Dy())
	out := opaque(m.picture)
	for y := range drawn.Rect.Dy() {
		copy(out.Pix[out.PixOffset(m.crop.Min.X, m.crop.Min.Y+y):], drawn.Pix[y*drawn.Stride:][:drawn.Stride])
	}
	return over(out, m.picture, m.mask)
}
