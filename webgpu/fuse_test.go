package webgpu

import (
	"testing"

	"wisp/engine"
)

// TestFusions counts the dispatches of what is computed together, and of what
// looks like it and is not.
func TestFusions(t *testing.T) {
	geglu := func(rows int, twice bool) func(*engine.Graph) {
		return func(g *engine.Graph) {
			h := engine.Linear(g.Input("x", engine.F32, rows, 64), g.Weight("w", 128, 64), g.Weight("b", 128))
			g.Output("y", engine.GEGLU(h))
			if twice {
				g.Output("h", h)
			}
		}
	}
	shifted := func(kernel int, row ...int) func(*engine.Graph) {
		return func(g *engine.Graph) {
			pad := kernel / 2
			h := engine.Conv2D(g.Input("x", engine.F32, 2, 8, 8, 16), g.Weight("w", 16, 16, kernel, kernel), nil, 1, [4]int{pad, pad, pad, pad})
			g.Output("y", engine.Add(h, g.Input("row", engine.F32, row...)))
		}
	}
	for name, c := range map[string]struct {
		build      func(*engine.Graph)
		dispatches int
	}{
		"geglu":                    {geglu(20, false), 1},
		"geglu of few rows":        {geglu(2, false), 2},
		"geglu, its layer kept":    {geglu(20, true), 2},
		"a row an image":           {shifted(3, 2, 1, 1, 16), 1},
		"a row an image, 1x1":      {shifted(1, 2, 1, 1, 16), 1},
		"a row for all images":     {shifted(3, 1, 1, 1, 16), 2},
		"a number for all of them": {shifted(3, 2, 1, 1, 1), 2},
	} {
		g, err := engine.Build(c.build)
		if err != nil {
			t.Fatal(err)
		}
		cost, err := Count(g, engine.F16, engine.F32, DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if len(cost.Steps) != c.dispatches {
			t.Errorf("%s: %d dispatches, want %d", name, len(cost.Steps), c.dispatches)
		}
	}
}
