//go:build !js

package tests

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"wisp/tests/attack/row"
)

// TestHostileFiles damages what each reader reads, from a seed that a failure
// names (WISP_SEED): it ends in a value or an error, in time and memory in
// proportion to the input.
func TestHostileFiles(t *testing.T) {
	seed := row.Seed()
	rounds := 60
	if row.Whole() {
		rounds = 3000
	}
	for _, p := range bounded {
		rng := rand.New(rand.NewPCG(seed, 44))
		whole := p.make(40)
		r := row.Row{Case: "damaged: " + p.name, Tried: rounds}
		for round := range rounds {
			input := damaged(rng, whole)
			r.Held += hostile(t, p, input, seed, round)
		}
		r.Print()
	}
}

// hostile reads a damaged input and returns 1 where all is well.
func hostile(t *testing.T, p bounds, input []byte, seed uint64, round int) (held int) {
	defer func() {
		if err := recover(); err != nil {
			t.Errorf("WISP_SEED=%d: %s, round %d: %v\n%.200q", seed, p.name, round, err, input)
			held = 0
		}
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime()
	p.read(t, input)
	took := cpuTime() - start
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 40*uint64(len(input))+2<<20 || took > time.Second {
		t.Errorf("WISP_SEED=%d: %s, round %d: %d bytes take %d bytes and %v", seed, p.name, round, len(input), spent, took)
		return 0
	}
	return 1
}

// damaged changes an input in some places: bits, bytes, digits, pieces that are
// cut out, doubled, moved.
func damaged(rng *rand.Rand, whole []byte) []byte {
	b := append([]byte{}, whole...)
	for range 1 + rng.IntN(4) {
		if len(b) < 2 {
			break
		}
		at := rng.IntN(len(b))
		end := min(len(b), at+1+rng.IntN(40))
		piece := append([]byte{}, b[at:end]...)
		switch rng.IntN(7) {
		case 0:
			b[at] ^= 1 << rng.IntN(8)
		case 1:
			b[at] = byte(rng.IntN(256))
		case 2: // another digit, or many
			b = append(b[:at:at], append([]byte("99999999999999999999")[:1+rng.IntN(20)], b[at:]...)...)
		case 3:
			b = b[:at]
		case 4:
			b = append(b[:at:at], b[end:]...)
		case 5:
			b = append(b[:end:end], append(piece, b[end:]...)...)
		case 6:
			to := rng.IntN(len(b))
			b = append(b[:to:to], append(piece, b[to:]...)...)
		}
	}
	return b
}
