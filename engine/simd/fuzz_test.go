package simd

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"wisp/engine/enginetest"
)

// TestShapes runs ops on random shapes.
func TestShapes(t *testing.T) {
	flavours(t, func(t *testing.T, b *backend) {
		r := rand.New(rand.NewPCG(1, 2))
		for i := range 150 {
			c := enginetest.Random(r)
			t.Run(fmt.Sprintf("%d/%s", i, c.Name), func(t *testing.T) { enginetest.Check(t, b, c) })
		}
	})
}

// FuzzShapes: an op of any seed is what the oracle makes of it.
func FuzzShapes(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := enginetest.Random(rand.New(rand.NewPCG(seed, 3)))
		t.Log(c.Name)
		flavours(t, func(t *testing.T, b *backend) { enginetest.Check(t, b, c) })
	})
}
