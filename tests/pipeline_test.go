package tests

import (
	"context"
	"encoding/json"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine/diffusion"
)

// directory is a diffusers pipeline directory as a [diffusion.Model].
type directory struct {
	t    *testing.T
	path string
}

func (d directory) Config(component string) (json.RawMessage, bool) {
	for _, name := range []string{component + "/config.json", component + "/scheduler_config.json", component + ".json"} {
		if b, ok := d.File(name); ok {
			return b, true
		}
	}
	return nil, false
}

func (d directory) File(name string) ([]byte, bool) {
	b, err := os.ReadFile(filepath.Join(d.path, name))
	return b, err == nil
}

func (d directory) Tensors(_ context.Context, component string, prefixes []string, each func(name, dtype string, shape []int, data []byte) error) error {
	files, _ := filepath.Glob(filepath.Join(d.path, component, "*.safetensors"))
	for _, file := range files {
		for name, t := range readSafetensors(d.t, file) {
			if hasPrefix(name, prefixes) {
				if err := each(name, t.DType.String(), t.Shape, t.Data); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return len(prefixes) == 0
}

// pipelineCase is one entry of a golden.json.
type pipelineCase struct {
	Prompt   string   `json:"prompt"`
	Negative string   `json:"negative_prompt"`
	Seed     uint64   `json:"seed"`
	Steps    int      `json:"steps"`
	Guidance float32  `json:"guidance"`
	Width    int      `json:"width"`
	Height   int      `json:"height"`
	Schedule string   `json:"schedule"`
	Files    []string `json:"files"` // one picture for each seed from Seed on
}

func (c pipelineCase) request() diffusion.Request {
	return diffusion.Request{
		Prompt: c.Prompt, NegativePrompt: c.Negative, Seed: c.Seed, Schedule: c.Schedule, Steps: c.Steps, Guidance: c.Guidance,
		Width: c.Width, Height: c.Height, Count: len(c.Files),
	}
}

// readPNG returns the picture's pixels as RGB triples.
func readPNG(t *testing.T, file string) (rgb []uint8, size image.Point) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	size = img.Bounds().Size()
	for y := range size.Y {
		for x := range size.X {
			r, g, b, _ := img.At(x, y).RGBA()
			rgb = append(rgb, uint8(r>>8), uint8(g>>8), uint8(b>>8))
		}
	}
	return rgb, size
}

// psnr is the peak signal-to-noise ratio of a picture against RGB triples in
// decibels; 99 where they are equal.
func psnr(img *image.NRGBA, rgb []uint8) float64 {
	var sum float64
	for i := range len(img.Pix) / 4 {
		for c := range 3 {
			d := float64(img.Pix[4*i+c]) - float64(rgb[3*i+c])
			sum += d * d
		}
	}
	if sum == 0 {
		return 99
	}
	return 10 * math.Log10(255*255/(sum/float64(len(rgb))))
}

// What a picture must reach against diffusers, from f32 weights and from the
// packed ones of a page.
const (
	minPSNR       = 45
	minPackedPSNR = 35
)

// tinyPipelines lists the goldens that come with their model.
func tinyPipelines(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join("golden", "pipeline", "tiny_*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no pipelines: %v", err)
	}
	return dirs
}

// TestPipelines draws the pictures of the tiny pipelines and compares them
// with those of diffusers.
func TestPipelines(t *testing.T) {
	for _, dir := range tinyPipelines(t) {
		for _, b := range backends(t) {
			t.Run(filepath.Base(dir)+"/"+b.label, func(t *testing.T) {
				checkPipeline(t, b, directory{t, filepath.Join(dir, "model")}, dir, minPSNR)
			})
		}
	}
}

// checkPipeline draws the pictures of dir/golden.json with a model.
func checkPipeline(t *testing.T, b labelled, m diffusion.Model, dir string, bound float64) {
	var file struct {
		Cases []pipelineCase `json:"cases"`
	}
	readJSON(t, filepath.Join(dir, "golden.json"), &file)
	p, err := diffusion.New(t.Context(), b.Backend, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range file.Cases {
		r, err := p.Generate(t.Context(), c.request(), nil)
		if err != nil {
			t.Errorf("%.30q: %v", c.Prompt, err)
			continue
		}
		for i, name := range c.Files {
			want, size := readPNG(t, filepath.Join(dir, name))
			if got := r.Images[i].Bounds().Size(); got != size {
				t.Errorf("%s: size %v, want %v", name, got, size)
				continue
			}
			db := psnr(r.Images[i], want)
			t.Logf("parity: %-18s %-7s %-7s PSNR %.1f dB after %d steps", filepath.Base(dir), b.label, name, db, c.Steps)
			if db < bound {
				t.Errorf("%s: PSNR %.1f dB, want %.0f", name, db, bound)
			}
		}
	}
}
