package diffusion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
)

// The ways to enlarge a picture before it is drawn again.
const (
	upscaleLatent  = "latent"
	upscaleLanczos = "lanczos"
)

// defaultUpscaleStrength is AUTOMATIC1111's.
const defaultUpscaleStrength = 0.7

// upscales tells whether a request asks for it and is not itself a pass of it.
func (r Request) upscales() bool { return r.UpscaleBy != 0 && r.UpscaleBy != 1 && !r.pass }

// hires draws pictures at the request's size, enlarges them and draws them
// again from there: AUTOMATIC1111's hires fix. What is enlarged is the latents,
// as torch's bilinear interpolation does it, or the pixels.
func (p *Pipeline) hires(ctx context.Context, r Request, on func(Event)) (*Result, error) {
	second, err := p.enlarged(r)
	if err != nil {
		return nil, badRequest(err)
	}
	first := r
	first.pass, first.bare = true, r.Upscaler != upscaleLanczos
	result, err := p.Generate(ctx, first, on)
	if err != nil {
		return nil, err
	}
	from, to := p.kind.Latent(r), p.kind.Latent(second)
	for i := range r.Count {
		second.Seed = r.Seed + uint64(i)
		if first.bare {
			second.from = enlarge(result.latents[i], from, to)
		} else {
			second.Image = result.Images[i]
		}
		again, err := p.Generate(ctx, second, on)
		if err != nil {
			return nil, err
		}
		if first.bare {
			result.Images = append(result.Images, again.Images[0])
		} else {
			result.Images[i] = again.Images[0]
		}
		result.Timings.Denoise += again.Timings.Denoise
		result.Timings.Decode += again.Timings.Decode
		result.Timings.Total += again.Timings.Total
	}
	return result, nil
}

// enlarged is the request of the second pass, of one picture.
func (p *Pipeline) enlarged(r Request) (Request, error) {
	switch {
	case !(r.UpscaleBy > 1 && r.UpscaleBy <= 8):
		return r, fmt.Errorf("upscale is %v: choose 1 to 8", r.UpscaleBy)
	case !(r.UpscaleStrength > 0 && r.UpscaleStrength <= 1):
		return r, fmt.Errorf("upscale strength is %v: choose over 0, up to 1", r.UpscaleStrength)
	case r.Upscaler != "" && r.Upscaler != upscaleLatent && r.Upscaler != upscaleLanczos:
		return r, fmt.Errorf("upscaler is %.40q: choose %s or %s", r.Upscaler, upscaleLatent, upscaleLanczos)
	case r.Mask != nil || r.outpaint() != (margins{}) || p.kind.Latent(r).Beside != 0:
		return r, errors.New("upscale: not together with a mask, and not with a model that reads pictures")
	case r.Count < 1 || r.Count > maxCount:
		return r, fmt.Errorf("count is %d: choose 1 to %d", r.Count, maxCount)
	}
	multiple := p.kind.Fields().Multiple
	size := func(v int) int { return int(float64(v)*plain64(r.UpscaleBy)) / multiple * multiple }
	r.pass, r.Count, r.Width, r.Height = true, 1, size(r.Width), size(r.Height)
	r.SourcePrompt, r.Kept = "", ""
	r.Steps, r.Strength = cmp.Or(r.UpscaleSteps, r.Steps), r.UpscaleStrength
	if err := p.check(r); err != nil {
		return r, fmt.Errorf("upscale: %w", err)
	}
	if _, err := p.skipped(r); err != nil {
		return r, fmt.Errorf("upscale: %w", err)
	}
	r.Image = image.NewNRGBA(image.Rect(0, 0, r.Width, r.Height)) // until there is one
	return r, nil
}

// enlarge resizes latents x as torch's bilinear interpolation does.
func enlarge(x []float32, from, to Latent) []float32 {
	if from.Patch > 1 {
		square := func(l Latent) Latent {
			return Latent{Height: l.Height * l.Patch, Width: l.Width * l.Patch, Channels: l.Channels / (l.Patch * l.Patch)}
		}
		return to.pack(enlarge(from.unpack(x), square(from), square(to)))
	}
	rows, columns := between(from.Height, to.Height), between(from.Width, to.Width)
	at := func(row, column, c int) float32 { return x[(row*from.Width+column)*from.Channels+c] }
	out := make([]float32, 0, to.Height*to.Width*to.Channels)
	for _, r := range rows {
		for _, k := range columns {
			for c := range to.Channels {
				above := at(r.from, k.from, c)*(1-k.share) + at(r.from, k.to, c)*k.share
				below := at(r.to, k.from, c)*(1-k.share) + at(r.to, k.to, c)*k.share
				out = append(out, above*(1-r.share)+below*r.share)
			}
		}
	}
	return slices.Clip(out)
}

// mix lies between two of a row of numbers.
type mix struct {
	from, to int
	share    float32 // of the second
}

// between are the places among m numbers of n that take their room.
func between(m, n int) []mix {
	list := make([]mix, n)
	for i := range list {
		v := max((float32(i)+0.5)*float32(m)/float32(n)-0.5, 0)
		from := min(int(v), m-1)
		list[i] = mix{from, min(from+1, m-1), v - float32(from)}
	}
	return list
}
