package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// chaos is a server on a bad day and a store on a bad disk, both seeded.
type chaos struct {
	mu   sync.Mutex
	rng  *rand.Rand
	rate float64 // of requests and store calls that go wrong
}

func (c *chaos) hit() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.rng.Float64() < c.rate }
func (c *chaos) n(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(max(n, 1))
}

// chaosSource serves files late and, now and then, wrong.
type chaosSource struct {
	*chaos
	src files
}

func (s chaosSource) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := pause(ctx, time.Duration(s.n(200))*time.Millisecond); err != nil {
		return nil, err
	}
	b, ok := s.src[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	// The manifest has no hash to be checked by: only a pin would protect it.
	if !s.hit() || name == ManifestName {
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	b = bytes.Clone(b)
	switch s.n(8) {
	case 0:
		return nil, &StatusError{500, 0}
	case 1:
		return nil, &StatusError{429, time.Duration(s.n(30)) * time.Second}
	case 2:
		return nil, errors.New("connection refused")
	case 3:
		return &hanging{ctx, b[:s.n(len(b))]}, nil
	case 4:
		return breaking{bytes.NewReader(b[:s.n(len(b))])}, nil
	case 5:
		return io.NopCloser(bytes.NewReader(b[:s.n(len(b))])), nil
	case 6:
		return io.NopCloser(bytes.NewReader(append(b, b...))), nil
	}
	b[s.n(len(b))] ^= 1 << s.n(8)
	return io.NopCloser(bytes.NewReader(b)), nil
}

// chaosKV loses, damages and refuses records.
type chaosKV struct {
	*chaos
	Memory
}

func (s *chaosKV) Get(ctx context.Context, key string) ([]byte, error) {
	if err := pause(ctx, time.Duration(s.n(20))*time.Millisecond); err != nil {
		return nil, err
	}
	b, err := s.Memory.Get(ctx, key)
	if err != nil || !s.hit() {
		return b, err
	}
	switch s.n(4) {
	case 0:
		return nil, errors.New("I/O error")
	case 1:
		return nil, fs.ErrNotExist
	case 2:
		return b[:s.n(len(b))], nil
	}
	b[s.n(len(b))] ^= 1 << s.n(8)
	return b, nil
}

func (s *chaosKV) Put(ctx context.Context, key string, b []byte) error {
	if err := pause(ctx, time.Duration(s.n(50))*time.Millisecond); err != nil {
		return err
	}
	if s.hit() {
		switch s.n(3) {
		case 0:
			return fmt.Errorf("no room: %w", ErrQuota)
		case 1:
			return errors.New("aborted")
		}
		b = bytes.Clone(b) // a write that goes wrong unnoticed
		b[s.n(len(b))] ^= 1 << s.n(8)
	}
	return s.Memory.Put(ctx, key, b)
}

// TestChaos: 1,000 lives of a model, each of several visits by one or two tabs
// at once over a failing server and store, with tabs killed at random. No
// visit ever hands out a wrong byte, and when all is well again the next visit
// finishes and downloads nothing that was stored whole.
func TestChaos(t *testing.T) {
	src, want := sample()
	lives := 1000
	if testing.Short() || runtime.GOARCH == "wasm" {
		lives = 100 // a browser is ten times slower, and no different here
	}
	killed, failed, finished := 0, 0, 0
	for life := range lives {
		synctest.Test(t, func(t *testing.T) {
			c := &chaos{rng: rand.New(rand.NewPCG(11, uint64(life))), rate: 0.1 + 0.5*float64(life%4)/4}
			kv := &chaosKV{chaos: c}
			l := &locks{}
			visit := func(o Options, limit time.Duration) (map[string][]byte, error) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				o.Lock = l.Lock
				m, err := Open(ctx, located{chaosSource{c, src}, "x"}, NewLibrary(kv), o)
				if err != nil {
					return nil, err
				}
				return collect(ctx, m)
			}
			for range 1 + c.n(3) {
				var wg sync.WaitGroup
				for range 1 + c.n(2) {
					limit := time.Duration(c.n(45)) * time.Second
					wg.Go(func() {
						got, err := visit(Options{Parallel: 1 + c.n(4)}, limit)
						for name, b := range got {
							if !bytes.Equal(b, want[name]) {
								t.Errorf("life %d: %s is wrong", life, name)
							}
						}
						c.mu.Lock()
						defer c.mu.Unlock()
						switch {
						case err == nil && len(got) == len(want):
							finished++
						case errors.Is(err, context.DeadlineExceeded):
							killed++
						case kinds(err) == 1:
							failed++
						default:
							t.Errorf("life %d: %d tensors and the error %v", life, len(got), err)
						}
					})
				}
				wg.Wait()
			}
			c.rate = 0
			whole := map[string]bool{}
			for name, b := range src {
				if got, err := kv.Memory.Get(t.Context(), strings.TrimSuffix(name, ".bin")); err == nil && bytes.Equal(got, b) {
					whole[name] = true
				}
			}
			rec := &recorder{Source: located{src, "x"}}
			m, err := Open(t.Context(), rec, NewLibrary(kv), Options{})
			if err != nil {
				t.Fatalf("life %d: %v", life, err)
			}
			got, err := collect(t.Context(), m)
			if err == nil {
				err = sameTensors(got, want)
			}
			if err != nil {
				t.Fatalf("life %d: in the end: %v", life, err)
			}
			for _, name := range rec.asked {
				if whole[name] {
					t.Errorf("life %d: %s was in the store and downloaded again", life, name)
				}
			}
		})
	}
	t.Logf("of the visits %d finished, %d were killed, %d failed", finished, killed, failed)
	if finished < lives/10 || killed < lives/10 {
		t.Errorf("the chaos is lopsided: %d finished, %d killed, %d failed", finished, killed, failed)
	}
}
