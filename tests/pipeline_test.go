package tests

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
	"wisp/tests/golden/seeded"
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

func (d directory) Stream(_ context.Context, component string, prefixes []string, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	for _, file := range seeded.Files(filepath.Join(d.path, component)) {
		for name, t := range readSafetensors(d.t, file) {
			if hasPrefix(name, prefixes) {
				fill := func(w io.WriterAt) error { _, err := w.WriteAt(t.Data, 0); return err }
				if err := each(name, t.DType.String(), t.Shape, fill); err != nil {
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
	// Rounding to 8 bits shows more in tiny networks than in those of use.
	minQuantisedPSNR = 20
)

// tinyPipelines lists the goldens that come with their model.
func tinyPipelines(t *testing.T) (dirs []string) {
	t.Helper()
	models, err := filepath.Glob(filepath.Join("golden", "pipeline", "*", "model"))
	if err != nil || len(models) == 0 {
		t.Fatalf("no pipelines: %v", err)
	}
	for _, m := range models {
		dirs = append(dirs, filepath.Dir(m))
	}
	return dirs
}

// plainPipeline is one of them, of Stable Diffusion's kind.
var plainPipeline = filepath.Join("golden", "pipeline", "tiny_ddim_kl")

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
	checkCases(t, b, m, dir, cases, bound)
}

// checkCases draws some of them.
func checkCases(t *testing.T, b labelled, m diffusion.Model, dir string, cases []pipeline.Case, bound float64) {
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
			parity{Case: filepath.Base(dir), DB: db}.log(t, b)
			if db < bound {
				t.Errorf("%s: PSNR %.1f dB, want %.0f", name, db, bound)
			}
		}
	}
}

// altered is a model with another text for one config.
type altered struct {
	diffusion.Model
	component, config string
}

func (a altered) Config(component string) (json.RawMessage, bool) {
	if component == a.component {
		return json.RawMessage(a.config), true
	}
	return a.Model.Config(component)
}
