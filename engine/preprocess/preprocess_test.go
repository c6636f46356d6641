package preprocess

import (
	"errors"
	"image"
	"image/draw"
	"image/png"
	"math"
	"os"
	"testing"
)

func read(t *testing.T, name string) *image.NRGBA {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".png")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(name, err)
	}
	out := image.NewNRGBA(img.Bounds())
	draw.Draw(out, out.Rect, img, image.Point{}, draw.Src)
	return out
}

// TestOpenCV compares with what OpenCV makes (testdata/make.py): edges and
// lines to the pixel, what it computes in 8-bit fixed point to a level.
func TestOpenCV(t *testing.T) {
	for _, c := range []struct {
		golden, name string
		parameters   map[string]float64
		off          int
	}{
		{"canny", "canny", nil, 0},
		{"canny_low", "canny", map[string]float64{"low": 30, "high": 60}, 0},
		{"scribble", "scribble", nil, 0},
		{"scribble_xdog", "scribble_xdog", nil, 0},
		{"lineart_standard", "lineart_standard", nil, 1},
		{"threshold", "threshold", map[string]float64{"threshold": 90}, 0},
		{"blur_gaussian", "blur_gaussian", map[string]float64{"sigma": 3}, 1},
		{"tile", "tile", nil, 2},
		{"color_grid", "color_grid", map[string]float64{"cell": 16}, 1},
		{"invert", "invert", nil, 0},
	} {
		got, err := Run(c.name, read(t, "picture"), c.parameters)
		if err != nil {
			t.Fatal(err)
		}
		want := read(t, c.golden)
		if got.Rect != want.Rect {
			t.Fatalf("%s is %v, want %v", c.golden, got.Rect, want.Rect)
		}
		worst, differ := 0, 0
		for i, v := range got.Pix {
			if d := int(v) - int(want.Pix[i]); d != 0 {
				worst = max(worst, d, -d)
				differ++
			}
		}
		if worst > c.off {
			t.Errorf("%s differs by up to %d in %d of %d", c.golden, worst, differ, len(got.Pix))
		}
	}
}

func TestRefusals(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	for name, parameters := range map[string]map[string]float64{
		"depth": nil, "canny": {"low": -1}, "tile": {"rate": math.NaN()}, "threshold": {"level": 3}, "blur_gaussian": {"sigma": math.Inf(1)},
	} {
		if _, err := Run(name, img, parameters); !errors.Is(err, ErrName) {
			t.Errorf("%s %v: %v", name, parameters, err)
		}
	}
	if _, err := Run("invert", image.NewNRGBA(image.Rectangle{}), nil); !errors.Is(err, ErrName) {
		t.Errorf("an empty picture: %v", err)
	}
	for _, p := range List { // the smallest picture
		if out, err := Run(p.Name, image.NewNRGBA(image.Rect(0, 0, 1, 1)), nil); err != nil || out.Rect.Dx() != 1 {
			t.Errorf("%s of one pixel: %v", p.Name, err)
		}
	}
}

func TestInpaintMask(t *testing.T) {
	img, mask := read(t, "picture"), image.NewNRGBA(image.Rect(0, 0, 70, 57))
	copy(mask.Pix[8:], []uint8{255, 255, 255, 255})
	out, err := InpaintMask(img, mask)
	if err != nil || out.Pix[11] != 0 || out.Pix[7] != 255 || out.Pix[4] != img.Pix[4] {
		t.Error(out.Pix[:12], err)
	}
	if _, err := InpaintMask(img, image.NewNRGBA(image.Rect(0, 0, 70, 56))); err == nil {
		t.Error("a mask of another size is taken")
	}
}
