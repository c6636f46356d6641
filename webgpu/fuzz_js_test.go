package webgpu

import (
	goflag "flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"wisp/engine/enginetest"
)

var (
	seed   = goflag.Uint64("seed", 1, "of the random shapes")
	shapes = goflag.Int("shapes", 12, "how many there are")
)

// TestShapes runs ops on random shapes; make fuzz gives it a seed of its own.
func TestShapes(t *testing.T) {
	b, r := common(t), rand.New(rand.NewPCG(*seed, 2))
	for i := range *shapes {
		c := enginetest.Random(r)
		c.NMSE = halfTolerance // lavapipe's exponentials are right to three digits; a number at a wrong place is off by far more
		t.Run(fmt.Sprintf("seed %d/%d/%s", *seed, i, c.Name), func(t *testing.T) { enginetest.Check(t, b, c) })
	}
}
