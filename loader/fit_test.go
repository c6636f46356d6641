package loader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// vast is a model of a chunk of zeros that is listed so often: a few hundred
// kilobytes that stand for many gigabytes.
func vast(t *testing.T, times int) files {
	t.Helper()
	b := newBuilder(MaxChunk)
	b.tensor("unet", "w0", "i32", make([]byte, MaxChunk), MaxChunk/4)
	src := b.done()
	man := b.man
	for i := 1; i < times; i++ {
		man.Chunks = append(man.Chunks, man.Chunks[0])
		man.Tensors = append(man.Tensors, TensorInfo{"unet", fmt.Sprint("w", i), "i32", []int{MaxChunk / 4}, Place{i, 0, MaxChunk}, ""})
	}
	text, err := man.Encode()
	if err != nil {
		t.Fatal(err)
	}
	src[ManifestName] = text
	return src
}

// TestFit: a model that does not fit is refused before any of its chunks is
// asked for, by what is wanted of it.
func TestFit(t *testing.T) {
	rec := &recorder{Source: vast(t, 4100)}
	m, err := Open(t.Context(), rec, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = m.Fit(4<<30, false)
	if !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "68.8 GB") || !strings.Contains(err.Error(), "4.3 GB") || !strings.Contains(err.Error(), "pack it in 8 or 4 bits") {
		t.Error(err)
	}
	if len(rec.asked) != 1 {
		t.Errorf("asked for %v", rec.asked)
	}
	src, _ := sample()
	for _, c := range []struct {
		memory  int64
		inTurns bool
		parts   []Part
		fits    bool
	}{
		{0, false, nil, true}, {23276, false, nil, true}, {23275, false, nil, false}, {16274, true, nil, true}, {16273, true, nil, false},
		{2400, false, []Part{{"vae", []string{"decoder."}}}, true}, {2399, false, []Part{{"vae", []string{"decoder."}}}, false},
	} {
		m, err := Open(t.Context(), src, nil, Options{Parts: c.parts})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Fit(c.memory, c.inTurns); (err == nil) != c.fits {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestVastLoadEnds: a load of tens of gigabytes ends within a chunk or two of
// its context, though every chunk is there at once.
func TestVastLoadEnds(t *testing.T) {
	m, err := Open(t.Context(), vast(t, 4100), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err = m.LoadPrefix(ctx, "unet", nil, func(Tensor) error {
		if n++; n == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || kinds(err) != 1 || n > 3 {
		t.Errorf("%v after %d tensors", err, n)
	}
}
