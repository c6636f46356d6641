package preprocess

import (
	"image"
	"math"
	"slices"
)

// blur is OpenCV's GaussianBlur with a kernel of so many deviations either way;
// the picture is reflected around its last pixels.
func blur(p plane, sigma float64, deviations float64) plane {
	n := int(math.RoundToEven(sigma*deviations*2+1)) | 1
	taps, sum := make([]float64, n), 0.0
	for i := range taps {
		d := float64(i - n/2)
		taps[i] = math.Exp(-d * d / (2 * sigma * sigma))
		sum += taps[i]
	}
	for i := range taps {
		taps[i] /= sum
	}
	along := func(from []float32, length, stride, lines int, start func(line int) int) []float32 {
		out := make([]float32, len(from))
		for line := range lines {
			for i := range length {
				var sums [3]float64
				for k, t := range taps {
					at := start(line) + stride*reflected(i+k-n/2, length)
					for c := range sums {
						sums[c] += t * float64(from[at+c])
					}
				}
				for c, s := range sums {
					out[start(line)+stride*i+c] = float32(s)
				}
			}
		}
		return out
	}
	rows := along(p.v, p.w, 3, p.h, func(y int) int { return 3 * p.w * y })
	return plane{p.w, p.h, along(rows, p.h, 3*p.w, p.w, func(x int) int { return 3 * x })}
}

// reflected is a place among n, reflected at the first and the last.
func reflected(i, n int) int {
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	if i = ((i % period) + period) % period; i >= n {
		i = period - i
	}
	return i
}

// scribbleXDoG draws the lines of a photo: where it is darker than around.
func scribbleXDoG(img *image.NRGBA, threshold float64) *image.NRGBA {
	p := toPlane(img)
	near, far := blur(p, 0.5, 4), blur(p, 5, 4)
	return grey(p.w, p.h, func(i int) uint8 {
		d := float32(math.Inf(1))
		for c := range 3 {
			d = min(d, far.v[3*i+c]-near.v[3*i+c])
		}
		dog := uint8(min(max(255-d, 0), 255))
		if 2*(255-float64(dog)) > threshold {
			return 255
		}
		return 0
	})
}

// lineart is white where a drawing is darker than around, as strong as its
// lines usually are.
func lineart(img *image.NRGBA) *image.NRGBA {
	p := toPlane(img)
	far := blur(p, 6, 4)
	v := make([]float32, p.w*p.h)
	var strong []float32
	for i := range v {
		d := float32(math.Inf(1))
		for c := range 3 {
			d = min(d, far.v[3*i+c]-p.v[3*i+c])
		}
		if v[i] = min(max(d, 0), 255); v[i] > 8 {
			strong = append(strong, v[i])
		}
	}
	scale := float32(16)
	if len(strong) > 0 {
		scale = max(scale, median(strong))
	}
	return grey(p.w, p.h, func(i int) uint8 { return uint8(min(v[i]/scale*127, 255)) })
}

func median(v []float32) float32 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// area shrinks to the means of what each pixel covers: OpenCV's INTER_AREA.
func area(p plane, w, h int) plane {
	out := plane{w, h, make([]float32, 3*w*h)}
	cover := func(i, from, to int) (first, last int, share func(k int) float64) {
		a, b := float64(i)*float64(from)/float64(to), float64(i+1)*float64(from)/float64(to)
		return int(a), min(from-1, int(math.Ceil(b))-1), func(k int) float64 { return min(b, float64(k+1)) - max(a, float64(k)) }
	}
	for y := range h {
		y0, y1, rows := cover(y, p.h, h)
		for x := range w {
			x0, x1, columns := cover(x, p.w, w)
			var sums [3]float64
			total := 0.0
			for j := y0; j <= y1; j++ {
				for i := x0; i <= x1; i++ {
					share := rows(j) * columns(i)
					total += share
					for c := range sums {
						sums[c] += share * float64(p.v[3*(j*p.w+i)+c])
					}
				}
			}
			for c, s := range sums {
				out.v[3*(y*w+x)+c] = float32(s / total)
			}
		}
	}
	return out
}

// cubic is OpenCV's INTER_CUBIC, Keys 1981 with a = −0.75, of the four nearest
// pixels either way, whatever the size.
func cubic(p plane, w, h int) plane {
	weights := func(f float64) [4]float64 {
		const a = -0.75
		near := func(d float64) float64 { return ((a+2)*d-(a+3))*d*d + 1 }
		far := func(d float64) float64 { return ((a*d-5*a)*d+8*a)*d - 4*a }
		return [4]float64{far(f + 1), near(f), near(1 - f), far(2 - f)}
	}
	place := func(i, from, to int) (int, [4]float64) {
		at := (float64(i)+0.5)*float64(from)/float64(to) - 0.5
		floor := math.Floor(at)
		return int(floor), weights(at - floor)
	}
	clamped := func(i, n int) int { return min(max(i, 0), n-1) }
	out := plane{w, h, make([]float32, 3*w*h)}
	for y := range h {
		y0, wy := place(y, p.h, h)
		for x := range w {
			x0, wx := place(x, p.w, w)
			var sums [3]float64
			for j, fy := range wy {
				for i, fx := range wx {
					at := 3 * (clamped(y0+j-1, p.h)*p.w + clamped(x0+i-1, p.w))
					for c := range sums {
						sums[c] += fy * fx * float64(p.v[at+c])
					}
				}
			}
			for c, s := range sums {
				out.v[3*(y*w+x)+c] = float32(min(max(s, 0), 255))
			}
		}
	}
	return out
}

// nearest enlarges by the pixel that each one lies in.
func nearest(p plane, w, h int) plane {
	out := plane{w, h, make([]float32, 3*w*h)}
	for y := range h {
		for x := range w {
			copy(out.v[3*(y*w+x):][:3], p.v[3*(y*p.h/h*p.w+x*p.w/w):])
		}
	}
	return out
}
