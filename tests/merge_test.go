//go:build !js

package tests

import (
	"path/filepath"
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
		in, out := seeded.Directory(t, filepath.Join("golden", "pipeline", c.Model, "model")), t.TempDir()
		m := directory{t, in}
		var all []*diffusion.Merging
		for _, l := range c.Loras {
			one, err := diffusion.NewMerging(m, openAdapter(t, l[0].(string)), float32(l[1].(float64)))
			if err != nil {
				t.Fatal(c.Name, err)
			}
			all = append(all, one)
		}
		change := func(component, name string) func([]float32) error {
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
		if err := pack.Run(t.Context(), pack.Options{In: in, Out: out, Quant: "f32", Change: change, Changes: c.Name}); err != nil {
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
		result, err := p.Generate(t.Context(), c.request(p.Defaults()), nil)
		if err != nil {
			t.Fatal(c.Name, err)
		}
		if db := pipeline.Compare(result.Images[0], readImage(t, filepath.Join(adapterDir, c.Name+".png"))); db < minPSNR {
			t.Errorf("%s: PSNR %.1f dB, want %d", c.Name, db, minPSNR)
		} else {
			t.Logf("%s: %.1f dB", c.Name, db)
		}
	}
	if merged == 0 {
		t.Error("no case has LoRAs")
	}
}
