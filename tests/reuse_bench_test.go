package tests

import (
	"image"
	"testing"

	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
)

// BenchmarkReuse draws with the default model at 20 steps and lets its deep part serve several: milliseconds a picture,
// and how far it is from the one whose steps are whole.
func BenchmarkReuse(b *testing.B) {
	var whole *image.NRGBA
	for _, reuse := range []string{"", "deepcache interval=2", "deepcache interval=3", "deepcache interval=5", "deepcache interval=3 branch=3"} {
		b.Run(reuse, func(b *testing.B) {
			m, _ := openDefault(b)
			backends, err := simdBackends()
			if err != nil {
				b.Fatal(err)
			}
			p, err := diffusion.New(b.Context(), backends[0], m, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			r := p.Defaults()
			r.Prompt, r.Steps, r.Guidance, r.Seed, r.Reuse = "red heart", 20, 3, 3, reuse
			var img *image.NRGBA
			for b.Loop() {
				result, err := p.Generate(b.Context(), r, nil)
				if err != nil {
					b.Fatal(err)
				}
				img = result.Images[0]
			}
			if reuse == "" {
				whole = img
			}
			b.ReportMetric(1e3*b.Elapsed().Seconds()/float64(b.N), "ms/picture")
			b.ReportMetric(pipeline.Compare(img, whole), "dB")
		})
	}
}
