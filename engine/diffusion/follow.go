package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"

	"wisp/engine"
)

// maxFollowed bounds the pictures that a drawing follows.
const maxFollowed = 4

// following is a [Kind] whose denoiser attends to pictures beside the drawing,
// its inputs "reference.0" and so on.
type following interface {
	// referred is the size that such a picture is brought to, and that of its
	// middle, which is read.
	referred(*image.NRGBA) (whole, read image.Point)
}

// withinMillion makes what is beyond a million pixels smaller, and of the rest the
// middle is read, to multiples of some pixels.
func withinMillion(img *image.NRGBA, multiple int) (whole, read image.Point) {
	const area = 1 << 20
	whole = img.Rect.Size()
	if n := whole.X * whole.Y; n > area {
		scale := math.Sqrt(area / float64(n))
		whole = image.Pt(int(float64(whole.X)*scale), int(float64(whole.Y)*scale))
	}
	return whole, image.Pt(whole.X/multiple*multiple, whole.Y/multiple*multiple)
}

// followed are the heights and widths of pictures in latents of so many pixels.
func followed(k following, images []*image.NRGBA, factor int) (sizes [maxFollowed][2]int) {
	for i, img := range images {
		_, read := k.referred(img)
		sizes[i] = [2]int{read.Y / factor, read.X / factor}
	}
	return sizes
}

// follows draws after pictures, as diffusers' Flux2KleinPipeline does.
type follows struct {
	unchanged
	images []*image.NRGBA
	inputs Inputs
}

func newFollows(p *Pipeline, r Request) (mode, error) {
	if _, ok := p.kind.(following); !ok || len(r.References) == 0 {
		return nil, nil // or an IP-Adapter's
	}
	if len(r.References) > maxFollowed {
		return nil, fmt.Errorf("references: there are %d, choose up to %d", len(r.References), maxFollowed)
	}
	for i, img := range r.References {
		if img == nil {
			return nil, fmt.Errorf("references: picture %d is none", i)
		}
		if err := checkPicture(fmt.Sprintf("references: picture %d", i), img); err != nil {
			return nil, err
		}
		if _, read := p.kind.(following).referred(img); read.X < 1 || read.Y < 1 {
			return nil, fmt.Errorf("references: picture %d is smaller than %d×%d", i, p.kind.Fields().Multiple, p.kind.Fields().Multiple)
		}
	}
	return &follows{images: r.References}, nil
}

func (m *follows) begin(ctx context.Context, d *drawing) error {
	m.inputs = Inputs{}
	for i, img := range m.images {
		whole, read := d.p.kind.(following).referred(img)
		img = middleOf(resized(img, whole.X, whole.Y), read)
		r := d.r
		r.Width, r.Height = read.X, read.Y
		at, err := d.p.kind.Posterior(ctx, d.p.residency, r, colours(img))
		if errors.Is(err, errNoWeight) {
			err = fmt.Errorf("%w: %w", errNoEncoder, err)
		}
		if err != nil {
			return err
		}
		l := d.p.kind.Latent(r)
		m.inputs[fmt.Sprintf("reference.%d", i)] = engine.FromFloat32s(at.mean, 1, l.Height, l.Width, l.Channels)
	}
	return nil
}

func (m *follows) before(_ context.Context, _ *drawing, _ int, rows []Row, in Inputs) error {
	for name, t := range stack(make([]Row, len(rows)), m.inputs) {
		in[name] = t
	}
	return nil
}

// middleOf cuts a picture's middle out.
func middleOf(img *image.NRGBA, size image.Point) *image.NRGBA {
	out := image.NewNRGBA(image.Rectangle{Max: size})
	from := img.Rect.Size().Sub(size).Div(2)
	for y := range size.Y {
		copy(out.Pix[y*out.Stride:(y+1)*out.Stride], img.Pix[img.PixOffset(img.Rect.Min.X+from.X, img.Rect.Min.Y+from.Y+y):])
	}
	return out
}
