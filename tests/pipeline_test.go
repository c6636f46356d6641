package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
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
	cases, err := pipeline.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := diffusion.New(t.Context(), b.Backend, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range cases {
		r, err := p.Generate(t.Context(), c.Request(), nil)
		if err != nil {
			t.Errorf("%.30q: %v", c.Prompt, err)
			continue
		}
		for i, name := range c.Files {
			db, err := pipeline.PSNR(r.Images[i], filepath.Join(dir, name))
			if err != nil {
				t.Error(err)
				continue
			}
			t.Logf("parity: %-18s %-7s %-7s PSNR %.1f dB after %d steps", filepath.Base(dir), b.label, name, db, c.Steps)
			if db < bound {
				t.Errorf("%s: PSNR %.1f dB, want %.0f", name, db, bound)
			}
		}
	}
}

// holder is a backend that keeps count of the bytes it holds.
type holder struct {
	engine.Backend
	bytes, most int
}

type held struct {
	engine.Buffer
	by   *holder
	size int
}

func (h *holder) Upload(t engine.Tensor) (engine.Buffer, error) {
	b, err := h.Backend.Upload(t)
	h.bytes += len(t.Data)
	h.most = max(h.most, h.bytes)
	return held{b, h, len(t.Data)}, err
}

func (h held) Release() {
	h.by.bytes -= h.size
	h.Buffer.Release()
}

func (h *holder) Compile(g *engine.Graph, weights map[string]engine.Buffer) (engine.Program, error) {
	plain := map[string]engine.Buffer{}
	for name, w := range weights {
		plain[name] = w.(held).Buffer
	}
	return h.Backend.Compile(g, plain)
}

// TestFrugalPipeline: with one component at a time on the backend, pictures
// are the same, and the weights there are never more than the largest
// component's.
func TestFrugalPipeline(t *testing.T) {
	dir := tinyPipelines(t)[0]
	cases, err := pipeline.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	request := cases[0].Request()
	request.Count, request.Previews = 2, true
	var pictures [][]*image.NRGBA
	largest, before := 0, 0 // bytes of a component, of those before it
	for _, options := range [][]diffusion.Option{nil, {diffusion.Frugal()}} {
		h := &holder{Backend: cpu.New()}
		p, err := diffusion.New(t.Context(), h, directory{t, filepath.Join(dir, "model")}, func(string, int64, int64) {
			largest, before = max(largest, h.bytes-before), h.bytes
		}, options...)
		if err != nil {
			t.Fatal(err)
		}
		if options != nil && h.bytes != 0 {
			t.Errorf("%d bytes of weights are loaded before they are needed", h.bytes)
		}
		r, err := p.Generate(t.Context(), request, nil)
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, r.Images)
		if options != nil && h.most != largest {
			t.Errorf("%d bytes of weights at a time, the largest component has %d", h.most, largest)
		}
		if p.Close(); h.bytes != 0 {
			t.Errorf("%d bytes are held after Close", h.bytes)
		}
	}
	for i, img := range pictures[0] {
		if !bytes.Equal(img.Pix, pictures[1][i].Pix) {
			t.Errorf("picture %d differs", i)
		}
	}
}
