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

// filter is a way to weigh what lies around a place.
type filter struct {
	support float64
	weight  func(float64) float64
}

var (
	lanczosFilter = filter{3, lanczos}
	bicubicFilter = filter{2, bicubic}
)

// bicubic is Keys's cubic convolution with a = −0.5.
func bicubic(x float64) float64 {
	const a = -0.5
	switch x = math.Abs(x); {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
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
func resample(img *image.NRGBA, w, h int) *image.NRGBA { return resampleBy(lanczosFilter, img, w, h) }

// resampleBy is Pillow's ImagingResample with any of its filters.
func resampleBy(f filter, img *image.NRGBA, w, h int) *image.NRGBA {
	from := img.Rect.Size()
	if w != from.X {
		wide := image.NewNRGBA(image.Rect(0, 0, w, from.Y))
		taps := f.taps(from.X, w)
		for y := range from.Y {
			convolve(wide.Pix[y*wide.Stride:], 4, img.Pix[y*img.Stride:], 4, taps)
		}
		img = wide
	}
	if h != from.Y {
		high := image.NewNRGBA(image.Rect(0, 0, w, h))
		taps := f.taps(from.Y, h)
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

// taps are those that make n pixels of m.
func (f filter) taps(m, n int) []tap {
	scale := float64(m) / float64(n)
	wide := max(scale, 1)
	support := f.support * wide
	taps := make([]tap, n)
	for i := range taps {
		centre := (float64(i) + 0.5) * scale
		from := max(int(centre-support+0.5), 0)
		to := min(int(centre+support+0.5), m)
		weights, sum := make([]float64, to-from), 0.0
		for k := range weights {
			weights[k] = f.weight((float64(k+from) - centre + 0.5) * (1 / wide))
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
