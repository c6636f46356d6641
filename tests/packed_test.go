//go:build !js

package tests

import (
	"path/filepath"
	"testing"

	"wisp/loader"
	"wisp/loader/pack"
)

// TestPackedPipelines takes the tiny pipelines through the packer and the
// loader, as a page gets them, in each storage type.
func TestPackedPipelines(t *testing.T) {
	for _, dir := range tinyPipelines(t) {
		for quant, bound := range map[string]float64{"f32": minPSNR, "f16": minPackedPSNR} {
			t.Run(filepath.Base(dir)+"/"+quant, func(t *testing.T) {
				out := t.TempDir()
				if err := pack.Run(t.Context(), pack.Options{In: filepath.Join(dir, "model"), Out: out, Quant: quant}); err != nil {
					t.Fatal(err)
				}
				m, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
				if err != nil {
					t.Fatal(err)
				}
				b := backends(t)[1]
				b.label = quant
				checkPipeline(t, b, m, dir, bound)
			})
		}
	}
}
