package simd

import (
	"context"
	"errors"
	"testing"
	"time"

	"wisp/engine"
	"wisp/engine/enginetest"
)

// mixed is a graph that goes through most kernels, with several units in each.
func mixed(t testing.TB) *engine.Graph {
	return build(t, func(g *engine.Graph) {
		x := g.Input("x", engine.F32, 1, 20, 20, 48)
		h := engine.SiLU(engine.GroupNorm(x, g.Weight("g", 48), g.Weight("b", 48), 8, 1e-5))
		h = engine.Add(engine.Conv2D(h, g.Weight("c", 48, 48, 3, 3), g.Weight("b", 48), 1, [4]int{1, 1, 1, 1}), x)
		s := engine.LayerNorm(engine.Reshape(h, 1, 400, 48), g.Weight("g", 48), g.Weight("b", 48), 1e-5)
		s = engine.Attention(s, s, s, 4, 0.3, false)
		s = engine.GEGLU(engine.Linear(s, g.Weight("l", 96, 48), nil))
		g.Output("y", engine.Concat(-1, engine.Softmax(s), engine.Mul(s, s)))
	})
}

func upload(t testing.TB, b *backend, weights map[string]engine.Tensor) map[string]engine.Buffer {
	t.Helper()
	buffers := map[string]engine.Buffer{}
	for name, w := range weights {
		var err error
		if buffers[name], err = b.Upload(w); err != nil {
			t.Fatal(err)
		}
	}
	return buffers
}

// TestThreadsAgree: within one flavour the number of threads must not change a bit.
func TestThreadsAgree(t *testing.T) {
	if !canShare() {
		if _, err := New(Options{Threads: 2}); !errors.Is(err, engine.ErrUnsupported) {
			t.Errorf("two threads in a page that is not isolated: %v", err)
		}
		return
	}
	g := mixed(t)
	in, weights := enginetest.Data(g, engine.F16)
	var want engine.Tensor
	for threads := 1; threads <= 4; threads++ {
		b := openAll(t, Options{Threads: threads})
		for range 3 {
			got := runOnce(t, b, g, upload(t, b, weights), in)
			if want.Data == nil {
				want = got
			}
			if string(got.Data) != string(want.Data) {
				t.Fatalf("%d threads: another result than one", threads)
			}
		}
	}
}

// TestLostThread loses a thread in the middle of its work: the run must end in
// engine.ErrDeviceLost. One that is killed during a run is missed only if it
// held a share: the run ends in that error or in the right result, never in
// another. Either way the next run must succeed.
func TestLostThread(t *testing.T) {
	if !canShare() {
		return // there is none to lose
	}
	b := openAll(t, Options{Threads: 3})
	g := mixed(t)
	in, weights := enginetest.Data(g, engine.F32)
	p, err := b.Compile(g, upload(t, b, weights))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context()) // such a run lets the browser do its work now and then
	defer cancel()
	run := func() (string, error) {
		out := engine.NewTensor(engine.F32, g.Outputs[0].Node.Shape...)
		err := p.Run(ctx, in, map[string]engine.Tensor{"y": out})
		return string(out.Data), err
	}
	want, err := run()
	if err != nil {
		t.Fatal(err)
	}
	if err := loseShare(t, b); !errors.Is(err, engine.ErrDeviceLost) {
		t.Fatalf("run with a thread lost: %v", err)
	}
	if got, err := run(); err != nil || got != want {
		t.Fatalf("after a thread was lost: %v, the same result: %t", err, got == want)
	}
	for range 3 {
		done := make(chan struct{})
		time.AfterFunc(20*time.Millisecond, func() {
			killThread(b)
			close(done)
		})
		for killed := false; !killed; {
			select {
			case <-done:
				killed = true // and once more
			default:
			}
			if got, err := run(); err == nil && got != want || err != nil && !errors.Is(err, engine.ErrDeviceLost) {
				t.Fatalf("while a thread was killed: %v, the same result: %t", err, got == want)
			}
		}
		if got, err := run(); err != nil || got != want {
			t.Fatalf("after a thread was killed: %v, the same result: %t", err, got == want)
		}
	}
}

// loseShare runs a command of two shares of which one is never done, as if its
// thread had died: the first to run raises the number of shares.
func loseShare(t *testing.T, b *backend) error {
	s, err := b.mem.alloc(256)
	if err != nil {
		t.Fatal(err)
	}
	const more = 128 // where the new number of shares lies
	words := []uint32{uint32(kMove), 0, 0, 2, 2,
		uint32(s.addr + more), uint32(s.addr + 4*headShares), 1, 4, 1, 2, 0, 0}
	words[headWords] = uint32(len(words))
	b.host.write(s.addr, wordBytes(words))
	b.host.write(s.addr+more, wordBytes([]uint32{9}))
	return b.run(s.addr, s.addr+4*len(words))
}
