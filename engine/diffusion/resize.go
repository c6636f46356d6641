package diffusion

import (
	"image"
	"math"
	"slices"
)

// fitted scales a size to an area, keeping its proportions.
func fitted(w, h, area float64) (float64, float64) {
	scale := math.Sqrt(area / (w * h))
	return w * scale, h * scale
}

// resized is a picture at another size by Lanczos's filter, as Pillow's resize
// makes it, to the bit: diffusers prepares pictures so. What it shows through
// is laid on white first.
func resized(img *image.NRGBA, w, h int) *image.NRGBA {
	return resample(opaque(img), w, h)
}

// opaque lays a picture on white, as AUTOMATIC1111 does.
func opaque(img *image.NRGBA) *image.NRGBA {
	out := image.NewNRGBA(img.Rect)
	for i := 0; i < len(img.Pix); i += 4 {
		a := int(img.Pix[i+3])
		for c := range 3 {
			out.Pix[i+c] = uint8((int(img.Pix[i+c])*a + 255*(255-a) + 127) / 255)
		}
		out.Pix[i+3] = 255
	}
	return out
}

// resample is Pillow's ImagingResample with LANCZOS on all four channels: the
// rows, then the columns, each rounded to 8 bits.
func resample(img *image.NRGBA, w, h int) *image.NRGBA {
	from := img.Rect.Size()
	if w != from.X {
		wide := image.NewNRGBA(image.Rect(0, 0, w, from.Y))
		taps := lanczosTaps(from.X, w)
		for y := range from.Y {
			convolve(wide.Pix[y*wide.Stride:], 4, img.Pix[y*img.Stride:], 4, taps)
		}
		img = wide
	}
	if h != from.Y {
		high := image.NewNRGBA(image.Rect(0, 0, w, h))
		taps := lanczosTaps(from.Y, h)
		for x := range w {
			convolve(high.Pix[4*x:], high.Stride, img.Pix[4*x:], img.Stride, taps)
		}
		img = high
	}
	return img
}

// convolve writes one row or column of four channels, pixels a stride apart.
func convolve(dst []uint8, dstStride int, src []uint8, srcStride int, taps []tap) {
	for i, t := range taps {
		for c := range 4 {
			sum := 1 << (tapBits - 1)
			for k, weight := range t.weights {
				sum += int(src[(t.from+k)*srcStride+c]) * weight
			}
			dst[i*dstStride+c] = uint8(min(max(sum>>tapBits, 0), 255))
		}
	}
}

// tap is what one pixel is made of: those from a place on, by weights in
// fixed point.
type tap struct {
	from    int
	weights []int
}

// tapBits are those after the point: Pillow's PRECISION_BITS.
const tapBits = 32 - 8 - 2

// lanczosTaps are those that make n pixels of m.
func lanczosTaps(m, n int) []tap {
	scale := float64(m) / float64(n)
	wide := max(scale, 1)
	support := 3 * wide
	taps := make([]tap, n)
	for i := range taps {
		centre := (float64(i) + 0.5) * scale
		from := max(int(centre-support+0.5), 0)
		to := min(int(centre+support+0.5), m)
		weights, sum := make([]float64, to-from), 0.0
		for k := range weights {
			weights[k] = lanczos((float64(k+from) - centre + 0.5) * (1 / wide))
			sum += weights[k]
		}
		taps[i] = tap{from, fixedPoint(weights, sum)}
	}
	return taps
}

// fixedPoint divides weights by their sum and rounds them, half away from zero.
func fixedPoint(weights []float64, sum float64) []int {
	out := make([]int, len(weights))
	for k, w := range weights {
		if sum != 0 {
			w /= sum
		}
		out[k] = int(math.Copysign(0.5, w) + w*(1<<tapBits))
	}
	return slices.Clip(out)
}

// lanczos is the sinc of three lobes.
func lanczos(x float64) float64 {
	if x < -3 || x >= 3 {
		return 0
	}
	return sinc(x) * sinc(x/3)
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// colours are a picture's, (h, w, 3) from −1 to 1.
func colours(img *image.NRGBA) []float32 {
	out := make([]float32, 0, len(img.Pix)/4*3)
	for i := 0; i < len(img.Pix); i += 4 {
		for _, v := range img.Pix[i : i+3] {
			out = append(out, 2*(float32(v)/255)-1)
		}
	}
	return out
}
