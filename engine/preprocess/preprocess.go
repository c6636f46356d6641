// Package preprocess makes pictures that ControlNets are fed of ordinary ones,
// by arithmetic on pixels alone, as OpenCV and AUTOMATIC1111's extension do:
// edges, lines, blurs, grids of colour. It knows of no network: those that
// estimate depth or poses are others' programs. Start at [Run].
package preprocess

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"strings"
)

// ErrName: there is no preprocessor of that name, or a parameter is out of its
// bounds.
var ErrName = errors.New("no such preprocessor")

// Info describes a preprocessor.
type Info struct {
	Name, Label string
	Parameters  []Parameter
}

// Parameter is a number that a preprocessor takes.
type Parameter struct {
	Name              string
	Min, Max, Default float64
}

// List lists the preprocessors, by the names that AUTOMATIC1111's extension has.
var List = []Info{
	{"canny", "Canny edges", []Parameter{{"low", 0, 1024, 100}, {"high", 0, 1024, 200}}},
	{"scribble", "Scribble: dark lines become white", nil},
	{"scribble_xdog", "Scribble of a photo", []Parameter{{"threshold", 1, 64, 32}}},
	{"lineart_standard", "Line drawing", nil},
	{"threshold", "Light parts", []Parameter{{"threshold", 0, 255, 127}}},
	{"blur_gaussian", "Blur", []Parameter{{"sigma", 0.1, 64, 9}}},
	{"tile", "Coarse tiles", []Parameter{{"rate", 1, 16, 4}}},
	{"color_grid", "Grid of colours", []Parameter{{"cell", 2, 256, 64}}},
	{"invert", "Inverted", nil},
}

var functions = map[string]func(img *image.NRGBA, p []float64) *image.NRGBA{
	"canny": func(img *image.NRGBA, p []float64) *image.NRGBA { return Canny(img, p[0], p[1]) },
	"scribble": func(img *image.NRGBA, _ []float64) *image.NRGBA {
		return darkest(img, func(v uint8) bool { return v < 127 })
	},
	"scribble_xdog":    func(img *image.NRGBA, p []float64) *image.NRGBA { return scribbleXDoG(img, p[0]) },
	"lineart_standard": func(img *image.NRGBA, _ []float64) *image.NRGBA { return lineart(img) },
	"threshold": func(img *image.NRGBA, p []float64) *image.NRGBA {
		return darkest(img, func(v uint8) bool { return float64(v) > p[0] })
	},
	"blur_gaussian": func(img *image.NRGBA, p []float64) *image.NRGBA { return fromPlane(blur(toPlane(img), p[0], 3)) },
	"tile": func(img *image.NRGBA, p []float64) *image.NRGBA {
		w, h := img.Rect.Dx(), img.Rect.Dy()
		small := area(toPlane(img), max(1, int(float64(w)/p[0])), max(1, int(float64(h)/p[0])))
		return fromPlane(cubic(small, w, h))
	},
	"color_grid": func(img *image.NRGBA, p []float64) *image.NRGBA {
		w, h := img.Rect.Dx(), img.Rect.Dy()
		small := cubic(toPlane(img), max(1, int(float64(w)/p[0])), max(1, int(float64(h)/p[0])))
		return fromPlane(nearest(small, w, h))
	},
	"invert": func(img *image.NRGBA, _ []float64) *image.NRGBA {
		return each(img, func(r, g, b uint8) (uint8, uint8, uint8) { return 255 - r, 255 - g, 255 - b })
	},
}

// Run applies a preprocessor, with its parameters by name and defaults for
// those that are left out. The picture's corner is at 0, 0; what it shows
// through is taken as it stands.
func Run(name string, img *image.NRGBA, parameters map[string]float64) (*image.NRGBA, error) {
	i := slices.IndexFunc(List, func(p Info) bool { return p.Name == name })
	if i < 0 {
		var names []string
		for _, p := range List {
			names = append(names, p.Name)
		}
		return nil, fmt.Errorf("%w: %.40q: choose %s", ErrName, name, strings.Join(names, ", "))
	}
	var values []float64
	for _, p := range List[i].Parameters {
		v, ok := parameters[p.Name]
		if !ok {
			v = p.Default
		}
		if !(v >= p.Min && v <= p.Max) {
			return nil, fmt.Errorf("%w: %s of %s is %v: choose %v to %v", ErrName, p.Name, name, v, p.Min, p.Max)
		}
		values = append(values, v)
	}
	for given := range parameters {
		if !slices.ContainsFunc(List[i].Parameters, func(p Parameter) bool { return p.Name == given }) {
			return nil, fmt.Errorf("%w: %s has no parameter %.40q", ErrName, name, given)
		}
	}
	if img.Rect.Dx() < 1 || img.Rect.Dy() < 1 {
		return nil, fmt.Errorf("%w: the picture is empty", ErrName)
	}
	return functions[name](img, values), nil
}

// InpaintMask is a picture whose pixels under the white of a mask of its size
// show through entirely: what a ControlNet for inpainting is fed as −1.
func InpaintMask(img, mask *image.NRGBA) (*image.NRGBA, error) {
	if img.Rect != mask.Rect {
		return nil, fmt.Errorf("the mask is %v, the picture %v", mask.Rect.Size(), img.Rect.Size())
	}
	out := image.NewNRGBA(img.Rect)
	for i := 0; i < len(img.Pix); i += 4 {
		copy(out.Pix[i:], img.Pix[i:i+3])
		if out.Pix[i+3] = 255; int(mask.Pix[i])+int(mask.Pix[i+1])+int(mask.Pix[i+2]) > 3*127 {
			copy(out.Pix[i:], []uint8{0, 0, 0, 0})
		}
	}
	return out, nil
}

// each maps the colours of a picture.
func each(img *image.NRGBA, f func(r, g, b uint8) (uint8, uint8, uint8)) *image.NRGBA {
	out := image.NewNRGBA(img.Rect)
	for i := 0; i < len(img.Pix); i += 4 {
		out.Pix[i], out.Pix[i+1], out.Pix[i+2] = f(img.Pix[i], img.Pix[i+1], img.Pix[i+2])
		out.Pix[i+3] = 255
	}
	return out
}

// darkest is white where the darkest colour of a pixel is as wanted.
func darkest(img *image.NRGBA, want func(v uint8) bool) *image.NRGBA {
	return each(img, func(r, g, b uint8) (uint8, uint8, uint8) {
		if want(min(r, g, b)) {
			return 255, 255, 255
		}
		return 0, 0, 0
	})
}

// plane is a picture's colours as numbers, (h, w, 3).
type plane struct {
	w, h int
	v    []float32
}

func toPlane(img *image.NRGBA) plane {
	p := plane{img.Rect.Dx(), img.Rect.Dy(), make([]float32, 3*img.Rect.Dx()*img.Rect.Dy())}
	for i := range p.w * p.h {
		for c := range 3 {
			p.v[3*i+c] = float32(img.Pix[4*i+c])
		}
	}
	return p
}

func fromPlane(p plane) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, p.w, p.h))
	for i := range p.w * p.h {
		for c := range 3 {
			img.Pix[4*i+c] = uint8(min(max(math.RoundToEven(float64(p.v[3*i+c])), 0), 255))
		}
		img.Pix[4*i+3] = 255
	}
	return img
}

// grey is a picture of one channel.
func grey(w, h int, at func(i int) uint8) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		v := at(i)
		copy(img.Pix[4*i:], []uint8{v, v, v, 255})
	}
	return img
}
