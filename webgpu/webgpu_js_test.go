package webgpu

import (
	"context"
	"testing"

	"wisp/engine/enginetest"
)

// open makes a backend on the browser's device. A missing adapter fails.
func open(t *testing.T, o Options) *Backend {
	t.Helper()
	b, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestTable(t *testing.T) {
	b := open(t, Options{Precision: "f32"})
	t.Logf("%v, %.1f GFLOP/s, features %v, limits %+v", b.Info().Adapter, b.Info().GFLOPS, b.Info().Adapter.Features, b.Info().Adapter.Limits)
	enginetest.Run(t, b)
}

// halfTolerance is the bound on the normalised mean squared error where
// activations are stored as f16.
const halfTolerance = 1e-4

func TestTableHalf(t *testing.T) {
	b := open(t, Options{Precision: "f16"})
	for _, c := range enginetest.Cases() {
		c.NMSE = max(c.NMSE, halfTolerance)
		if c.Name == "group_norm/offset" {
			c.NMSE = 1e-3 // numbers near 100 are 1/16 apart in f16
		}
		t.Run(c.Name, func(t *testing.T) { enginetest.Check(t, b, c) })
	}
	if reason := b.Info().Reason; reason != "" {
		t.Errorf("a case fell back to f32: %s", reason)
	}
}
