package simd

import (
	"testing"

	"wisp/engine"
	"wisp/engine/enginetest"
)

// TestWinograd runs convolutions that take the fast way: images that are no
// multiple of a tile, all kinds of padding, batches, several chunks.
func TestWinograd(t *testing.T) {
	for _, c := range []struct {
		n, h, w, in, out int
		pad              [4]int
	}{
		{1, 16, 16, 64, 64, [4]int{1, 1, 1, 1}},
		{2, 13, 9, 64, 60, [4]int{1, 1, 1, 1}},
		{1, 12, 12, 128, 32, [4]int{}},
		{3, 6, 7, 48, 52, [4]int{2, 0, 1, 3}},
		{1, 61, 57, 64, 64, [4]int{1, 1, 1, 1}},
		{1, 40, 37, 20, 64, [4]int{1, 1, 1, 1}},
	} {
		g := build(t, func(g *engine.Graph) {
			y := engine.Conv2D(g.Input("x", engine.F32, c.n, c.h, c.w, c.in), g.Weight("w", c.out, c.in, 3, 3), g.Weight("b", c.out), 1, c.pad)
			g.Output("y", engine.SiLU(engine.Add(y, g.Input("r", engine.F32, y.Shape...))))
		})
		in, weights := enginetest.Data(g, engine.F16)
		want := oracle(t, g, weights, in)
		flavours(t, func(t *testing.T, b *backend) {
			for _, keep := range []bool{true, false} {
				if b.limits = defaultLimits; !keep { // small groups and chunks too
					b.limits = winogradLimits{pixels: 1 << 20, weights: 200 << 10}
				}
				buffers := upload(t, b, weights)
				if err := enginetest.Compare(runOnce(t, b, g, buffers, in), want, 1e-10); err != nil {
					t.Errorf("%+v, weights kept %v: %v", c, keep, err)
				}
				f := buffers["w"].(*buffer).packed[packing{c.out, c.in * 9, 9, true}]
				if kept := f != nil && f.used; kept != keep {
					t.Errorf("%+v: transformed weights kept: %v, want %v", c, kept, keep)
				}
			}
		})
	}
}
