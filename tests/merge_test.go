//go:build !js

package tests

import (
	"image"
	"path/filepath"
	"slices"
	"testing"

	"wisp/engine/diffusion"
	"wisp/loader"
	"wisp/loader/pack"
	"wisp/tests/golden/pipeline"
	"wisp/tests/golden/seeded"
)

// TestMerged packs models with LoRAs merged into their weights: without any worn
// they draw what diffusers draws.
func TestMerged(t *testing.T) {
	merged := 0
	for _, c := range adapterCases(t) {
		if len(c.Loras) == 0 || c.Embedding != "" {
			continue
		}
		merged++
		picture := c.packed(t, "f32", true)
		if db := pipeline.Compare(picture, readImage(t, filepath.Join(adapterDir, c.Name+".png"))); db < minPSNR {
			t.Errorf("%s: PSNR %.1f dB, want %d", c.Name, db, minPSNR)
		} else {
			t.Logf("%s: %.1f dB", c.Name, db)
		}
	}
	if merged == 0 {
		t.Error("no case has LoRAs")
	}
}

// TestMergedQuantised: a LoRA worn by quantised weights is as near to f32 as weights
// that were quantised after it was merged into them.
func TestMergedQuantised(t *testing.T) {
	cases := adapterCases(t)
	for _, name := range []string{"sd_kohya", "sdxl_kohya"} {
		c := cases[slices.IndexFunc(cases, func(c adapterCase) bool { return c.Name == name })]
		exact := readImage(t, filepath.Join(adapterDir, name+".png"))
		for _, quant := range []string{"q8", "q4"} {
			worn, merged := pipeline.Compare(c.packed(t, quant, false), exact), pipeline.Compare(c.packed(t, quant, true), exact)
			if t.Logf("%s, %s: worn %.1f dB from f32, merged %.1f", name, quant, worn, merged); worn < merged-1 {
				t.Errorf("%s, %s: worn it is further from f32 than the quantisation makes it", name, quant)
			}
		}
	}
}

// packed draws a case with a packed model, its LoRAs merged or worn.
func (c adapterCase) packed(t *testing.T, quant string, merged bool) *image.NRGBA {
	t.Helper()
	in, out := seeded.Directory(t, filepath.Join("golden", "pipeline", c.Model, "model")), t.TempDir()
	options := pack.Options{In: in, Out: out, Quant: quant}
	if merged {
		options.Change, options.Changes = c.merging(t, directory{t, in}), c.Name
	}
	if err := pack.Run(t.Context(), options); err != nil {
		t.Fatal(c.Name, err)
	}
	model, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
	if err != nil {
		t.Fatal(c.Name, err)
	}
	p, err := diffusion.New(t.Context(), fastest(t).Backend, model, nil)
	if err != nil {
		t.Fatal(c.Name, err)
	}
	defer p.Close()
	r := c.request(p.Defaults())
	if !merged {
		for _, l := range c.Loras {
			a, err := p.AddAdapter(t.Context(), "", openAdapter(t, l[0].(string)))
			if err != nil {
				t.Fatal(c.Name, err)
			}
			r.Loras = append(r.Loras, diffusion.Lora{ID: a.ID, Weight: float32(l[1].(float64))})
		}
	}
	result, err := p.Generate(t.Context(), r, nil)
	if err != nil {
		t.Fatal(c.Name, err)
	}
	return result.Images[0]
}

// merging changes the weights of a model as the case's LoRAs do.
func (c adapterCase) merging(t *testing.T, m diffusion.Model) func(component, name string) func([]float32) error {
	t.Helper()
	var all []*diffusion.Merging
	for _, l := range c.Loras {
		one, err := diffusion.NewMerging(m, openAdapter(t, l[0].(string)), float32(l[1].(float64)))
		if err != nil {
			t.Fatal(c.Name, err)
		}
		all = append(all, one)
	}
	return func(component, name string) func([]float32) error {
		return func(values []float32) error {
			for _, one := range all {
				if change := one.Change(component, name); change != nil {
					if err := change(values); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
}
