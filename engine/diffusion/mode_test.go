package diffusion

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine/model"
	"wisp/engine/sampler"
)

// golden reads a picture that tests/golden/modes/make.py wrote.
func golden(t *testing.T, name string) *image.NRGBA {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "tests", "golden", "modes", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewNRGBA(img.Bounds())
	draw.Draw(out, out.Rect, img, image.Point{}, draw.Src)
	return out
}

// Pictures are resized to Pillow's very bits.
func TestResized(t *testing.T) {
	photo := golden(t, "photo.png")
	for _, size := range [][2]int{{45, 20}, {17, 34}, {90, 51}, {8, 8}, {45, 34}} {
		want := photo
		if size != [2]int{45, 34} {
			want = golden(t, fmt.Sprintf("resized_%dx%d.png", size[0], size[1]))
		}
		if got := resized(photo, size[0], size[1]); got.Rect != want.Rect || !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("%v: differs from Pillow's", size)
		}
	}
	clear(photo.Pix)
	for i, v := range resized(photo, 5, 5).Pix {
		if v != 255 {
			t.Fatalf("what shows through is %d at %d, want white", v, i)
		}
	}
}

// Masks are blurred to Pillow's very bits.
func TestBlurred(t *testing.T) {
	for _, radius := range []int{1, 4, 25} {
		if got, want := blurred(golden(t, "mask.png"), radius), golden(t, fmt.Sprintf("blurred_%d.png", radius)); !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("radius %d: differs from Pillow's", radius)
		}
	}
}

// modePipeline is one of 8 pixels to a latent, without networks.
func modePipeline(scheduler string) *Pipeline {
	c, err := sampler.ParseConfig([]byte(`{"_class_name": "` + scheduler + `"}`))
	if err != nil {
		panic(err)
	}
	return &Pipeline{scheduler: c, kind: &stableDiffusion{text: &clipText{}, vae: decoder{facts: model.AutoencoderFacts{Factor: 8}}}}
}

// Of n steps the strength's share is walked, as diffusers counts.
func TestSkippedSteps(t *testing.T) {
	diffusion, flow := modePipeline("DDIMScheduler"), modePipeline("FlowMatchEulerDiscreteScheduler")
	for _, c := range []struct {
		p        *Pipeline
		steps    int
		strength float32
		want     int
	}{
		{diffusion, 10, 1, 0}, {diffusion, 10, 0.7, 3}, {diffusion, 100, 0.29, 72}, {diffusion, 10, 0.55, 5}, {diffusion, 1, 0.99, -1},
		{flow, 10, 0.55, 4}, {flow, 28, 0.6, 11}, {flow, 4, 0.6, 1}, {flow, 1, 0.2, 0}, {diffusion, 20, 0, -1}, {flow, 20, 0, -1},
	} {
		got, err := c.p.skipped(Request{Steps: c.steps, Strength: c.strength})
		if c.want < 0 {
			if err == nil || !strings.Contains(err.Error(), "strength") {
				t.Errorf("%d steps at %v: error %v", c.steps, c.strength, err)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%d steps at %v: %d left out, want %d (%v)", c.steps, c.strength, got, c.want, err)
		}
	}
}

// A picture that cannot be is refused by the field's name before any work.
func TestBadPictures(t *testing.T) {
	p := modePipeline("DDIMScheduler")
	good := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	for name, change := range map[string]func(*Request){
		"image is 20000×20000":           func(r *Request) { r.Image = &image.NRGBA{Rect: image.Rect(0, 0, 20000, 20000)} },
		"image is 0×5":                   func(r *Request) { r.Image = image.NewNRGBA(image.Rect(0, 0, 0, 5)) },
		"image is 0×0":                   func(r *Request) { r.Image, r.Width, r.Height = &image.NRGBA{}, 0, 0 },
		"upscale is 9":                   func(r *Request) { r.UpscaleBy = 9 },
		"upscale is NaN":                 func(r *Request) { r.UpscaleBy = float32(math.NaN()) },
		"upscale: width is":              func(r *Request) { r.UpscaleBy, r.Width, r.UpscaleStrength = 8, 512, 0.7 },
		"upscaler is":                    func(r *Request) { r.UpscaleBy, r.Upscaler, r.UpscaleStrength = 2, "best", 0.7 },
		"upscale strength":               func(r *Request) { r.UpscaleBy, r.UpscaleStrength = 2, 0 },
		"upscale: not":                   func(r *Request) { r.UpscaleBy, r.UpscaleStrength, r.Mask = 2, 0.7, good },
		"control: there is no":           func(r *Request) { r.Controls = []Control{{ID: "x"}} },
		"mask is black":                  func(r *Request) { r.Mask = image.NewNRGBA(good.Rect) },
		"mask is (32,64)":                func(r *Request) { r.Mask = image.NewNRGBA(image.Rect(0, 0, 32, 64)) },
		"mask and outpaint: there is no": func(r *Request) { r.Image, r.Mask = nil, good },
		"mask blur":                      func(r *Request) { r.Mask, r.MaskBlur = good, -1 },
		"image with outpaint":            func(r *Request) { r.OutpaintLeft = maxSide },
		"image: 9×9 pixels": func(r *Request) {
			r.Image = &image.NRGBA{Rect: image.Rect(0, 0, 9, 9), Stride: 36, Pix: make([]byte, 9)}
		},
		"image: its corner": func(r *Request) { r.Image = good.SubImage(image.Rect(1, 1, 5, 5)).(*image.NRGBA) },
		"strength is NaN":   func(r *Request) { r.Strength = float32(math.NaN()) },
		"strength is -1":    func(r *Request) { r.Strength = -1 },
		"strength is 0.01":  func(r *Request) { r.Strength = 0.01 },
	} {
		r := Request{Prompt: "x", Steps: 4, Width: 64, Height: 64, Count: 1, Image: good, Strength: 0.5}
		change(&r)
		if _, err := p.Generate(t.Context(), r, nil); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Where no size is named the picture's counts: rounded down, and shrunk where
// the model is not made for so large a one.
func TestSizeFor(t *testing.T) {
	p := modePipeline("DDIMScheduler") // 512 × 512
	for _, c := range [][4]int{{512, 768, 512, 768}, {71, 5, 64, 8}, {1024, 1024, 1024, 1024}, {4000, 1000, 1024, 256}, {3, 3, 8, 8}} {
		w, h := p.sizeFor(Request{Image: image.NewNRGBA(image.Rect(0, 0, c[0], c[1]))})
		if w != c[2] || h != c[3] {
			t.Errorf("%d×%d: %d×%d, want %d×%d", c[0], c[1], w, h, c[2], c[3])
		}
	}
}
