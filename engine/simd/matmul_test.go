package simd

import (
	"testing"

	"wisp/engine"
	"wisp/engine/enginetest"
)

// TestUnpackedProduct multiplies more rows than a unit takes by small weights,
// which are unpacked beforehand, whole and in groups of columns.
func TestUnpackedProduct(t *testing.T) {
	flavours(t, func(t *testing.T, b *backend) {
		limits := b.limits
		defer func() { b.limits = limits }()
		for _, weights := range []int{limits.weights, 1} {
			b.limits.weights = weights
			for _, d := range []engine.DType{engine.F16, engine.BF16, engine.Q8, engine.Q4, engine.Q2} {
				enginetest.Check(t, b, enginetest.Case{Name: "linear", Weights: d, Build: func(g *engine.Graph) {
					x := g.Input("x", engine.F32, 32*b.fl.mr+5, 70)
					y := engine.Linear(x, g.Weight("w", 43, 70), g.Weight("b", 43))
					g.Output("y", engine.SiLU(engine.Add(y, g.Input("r", engine.F32, y.Shape...))))
				}})
				enginetest.Check(t, b, enginetest.Case{Name: "conv2d", Weights: d, Build: func(g *engine.Graph) {
					x := g.Input("x", engine.F32, 1, 18, 18, 5)
					y := engine.Conv2D(x, g.Weight("w", 43, 5, 3, 3), g.Weight("b", 43), 1, [4]int{1, 1, 1, 1})
					g.Output("y", engine.SiLU(engine.Add(y, g.Input("r", engine.F32, y.Shape...))))
				}})
			}
		}
	})
}
