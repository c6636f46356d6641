package webgpu

import (
	"math/rand/v2"
	"testing"

	"wisp/engine"
	"wisp/engine/enginetest"
)

// TestPlaceRandom: values that live at the same time never share bytes, and
// what a step reads is never in the buffer that it writes.
func TestPlaceRandom(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		values := []view{{&value{size: 4096}, 0, 4096}}
		uploads := []view{values[0]}
		var steps []step
		for range 40 {
			size := 16 << r.IntN(12)
			s := step{out: view{&value{size: size}, 0, size}}
			for range 1 + r.IntN(4) {
				s.reads = append(s.reads, values[r.IntN(len(values))])
			}
			steps = append(steps, s)
			values = append(values, s.out)
		}
		downloads := []view{values[len(values)-1], values[r.IntN(len(values))]}
		list := lifetimes(steps, uploads, downloads)
		sizes, err := place(list, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range list {
			if a.at.offset%bindAlign != 0 || a.at.offset+a.size > sizes[a.at.buffer] || sizes[a.at.buffer] > 64<<10 {
				t.Fatalf("seed %d: a value of %d at %+v of %v", seed, a.size, a.at, sizes)
			}
			for _, b := range list[i+1:] {
				alive := a.first <= b.last && b.first <= a.last
				overlap := a.at.buffer == b.at.buffer && a.at.offset < b.at.offset+b.size && b.at.offset < a.at.offset+a.size
				if alive && overlap {
					t.Fatalf("seed %d: two live values share bytes", seed)
				}
			}
		}
		for _, s := range steps {
			for _, read := range s.reads {
				if read.v.at.buffer == s.out.v.at.buffer {
					t.Fatalf("seed %d: a step writes the buffer that it reads", seed)
				}
			}
		}
	}
}

// TestPlaceReuses: a chain needs two values' worth of memory, however long.
func TestPlaceReuses(t *testing.T) {
	dev := newFake(DefaultLimits)
	b := newBackend(dev)
	if _, err := compileCase(b, enginetest.Case{Build: func(g *engine.Graph) {
		x := g.Input("x", engine.F32, 1024)
		for range 20 {
			x = engine.Affine(x, 2, 0)
		}
		g.Output("y", x)
	}}); err != nil {
		t.Fatal(err)
	}
	if dev.allocated != 2*4096 {
		t.Errorf("the arena takes %d bytes, want 8192", dev.allocated)
	}
}

// TestArenaIsShared: a second program takes no memory of its own, and both
// run after it has grown the arena.
func TestArenaIsShared(t *testing.T) {
	dev := newFake(DefaultLimits)
	b := newBackend(dev)
	chain := func(n int) enginetest.Case {
		return enginetest.Case{Build: func(g *engine.Graph) {
			g.Output("y", engine.SiLU(engine.Affine(g.Input("x", engine.F32, n), 2, 0)))
		}}
	}
	for _, n := range []int{1024, 2048, 512, 1024} {
		if _, err := compileCase(b, chain(n)); err != nil {
			t.Fatal(err)
		}
	}
	if dev.allocated != 2*8192 || len(dev.faults) > 0 {
		t.Errorf("the arena takes %d bytes (%v), want that of the largest program", dev.allocated, dev.faults)
	}
}
