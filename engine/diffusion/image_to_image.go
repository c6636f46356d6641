package diffusion

import (
	"context"
	"fmt"
	"image"
	"math"
	"strconv"

	"wisp/engine/sampler"
)

// imageToImage begins with a picture in place of noise: SDEdit, Meng et al.
// 2021, as diffusers' StableDiffusionImg2ImgPipeline and its kin for XL, 3 and
// FLUX have it. Of the steps, the strength's share is walked.
type imageToImage struct {
	unchanged
	image  *image.NRGBA
	start  int // steps left out
	latent posterior
}

// AUTOMATIC1111's defaults.
const (
	defaultStrength      = 0.75
	defaultImageGuidance = 1.5
	defaultPadding       = 32
)

func newImageToImage(p *Pipeline, r Request) (mode, error) {
	if r.Image == nil || r.inverts() || r.Mask != nil || r.outpaint() != (margins{}) || p.kind.Latent(r).Beside != 0 {
		return nil, nil // or another mode's
	}
	if err := checkPicture("image", r.Image); err != nil {
		return nil, err
	}
	start, err := p.skipped(r)
	return &imageToImage{image: r.Image, start: start, latent: posterior{mean: r.from}}, err
}

// skipped is how many of a request's steps its strength leaves out, as
// diffusers counts: pipelines of flow matching round what is left out, the
// others what is left.
func (p *Pipeline) skipped(r Request) (int, error) {
	strength, _ := strconv.ParseFloat(strconv.FormatFloat(float64(r.Strength), 'g', -1, 32), 64) // what was written
	walked := min(float64(r.Steps)*strength, float64(r.Steps))
	start := r.Steps - int(walked)
	if p.scheduler.Flow() {
		start = int(math.Max(float64(r.Steps)-walked, 0))
	}
	if start >= r.Steps {
		return 0, fmt.Errorf("strength is %v: of %d steps none is left; choose more of either", r.Strength, r.Steps)
	}
	return start, nil
}

func (m *imageToImage) plan(p *sampler.Plan) { p.Start = m.start }

func (m *imageToImage) begin(ctx context.Context, d *drawing) (err error) {
	if m.latent.mean != nil {
		return nil
	}
	m.latent, err = d.encode(ctx, colours(resized(m.image, d.r.Width, d.r.Height)))
	return err
}

func (m *imageToImage) first(d *drawing, n *noise) []float32 {
	x := m.latent.sample(n)
	d.s.AddNoise(0, x, n.next())
	return x
}
