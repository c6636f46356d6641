package loader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/hack-pad/safejs"
	"github.com/klauspost/compress/zstd"
	"github.com/x448/float16"
)

// gaussianChunk is a chunk of n f16 weights, stored as a writer would: its
// description, the stored bytes and the weights.
func gaussianChunk(t testing.TB, n int) (c Chunk, stored, weights []byte) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	weights = make([]byte, 2*n)
	for i := range n {
		u := float16.Fromfloat32(float32(rng.NormFloat64() * 0.02)).Bits()
		weights[2*i], weights[2*i+1] = byte(u), byte(u>>8)
	}
	raw := make([]byte, len(weights))
	Split(raw, weights, 2)
	stored, encoding, err := EncodeChunk(raw)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(stored)
	return Chunk{SHA256: hex.EncodeToString(sum[:]), Stored: int64(len(stored)), Raw: int64(len(raw)), Encoding: encoding}, stored, weights
}

func openWorkers(t testing.TB, n int) *workers {
	t.Helper()
	p, err := startPool(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// array is b outside of Go's memory.
func array(t testing.TB, b []byte) safejs.Value {
	t.Helper()
	a, err := toJS(b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestWorkers decodes chunks, more at a time than there are workers, and joins
// planes.
func TestWorkers(t *testing.T) {
	p := openWorkers(t, 2)
	var wg sync.WaitGroup
	for i := range 12 {
		c, stored, weights := gaussianChunk(t, 50_000+1000*i)
		j := workerJob{chunk: c, stored: array(t, stored)}
		want := bytes.Clone(weights)
		switch i % 4 {
		case 0:
			j.cuts = []cut{{0, len(weights) / 2, 2}}
		case 1: // planes as they are
			Split(want, weights, 2)
		case 2: // planes cut at an even place, which are other planes
			raw := make([]byte, len(weights))
			Split(raw, weights, 2)
			j.cuts = []cut{{1000, 7, 4}, {2000, 3333, 2}}
			copy(want, raw)
			Join(want[1000:1028], raw[1000:1028], 4)
			Join(want[2000:8666], raw[2000:8666], 2)
		case 3: // nothing is compressed
			j.stored, j.chunk = array(t, weights), Chunk{Stored: c.Raw, Raw: c.Raw, Encoding: "raw"}
		}
		wg.Go(func() {
			a, err := p.decode(t.Context(), j)
			if err != nil {
				t.Errorf("job %d: %v", i, err)
				return
			}
			if got, err := toGo(a); err != nil || !bytes.Equal(got, want) {
				t.Errorf("job %d: %d bytes that differ from %d, %v", i, len(got), len(want), err)
			}
		})
	}
	wg.Wait()
}

// TestWorkersArrays: results come back in the buffers that the chunks went in,
// and those are used again, whatever they held.
func TestWorkersArrays(t *testing.T) {
	p := openWorkers(t, 1)
	for _, n := range []int{30_000, 10_000, 20_000, 40_000} {
		c, stored, weights := gaussianChunk(t, n)
		a, err := p.array(c, stored)
		if err != nil {
			t.Fatal(err)
		}
		a, err = p.decode(t.Context(), workerJob{chunk: c, stored: a, cuts: []cut{{0, n, 2}}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := toGo(a); err != nil || !bytes.Equal(got, weights) {
			t.Errorf("%d weights differ, %v", n, err)
		}
		buffer, err := a.Get("buffer")
		if err != nil {
			t.Fatal(err)
		}
		if size, err := number(buffer, "byteLength"); err != nil || n < 40_000 && size != 60_000 {
			t.Errorf("the buffer for %d weights has %d bytes, %v", n, size, err)
		}
		p.recycle(a)
	}
}

// TestWorkersErrors: what is wrong with a chunk is said, and the worker goes on.
func TestWorkersErrors(t *testing.T) {
	p := openWorkers(t, 1)
	c, stored, _ := gaussianChunk(t, 20_000)
	bad := bytes.Clone(stored)
	bad[0]++
	larger := c
	larger.Raw++
	for _, test := range []struct {
		name   string
		chunk  Chunk
		stored []byte
		want   func(error) bool
	}{
		{"a byte less", c, stored[1:], func(err error) bool { return errors.As(err, new(wrongBytes)) }},
		{"no frame", c, bad, func(err error) bool { return errors.Is(err, ErrBadModel) }},
		{"another size", larger, stored, func(err error) bool { return errors.Is(err, ErrBadModel) }},
		{"nothing", c, stored, func(err error) bool { return err == nil }},
	} {
		if _, err := p.decode(t.Context(), workerJob{chunk: test.chunk, stored: array(t, test.stored)}); !test.want(err) {
			t.Errorf("%s is wrong: %v", test.name, err)
		}
	}
}

// TestWorkersLost: a worker that is ended fails its job, and the next is the
// other's; without any there is an error, at once; so it is where none comes up.
func TestWorkersLost(t *testing.T) {
	p := openWorkers(t, 2)
	c, stored, _ := gaussianChunk(t, 2_000_000)
	run := func(ctx context.Context) error {
		_, err := p.decode(ctx, workerJob{chunk: c, stored: array(t, stored)})
		return err
	}
	ended := make(chan error, 4)
	for range cap(ended) {
		go func() { ended <- run(t.Context()) }()
	}
	for len(p.all[0].waiting) == 0 {
		if err := pause(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	p.all[0].lose(safejs.Undefined())
	lost := 0
	for range cap(ended) {
		if err := <-ended; errors.Is(err, errNoWorker) {
			lost++
		} else if err != nil {
			t.Error(err)
		}
	}
	if lost == 0 {
		t.Error("no job was lost with its worker")
	}
	if err := run(t.Context()); err != nil {
		t.Errorf("the other worker: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("in a context that has ended: %v", err)
	}
	p.all[1].lose(safejs.Undefined())
	if err := run(t.Context()); !errors.Is(err, errNoWorker) {
		t.Errorf("without workers: %v", err)
	}
	code, err := decoderCode()
	if err != nil {
		t.Fatal(err)
	}
	q := &workers{free: make(chan *worker, workerJobs), none: make(chan struct{}), left: 1}
	defer q.close()
	if err := q.start(1, code, "throw new Error('a script that fails')"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.take(t.Context(), workerStart); !errors.Is(err, errNoWorker) {
		t.Errorf("a worker that fails to start: %v", err)
	}
}

// BenchmarkWorkers is the rate of raw bytes of f16 weights, planes joined, from
// the array that is sent to the one that comes back.
func BenchmarkWorkers(b *testing.B) {
	c, stored, _ := gaussianChunk(b, 2<<20)
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := openWorkers(b, n)
			b.SetBytes(c.Raw)
			var wg sync.WaitGroup
			line := make(chan struct{}, n*workerJobs)
			for b.Loop() {
				line <- struct{}{}
				wg.Go(func() {
					defer func() { <-line }()
					a, err := p.array(c, stored)
					if err != nil {
						b.Error(err)
					}
					j := workerJob{chunk: c, stored: a, cuts: []cut{{0, int(c.Raw) / 2, 2}}}
					if a, err = p.decode(b.Context(), j); err != nil {
						b.Error(err)
					}
					p.recycle(a)
				})
			}
			wg.Wait()
		})
	}
	b.Run("klauspost", func(b *testing.B) {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(c.Raw)
		raw, out := make([]byte, 0, c.Raw), make([]byte, c.Raw)
		for b.Loop() {
			if raw, err = dec.DecodeAll(stored, raw[:0]); err != nil {
				b.Fatal(err)
			}
			Join(out, raw, 2)
		}
	})
}
