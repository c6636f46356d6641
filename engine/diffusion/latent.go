package diffusion

import (
	"errors"
	"image"
	"math"

	"wisp/engine"
)

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
