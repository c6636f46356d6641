package simd

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/enginetest"
)

// open starts a backend for a test.
func open(t testing.TB, opts Options) *backend {
	t.Helper()
	b, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b.(*backend)
}

// flavours runs a test on the baseline module, and on the relaxed one where
// the host has relaxed SIMD; in a browser also with two threads. Natively
// TestThreadsAgree stands for those: on a busy machine wazero's meet slowly.
func flavours(t *testing.T, f func(t *testing.T, b *backend)) {
	for threads := 1; threads == 1 || threads == 2 && canShare() && runtime.GOOS == "js"; threads++ {
		t.Run(fmt.Sprintf("baseline_%d", threads), func(t *testing.T) {
			f(t, openAll(t, Options{Relaxed: Off, Threads: threads}))
		})
		if hasRelaxed() {
			t.Run(fmt.Sprintf("relaxed_%d", threads), func(t *testing.T) {
				f(t, openAll(t, Options{Relaxed: On, Threads: threads}))
			})
		}
	}
}

// openAll is open, and waits until all threads are up.
func openAll(t testing.TB, opts Options) *backend {
	t.Helper()
	b := open(t, opts)
	for deadline := time.Now().Add(10 * time.Second); ready(b) < b.threads-1; {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d threads came up", ready(b)+1, b.threads)
		}
		time.Sleep(time.Millisecond)
	}
	return b
}

// ready is the number of threads that have joined the caller's.
func ready(b *backend) int {
	word := make([]byte, 4)
	b.host.read(b.control.addr+ctlReady, word)
	return int(word[0])
}

func TestOps(t *testing.T) {
	flavours(t, func(t *testing.T, b *backend) { enginetest.Run(t, b) })
}

// TestNaN: what is no number stays none.
func TestNaN(t *testing.T) {
	flavours(t, func(t *testing.T, b *backend) { enginetest.NaN(t, b) })
}

var _ engine.Backend = (*backend)(nil)

// runOnce compiles and runs a graph with the one output "y".
func runOnce(t *testing.T, b engine.Backend, g *engine.Graph, buffers map[string]engine.Buffer, in map[string]engine.Tensor) engine.Tensor {
	t.Helper()
	p, err := b.Compile(g, buffers)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	y := engine.NewTensor(engine.F32, g.Outputs[0].Node.Shape...)
	if err := p.Run(context.Background(), in, map[string]engine.Tensor{"y": y}); err != nil {
		t.Fatal(err)
	}
	return y
}

// oracle is runOnce on the reference backend.
func oracle(t *testing.T, g *engine.Graph, weights, in map[string]engine.Tensor) engine.Tensor {
	t.Helper()
	b := cpu.New()
	buffers := map[string]engine.Buffer{}
	for name, w := range weights {
		var err error
		if buffers[name], err = b.Upload(w); err != nil {
			t.Fatal(err)
		}
	}
	return runOnce(t, b, g, buffers, in)
}

// TestDeterministic: the same flavour must always give the same bytes, so that
// native code can be cached.
func TestDeterministic(t *testing.T) {
	for _, fl := range []flavour{relaxedTile, baselineTile, wazeroTile} {
		if first, second := emitModule(fl), emitModule(fl); !bytes.Equal(first, second) {
			t.Errorf("%+v: two modules differ", fl)
		}
	}
	t.Logf("relaxed module: %d bytes", len(emitModule(relaxedTile)))
}

func TestStages(t *testing.T) {
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	enginetest.Stages(t, b)
}
