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
		{2, 17, 14, 64, 60, [4]int{1, 1, 1, 1}},
		{1, 25, 22, 128, 32, [4]int{}},
		{3, 13, 15, 48, 52, [4]int{2, 0, 1, 3}},
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
			for _, way := range []struct {
				name   string
				limits winogradLimits
				keep   bool
				kernel kernelID // 0: one way or the other
			}{
				{"kept weights", defaultLimits, true, 0},
				{"all steps a block at a time", winogradLimits{kept: 1 << 30, fused: 1 << 30}, true, 0},
				{"chunks", winogradLimits{kept: 1 << 30, chunk: 1 << 20}, true, kWinogradInput},
				{"small groups and chunks", winogradLimits{pixels: 1 << 20, weights: 200 << 10}, false, kWinogradInput},
			} {
				b.limits = way.limits
				buffers := upload(t, b, weights)
				if err := enginetest.Compare(runOnce(t, b, g, buffers, in), want, 1e-10); err != nil {
					t.Errorf("%+v, %s: %v", c, way.name, err)
				}
				stepwise, fused := countCommands(t, b, g, buffers, kWinogradInput), countCommands(t, b, g, buffers, kWinograd)
				if stepwise+fused == 0 || way.kernel == kWinogradInput && stepwise == 0 {
					t.Errorf("%+v, %s: convolved in another way", c, way.name)
				}
				f := buffers["w"].(*buffer).packed[packing{c.out, c.in * 9, 9, true}]
				if kept := f != nil && f.used; kept != way.keep {
					t.Errorf("%+v, %s: transformed weights kept: %v", c, way.name, kept)
				}
			}
		})
	}
}

// countCommands compiles a graph and counts the commands for one kernel.
func countCommands(t *testing.T, b *backend, g *engine.Graph, buffers map[string]engine.Buffer, k kernelID) (n int) {
	t.Helper()
	p, err := b.Compile(g, buffers)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	words := p.(*program).words
	for at := 0; at < len(words); at += int(words[at+headWords]) {
		if kernelID(words[at+headKernel]) == k {
			n++
		}
	}
	return n
}

// TestUpsampledConv fuses an upsampling into the convolutions that read it,
// but not where something else does.
func TestUpsampledConv(t *testing.T) {
	for _, c := range []struct {
		name    string
		outH    int
		k       int
		shared  bool
		removed bool
	}{
		{"3x3", 16, 3, false, true}, {"4x", 32, 3, false, true}, {"1x1", 16, 1, false, true},
		{"odd_factor", 24, 3, false, false}, {"same_size", 8, 3, false, true}, {"smaller", 5, 3, false, false}, {"shared", 16, 3, true, false},
	} {
		for _, channels := range []int{6, 48} { // directly, by Winograd's
			g := build(t, func(g *engine.Graph) {
				u := engine.Upsample2D(g.Input("x", engine.F32, 2, 8, 7, channels), c.outH, 14)
				p := c.k / 2
				y := engine.Conv2D(u, g.Weight("w", channels, channels, c.k, c.k), g.Weight("b", channels), 1, [4]int{p, p, p, p})
				if c.shared {
					y = engine.Add(y, u)
				}
				g.Output("y", y)
			})
			in, weights := enginetest.Data(g, engine.F32)
			want := oracle(t, g, weights, in)
			flavours(t, func(t *testing.T, b *backend) {
				if err := enginetest.Compare(runOnce(t, b, g, upload(t, b, weights), in), want, enginetest.Tolerance); err != nil {
					t.Errorf("%s, %d channels: %v", c.name, channels, err)
				}
				o := engine.Optimize(g, b.Supports)
				if removed := len(fuseUpsample(o)) > 0; removed != c.removed {
					t.Errorf("%s: upsampling fused: %v, want %v", c.name, removed, c.removed)
				}
			})
		}
	}
}
