package simd

import (
	"fmt"
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
			buffers := upload(t, b, weights)
			got := runOnce(t, b, g, buffers, in)
			if err := enginetest.Compare(got, want, 1e-10); err != nil {
				t.Errorf("%+v: %v", c, err)
			}
			p := packing{c.out, c.in * 9, 9, true}
			if f := buffers["w"].(*buffer).packed[p]; f == nil || !f.used {
				t.Errorf("%s: convolved directly", fmt.Sprint(c))
			}
		})
	}
}
