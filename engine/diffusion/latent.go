package diffusion

import (
	"errors"
	"image"
	"math"
	"slices"

	"wisp/engine"
	"wisp/engine/rng"
	"wisp/engine/sampler"
)

// noise draws latents as torch.randn does on the CPU: in (c, h, w) order, here
// turned to (h, w, c).
type noise struct {
	seed      uint64
	generator *rng.MT19937
	path      *rng.Brownian // nil before a sampler asks for it
	latent    Latent
}

func newNoise(seed uint64, l Latent) *noise {
	l.Patch = max(1, l.Patch)
	return &noise{seed: seed, generator: rng.New(seed), latent: l}
}

// draw fills a latent by randn and packs it.
func (n *noise) draw(randn func(out []float32)) []float32 {
	l := n.latent
	v := make([]float32, l.Height*l.Width*l.Channels)
	randn(v)
	p, wide := l.Patch, l.Width*l.Patch
	pixels := l.Height * p * wide
	out := make([]float32, len(v))
	for i := range out {
		x, c := i/l.Channels, i%l.Channels
		row, column := x/l.Width*p+c/p%p, x%l.Width*p+c%p
		out[i] = v[c/(p*p)*pixels+row*wide+column]
	}
	return out
}

func (n *noise) next() []float32 { return n.draw(n.generator.Randn) }

// step is what the sampler's step i wants: nothing, fresh noise, or an
// increment of the seed's Brownian path.
func (n *noise) step(s sampler.Sampler, i int) []float32 {
	if !s.NeedsNoise(i) {
		return nil
	}
	from, to, ok := s.Span(i)
	if !ok {
		return n.next()
	}
	if n.path == nil {
		levels := slices.DeleteFunc(slices.Clone(s.Sigmas()), func(v float32) bool { return v == 0 })
		n.path = rng.NewBrownian(n.seed, float64(slices.Min(levels)), float64(slices.Max(levels)))
	}
	return n.draw(func(out []float32) { n.path.Increment(from, to, out) })
}

// pack lays squares of latents x (h·p, w·p, c) into channels: (h, w, c·p·p).
func (l Latent) pack(x []float32) []float32 {
	p, channels := l.Patch, l.Channels/(l.Patch*l.Patch)
	out := make([]float32, len(x))
	for i := range out {
		pixel, c := i/l.Channels, i%l.Channels
		row, column := pixel/l.Width*p+c/p%p, pixel%l.Width*p+c%p
		out[i] = x[(row*l.Width*p+column)*channels+c/(p*p)]
	}
	return out
}

// unpack undoes the packing of latents x: (h, w, c·p·p) to (h·p, w·p, c).
func (l Latent) unpack(x []float32) []float32 {
	p, channels := l.Patch, l.Channels/(l.Patch*l.Patch)
	out := make([]float32, len(x))
	for i, v := range x {
		pixel, c := i/l.Channels, i%l.Channels
		row, column := pixel/l.Width*p+c/p%p, pixel%l.Width*p+c%p
		out[(row*l.Width*p+column)*channels+c/(p*p)] = v
	}
	return out
}

// errNotFinite tells of what would be a black or noisy picture.
var errNotFinite = errors.New("is not a finite number: the weights are damaged, or the settings drive the network out of its range")

// finite looks for infinities and NaNs among an F32 tensor's values.
func finite(t engine.Tensor) error {
	for i := 3; i < len(t.Data); i += 4 {
		if t.Data[i]&0x7f == 0x7f && t.Data[i-1]&0x80 != 0 { // all bits of the exponent
			return errNotFinite
		}
	}
	return nil
}

// picture converts RGB in [−1, 1] to 8 bits, rounding half to even as
// diffusers' image processor does.
func picture(rgb []float32, w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		for c := range 3 {
			v := min(max(rgb[3*i+c]/2+0.5, 0), 1)
			img.Pix[4*i+c] = uint8(math.RoundToEven(float64(v * 255)))
		}
		img.Pix[4*i+3] = 255
	}
	return img
}
