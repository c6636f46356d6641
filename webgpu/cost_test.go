package webgpu

import (
	"runtime"
	"testing"

	"wisp/engine"
)

// TestLongProgramsAreLinear: layers that are cut into thousands of dispatches
// are planned in memory of their size, not of its square.
func TestLongProgramsAreLinear(t *testing.T) {
	g, err := engine.Build(func(g *engine.Graph) {
		x := g.Input("x", engine.F32, 1, 4096, 4096)
		for range 80 {
			x = engine.Linear(x, g.Weight("w", 4096, 4096), nil)
		}
		g.Output("y", x)
	})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Count(g, engine.Q4, engine.F32, DefaultLimits); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
		t.Errorf("planning took %d MiB", n>>20)
	}
}
