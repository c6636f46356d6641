package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"

	"wisp/engine/sampler"
)

// mode changes one drawing: where it begins, what the denoiser is fed, what of
// it is kept. A request may ask for several; kinds never learn of them. Embed
// [unchanged] and write what differs.
type mode interface {
	// plan may leave out the first steps.
	plan(*sampler.Plan)
	// begin prepares what the request's pictures share: it encodes what is given
	// and changes the rows.
	begin(context.Context, *drawing) error
	// first returns the x that a picture's walk begins with, nil where that is
	// not for this mode to say. It takes noise in diffusers' order.
	first(*drawing, *noise) []float32
	// before adds to what rows of the denoiser are fed at step i.
	before(ctx context.Context, d *drawing, i int, rows []Row, in Inputs) error
	// after changes x once step i is done.
	after(d *drawing, i int, x []float32)
	// feeds tells whether it gives a denoiser the channels beside the sample.
	feeds() bool
	// finish makes the picture of what was decoded.
	finish(*drawing, *image.NRGBA) *image.NRGBA
}

// unchanged is the mode that changes nothing.
type unchanged struct{}

func (unchanged) plan(*sampler.Plan)                                         {}
func (unchanged) begin(context.Context, *drawing) error                      { return nil }
func (unchanged) first(*drawing, *noise) []float32                           { return nil }
func (unchanged) before(context.Context, *drawing, int, []Row, Inputs) error { return nil }
func (unchanged) after(*drawing, int, []float32)                             {}
func (unchanged) feeds() bool                                                { return false }
func (unchanged) finish(_ *drawing, img *image.NRGBA) *image.NRGBA           { return img }

// modes make those that a request asks for, in the order in which they change a
// drawing; nil where one is not asked for. Errors name the field.
var modes = []func(*Pipeline, Request) (mode, error){
	newEdit,
	newEnlarging,
	newPromptToPrompt,
	newSteering,
	newReferring,
	newInpaint,
	newFollows,
	newImageToImage,
}

// modes are those of a request.
func (p *Pipeline) modes(r Request) (list []mode, err error) {
	for _, f := range modes {
		m, err := f(p, r)
		if err != nil {
			return nil, err
		}
		if m != nil {
			list = append(list, m)
		}
	}
	fed := slices.ContainsFunc(list, mode.feeds)
	if !fed && p.kind.Latent(r).Beside != 0 {
		return nil, errors.New("image and mask: this model paints over a part of a picture: give both")
	}
	return list, nil
}

// The bounds of a picture that a request brings: of a side and of all pixels.
const (
	maxSide   = 1 << 14
	maxPixels = 1 << 26
)

// CheckSize refuses a picture too large for a request; field says which it is.
// Errors wrap ErrBadRequest.
func CheckSize(field string, w, h int) error {
	if w < 1 || h < 1 || w > maxSide || h > maxSide || w*h > maxPixels {
		return badRequest(fmt.Errorf("%s is %d×%d: choose one of 1 to %d pixels a side and %d million in all", field, w, h, maxSide, maxPixels>>20))
	}
	return nil
}

// checkPicture refuses one that cannot be.
func checkPicture(field string, img *image.NRGBA) error {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	switch {
	case img.Rect.Min != image.Point{}:
		return fmt.Errorf("%s: its corner is not at 0, 0", field)
	case CheckSize(field, w, h) != nil:
		return CheckSize(field, w, h)
	case img.Stride != 4*w || len(img.Pix) != 4*w*h:
		return fmt.Errorf("%s: %d×%d pixels are %d bytes, it has %d", field, w, h, 4*w*h, len(img.Pix))
	}
	return nil
}

// sizeFor is the size at which to draw from a picture where a request names
// none: the picture's own with its margins, rounded down to what the model
// takes, or for a large one that of the model's usual area in the picture's
// proportions. A part of it is drawn at the model's usual size.
func (p *Pipeline) sizeFor(r Request) (width, height int) {
	d, m := p.Defaults(), r.outpaint()
	if r.OnlyMasked {
		return d.Width, d.Height
	}
	w, h := float64(r.Image.Rect.Dx()+m.left+m.right), float64(r.Image.Rect.Dy()+m.top+m.bottom)
	if area := float64(d.Width * d.Height); w*h > 4*area {
		w, h = fitted(w, h, area)
	}
	multiple := p.kind.Fields().Multiple
	if k, ok := p.kind.(*sdUpscale); ok {
		w, h = w*float64(k.vae.facts.Factor), h*float64(k.vae.facts.Factor)
	}
	rounded := func(v float64) int { return max(multiple, int(v)/multiple*multiple) }
	return rounded(w), rounded(h)
}

// errNoEncoder tells of a model that was packed without what reads pictures.
var errNoEncoder = errors.New("image: this model came without the weights of its picture encoder")
