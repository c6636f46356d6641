package engine_test

import (
	"testing"

	"wisp/engine"
)

// TestFLOPs: each product counts two operations for each of its terms.
func TestFLOPs(t *testing.T) {
	for name, c := range map[string]struct {
		want float64
		make func(g *engine.Graph) *engine.Node
	}{
		"linear": {2 * 3 * 5 * 7, func(g *engine.Graph) *engine.Node {
			return engine.SiLU(engine.Linear(g.Input("x", engine.F32, 3, 7), g.Weight("w", 5, 7), nil))
		}},
		"conv": {2 * 4 * 4 * 6 * 3 * 9, func(g *engine.Graph) *engine.Node {
			return engine.Conv2D(g.Input("x", engine.F32, 1, 4, 4, 3), g.Weight("w", 6, 3, 3, 3), nil, 1, [4]int{1, 1, 1, 1})
		}},
		"attention": {2 * 2 * 6 * 10 * 8, func(g *engine.Graph) *engine.Node {
			q, k := g.Input("q", engine.F32, 1, 6, 8), g.Input("k", engine.F32, 1, 10, 8)
			return engine.Attention(q, k, k, 2, 0.5, false)
		}},
		"matmul": {2 * 3 * 5 * 7, func(g *engine.Graph) *engine.Node {
			return engine.MatMul(g.Input("x", engine.F32, 1, 3, 7), g.Input("y", engine.F32, 1, 7, 5), false)
		}},
	} {
		g, err := engine.Build(func(g *engine.Graph) { g.Output("y", c.make(g)) })
		if err != nil {
			t.Fatal(name, err)
		}
		if got := g.FLOPs(); got != c.want {
			t.Errorf("%s: %v operations, want %v", name, got, c.want)
		}
	}
}
