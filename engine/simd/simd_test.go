package simd

import (
	"testing"

	"wisp/engine"
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
