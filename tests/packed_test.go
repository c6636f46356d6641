//go:build !js

package tests

import (
	"path/filepath"
	"testing"

	"wisp/loader"
	"wisp/loader/pack"
	"wisp/tests/golden/seeded"
)

// TestPackedPipelines takes the tiny pipelines through the packer and the
// loader, as a page gets them, in each storage type.
func TestPackedPipelines(t *testing.T) {
	for _, dir := range tinyPipelines(t) {
		in := seeded.Directory(t, filepath.Join(dir, "model"))
		for quant, bound := range map[string]float64{"f32": minPSNR, "f16": minPackedPSNR, "q8": minQuantisedPSNR} {
			t.Run(filepath.Base(dir)+"/"+quant, func(t *testing.T) {
				out := t.TempDir()
				if err := pack.Run(t.Context(), pack.Options{In: in, Out: out, Quant: quant}); err != nil {
					t.Fatal(err)
				}
				m, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
				if err != nil {
					t.Fatal(err)
				}
				b := fastest(t)
				b.label, b.weights = "packed", quant
				checkPipeline(t, b, m, dir, bound)
			})
		}
	}
}

// TestTextualInversion: a token that was added, as older directories tell of
// it, goes with the model and is found in the prompt.
func TestTextualInversion(t *testing.T) {
	dir := filepath.Join("golden", "inversion")
	in, out := t.TempDir(), t.TempDir()
	for _, from := range []string{filepath.Join("golden", "pipeline", "tiny_ddim_kl", "model"), filepath.Join(dir, "model")} {
		if err := seeded.Copy(in, from); err != nil {
			t.Fatal(err)
		}
	}
	if err := pack.Run(t.Context(), pack.Options{In: in, Out: out, Quant: "f32"}); err != nil {
		t.Fatal(err)
	}
	m, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkPipeline(t, fastest(t), m, dir, minPSNR)
}
