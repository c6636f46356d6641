//go:build browser

package browser_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// BenchmarkPage measures a visit in Chromium as a visitor has it: from
// navigation to a page that is ready to draw, with nothing cached and with
// everything, and a picture at the model's own settings on WebAssembly, with
// one thread and with all. Each figure is the best of three, since the machine
// has other work.
func BenchmarkPage(b *testing.B) {
	for b.Loop() {
		var cold, warm, one, all []float64
		for range 3 {
			s, p := serve(b), newTab(b)
			visit := func() float64 {
				p.run(chromedp.Navigate("about:blank"))
				p.open(s.URL)
				return eval[float64](p, `performance.getEntriesByName("wisp-ready")[0].startTime / 1000`)
			}
			cold = append(cold, visit())
			warm = append(warm, visit())
			picture := func(threads int) float64 {
				return eval[float64](p, fmt.Sprintf(`(async () => {
					const { createGenerator } = await import("/wisp.js");
					const g = await createGenerator({ backend: "simd", threads: %d });
					await g.generate({ prompt: "rocket", seed: 1 });
					const { timings } = await g.generate({ prompt: "red heart", seed: 1 });
					g.dispose();
					return timings.total / 1000;
				})()`, threads))
			}
			one = append(one, picture(1))
			all = append(all, picture(0))
		}
		b.ReportMetric(slices.Min(cold), "s/cold-ready")
		b.ReportMetric(slices.Min(warm), "s/warm-ready")
		b.ReportMetric(slices.Min(one), "s/picture-1-thread")
		b.ReportMetric(slices.Min(all), "s/picture")
	}
	b.ReportMetric(0, "ns/op") // without a meaning here
}
