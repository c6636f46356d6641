package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/engine/model"
	"wisp/loader/safetensors"
	"wisp/loader/upscaler"
	"wisp/tests/golden/seeded"
)

var upscalerDir = filepath.Join("golden", "upscaler")

type upscalerCase struct {
	Name   string
	Size   [3]int
	Mean   [3]float64
	Square float64
	Pixels []struct {
		At    [2]int
		Value [3]float64
	}
}

func upscalerCases(t *testing.T) []upscalerCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(upscalerDir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []upscalerCase }
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatal(err, len(file.Cases))
	}
	return file.Cases
}

func openUpscaler(t *testing.T, name string) *upscaler.File {
	t.Helper()
	data, err := seeded.File(filepath.Join(upscalerDir, name+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := upscaler.Open(name+".safetensors", func(string) (safetensors.Blob, error) { return memory{bytes.NewReader(data)}, nil })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestUpscalers compares each network, in each layout of its names, with
// torch's arithmetic (golden/upscaler/make.py).
func TestUpscalers(t *testing.T) {
	made := seeded.NewCheckpoint(map[string]seeded.Tensor{"x": {DType: "F32", Shape: []int{1, 6, 8, 3}, Key: 77, Deviation: 0.2, Mean: 0.5}})
	file := make([]byte, made.Size())
	if _, err := made.ReadAt(file, 0); err != nil {
		t.Fatal(err)
	}
	x := tensorsIn(t, file)["x"]
	for _, c := range upscalerCases(t) {
		for _, b := range backends(t) {
			t.Run(c.Name+"/"+b.label, func(t *testing.T) {
				f := openUpscaler(t, c.Name)
				u, err := model.ReadUpscaler(f.Shapes())
				if err != nil {
					t.Fatal(err)
				}
				weights := map[string]engine.Buffer{}
				data, err := seeded.File(filepath.Join(upscalerDir, c.Name+".safetensors"))
				if err != nil {
					t.Fatal(err)
				}
				for name, w := range tensorsIn(t, data) {
					if weights[u.Name(name)], err = b.Upload(w); err != nil {
						t.Fatal(err)
					}
				}
				g, err := u.Graph(6, 8)
				if err != nil {
					t.Fatal(err)
				}
				p, err := b.Compile(g, weights)
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				out := engine.NewTensor(engine.F32, 1, c.Size[0], c.Size[1], 3)
				if err := p.Run(t.Context(), map[string]engine.Tensor{"sample": x}, map[string]engine.Tensor{"sample": out}); err != nil {
					t.Fatal(err)
				}
				v := out.Float32s()
				var square float64
				var mean [3]float64
				for i, x := range v {
					square += float64(x) * float64(x)
					mean[i%3] += float64(x) * 3 / float64(len(v))
				}
				scale := math.Sqrt(c.Square / float64(len(v)))
				near := func(what string, got, want float64) {
					t.Helper()
					if math.Abs(got-want) > 2e-5*scale {
						t.Errorf("%s is %v, want %v", what, got, want)
					}
				}
				near("the root mean square", math.Sqrt(square/float64(len(v))), scale)
				for i := range mean {
					near("a mean", mean[i], c.Mean[i])
				}
				for _, p := range c.Pixels {
					for i, want := range p.Value {
						near("a pixel", float64(v[3*(p.At[0]*c.Size[1]+p.At[1])+i]), want)
					}
				}
			})
		}
	}
}

// tensorsIn are the tensors of a file's bytes.
func tensorsIn(t *testing.T, data []byte) map[string]engine.Tensor {
	t.Helper()
	f, err := safetensors.Parse(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]engine.Tensor{}
	for _, e := range f.Tensors {
		all[e.Name] = engine.Tensor{DType: engine.F32, Shape: e.Shape, Data: data[e.Begin : e.Begin+e.Size]}
	}
	return all
}

func gradient(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		x, y := i%w, i/w
		copy(img.Pix[4*i:], []uint8{uint8(x * 255 / w), uint8(y * 255 / h), uint8(128 + 100*math.Sin(float64(x*y)/97)), 255})
	}
	return img
}

// TestUpscaleTiles: a picture of several tiles has no seams: it is the
// one that a single tile makes; sizes come out to the pixel, alpha stays.
func TestUpscaleTiles(t *testing.T) {
	f := openUpscaler(t, "srvgg_x2") // it sees 4 pixels around each
	u, err := diffusion.NewUpscaler(t.Context(), fastest(t).Backend, f)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	img := gradient(300, 200)
	tiled := 0
	large, err := u.Upscale(t.Context(), img, 0, func(_, total int) { tiled = total })
	if err != nil {
		t.Fatal(err)
	}
	if tiled != 4 || large.Rect != image.Rect(0, 0, 600, 400) {
		t.Fatalf("%d tiles make %v", tiled, large.Rect)
	}
	part := image.NewNRGBA(image.Rect(0, 0, 190, 190)) // across both seams
	for y := range 190 {
		copy(part.Pix[y*part.Stride:][:4*190], img.Pix[img.PixOffset(90, y):])
	}
	one, err := u.Upscale(t.Context(), part, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	const edge = 12
	worst := 0
	for y := edge; y < 380-edge; y++ {
		for x := edge; x < 380-edge; x++ {
			for c := range 3 {
				worst = max(worst, abs(int(one.Pix[one.PixOffset(x, y)+c])-int(large.Pix[large.PixOffset(x+180, y)+c])))
			}
		}
	}
	if worst > 1 {
		t.Errorf("a seam differs by %d of 255", worst)
	}
	img.Pix[3] = 0
	for by, want := range map[float64]image.Rectangle{1: img.Rect, 1.5: image.Rect(0, 0, 450, 300), 3: image.Rect(0, 0, 900, 600)} {
		out, err := u.Upscale(t.Context(), img, by, nil)
		if err != nil || out.Rect != want || out.Opaque() {
			t.Errorf("by %v: %v, %v", by, out.Rect, err)
		}
	}
	for _, by := range []float64{0.5, 17, math.NaN()} {
		if _, err := u.Upscale(t.Context(), img, by, nil); !errors.Is(err, diffusion.ErrBadRequest) {
			t.Errorf("by %v: %v", by, err)
		}
	}
	if _, err := u.Upscale(t.Context(), gradient(8000, 4000), 2, nil); !errors.Is(err, diffusion.ErrBadRequest) {
		t.Errorf("too large a picture: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := u.Upscale(ctx, img, 2, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func abs(v int) int { return max(v, -v) }

// TestUpscalerRefusals names what is wrong with a checkpoint.
func TestUpscalerRefusals(t *testing.T) {
	for name, change := range map[string]func(map[string]engine.Tensor){
		"missing": func(w map[string]engine.Tensor) { delete(w, "body.2.bias") },
		"shape":   func(w map[string]engine.Tensor) { w["body.2.bias"] = filled(1, 9) },
		"more":    func(w map[string]engine.Tensor) { w["else.weight"] = filled(1, 9) },
		"another": func(w map[string]engine.Tensor) { clear(w); w["conv_in.weight"] = filled(1, 3, 3, 3, 3) },
		"nan":     func(w map[string]engine.Tensor) { w["body.2.bias"] = filled(float32(math.NaN()), 8) },
		"no scale": func(w map[string]engine.Tensor) {
			w["body.4.weight"], w["body.4.bias"] = filled(1, 15, 8, 3, 3), filled(1, 15)
		},
	} {
		data, err := seeded.File(filepath.Join(upscalerDir, "srvgg_x2.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		tensors := tensorsIn(t, data)
		change(tensors)
		data = written(t, tensors)
		f, err := upscaler.Open("a.safetensors", func(string) (safetensors.Blob, error) { return memory{bytes.NewReader(data)}, nil })
		if err == nil {
			_, err = diffusion.NewUpscaler(t.Context(), cpu.New(), f)
		}
		if !errors.Is(err, diffusion.ErrBadModel) && !errors.Is(err, upscaler.ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
