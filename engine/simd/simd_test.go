package simd

import (
	"context"
	"testing"

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
// the host has relaxed SIMD.
func flavours(t *testing.T, f func(t *testing.T, b *backend)) {
	t.Run("baseline", func(t *testing.T) { f(t, open(t, Options{Relaxed: Off})) })
	if hasRelaxed() {
		t.Run("relaxed", func(t *testing.T) { f(t, open(t, Options{Relaxed: On})) })
	}
}

func TestOps(t *testing.T) {
	flavours(t, func(t *testing.T, b *backend) { enginetest.Run(t, b) })
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
