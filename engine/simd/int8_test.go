package simd

import (
	"fmt"
	"math"
	"testing"

	"wisp/engine"
	"wisp/engine/enginetest"
)

// TestInt8 compares products on 8-bit integers with the reference: within the
// rounding of the rows, and equal to it where the rows are whole numbers.
func TestInt8(t *testing.T) {
	for _, opts := range []Options{{Relaxed: Off, Int8: On}, {Relaxed: On, Int8: On}, {Relaxed: Auto, Int8: On, Threads: 2}} {
		if opts.Relaxed == On && !hasRelaxed() || opts.Threads > 1 && !canShare() {
			continue
		}
		b := openAll(t, opts)
		for _, c := range []struct {
			m, k, n int
			weights engine.DType
		}{{64, 64, 64, engine.Q8}, {7, 32, 5, engine.Q8}, {33, 96, 17, engine.Q8}, {200, 320, 40, engine.Q8}, {5, 64, 1, engine.Q8},
			{64, 128, 64, engine.Q2}, {33, 384, 17, engine.Q2}, {200, 256, 40, engine.Q2}, {7, 64, 20, engine.Q2}} {
			m, k, n := c.m, c.k, c.n
			t.Run(fmt.Sprintf("%+v/%dx%dx%d_%v", opts, m, k, n, c.weights), func(t *testing.T) {
				g := build(t, func(g *engine.Graph) {
					y := engine.Linear(g.Input("x", engine.F32, m, k), g.Weight("w", n, k), g.Weight("b", n))
					g.Output("y", engine.SiLU(engine.Add(y, g.Input("r", engine.F32, m, n))))
				})
				in, weights := enginetest.Data(g, c.weights)
				want := oracle(t, g, weights, in)
				if err := enginetest.Compare(runOnce(t, b, g, upload(t, b, weights), in), want, 2e-4); err != nil {
					t.Error(err)
				}
				x := in["x"].Float32s()
				for i := range x {
					x[i] = float32(math.Round(float64(x[i] * 20)))
					if i%k == 0 {
						x[i] = 127
					}
				}
				in["x"] = engine.FromFloat32s(x, m, k)
				want = oracle(t, g, weights, in)
				if err := enginetest.Compare(runOnce(t, b, g, upload(t, b, weights), in), want, 1e-9); err != nil {
					t.Errorf("whole numbers: %v", err)
				}
				x[0] = float32(math.NaN())
				in["x"] = engine.FromFloat32s(x, m, k)
				if y := runOnce(t, b, g, upload(t, b, weights), in).Float32s()[0]; y == y {
					t.Errorf("NaN comes out as %v", y)
				}
			})
		}
	}
}
