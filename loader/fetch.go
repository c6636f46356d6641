package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// Retry bounds the patience with a source.
type Retry struct {
	Attempts int           // for each file, over all sources; 0 is 6
	Base     time.Duration // the first pause, doubled each time and jittered; 0 is 300 ms
	Max      time.Duration // of a pause, and of what Retry-After may ask for; 0 is 20 s
	Stall    time.Duration // a connection that delivers less than MinBytes in this time is given up; 0 is 20 s
	MinBytes int64         // in Stall; 0 is 16 KiB
}

func (r Retry) withDefaults() Retry {
	set := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&r.Base, 300*time.Millisecond)
	set(&r.Max, 20*time.Second)
	set(&r.Stall, 20*time.Second)
	if r.Attempts < 1 {
		r.Attempts = 6
	}
	if r.MinBytes < 1 {
		r.MinBytes = 16 << 10
	}
	return r
}

// fetchChunk downloads a chunk until it is the one the manifest names.
func (m *Model) fetchChunk(ctx context.Context, c Chunk) ([]byte, error) {
	b, err := m.retry(ctx, m.sources, c.File(), func(error) int { return m.opts.Retry.Attempts }, func(ctx context.Context, src Source, fresh bool) ([]byte, error) {
		return m.receive(ctx, src, c, fresh)
	})
	if err == nil { // its bytes were counted as they came
		p := &m.progress
		p.mu.Lock()
		p.counted[c.SHA256] = true
		p.mu.Unlock()
	}
	return b, err
}

// wrongBytes marks a file that arrived whole and is not the right one.
type wrongBytes struct{ error }

// receive downloads a chunk once and verifies it. The buffer has the declared
// size, so a source that sends more is found out without holding it.
func (m *Model) receive(ctx context.Context, src Source, c Chunk, fresh bool) ([]byte, error) {
	watched, watch, stop := m.watch(ctx, m.opts.Retry.Stall)
	defer stop()
	r, err := openFile(watched, src, c.File(), fresh)
	if err != nil {
		return nil, stalled(watched, err)
	}
	defer r.Close()
	buf := make([]byte, c.Stored)
	n := 0
	for n < len(buf) {
		k, err := r.Read(buf[n:])
		n += k
		watch(int64(k))
		m.addDownloaded(int64(k))
		if err == io.EOF && n < len(buf) {
			m.addDownloaded(-int64(n))
			return nil, wrongBytes{fmt.Errorf("%d bytes where the manifest says %d", n, c.Stored)}
		}
		if err != nil && err != io.EOF {
			m.addDownloaded(-int64(n))
			return nil, stalled(watched, err)
		}
	}
	ended := endOf(r)
	if err := verify(ctx, c, buf); err != nil {
		m.addDownloaded(-int64(n))
		return nil, wrongBytes{err}
	}
	select {
	case <-ended:
	case <-time.After(endPatience):
	}
	return buf, nil
}

// endPatience is how long an answer whose bytes have all come may take to say
// so. One that ends in order leaves its connection to the next.
const endPatience = 100 * time.Millisecond

// endOf waits for the end of r or a byte that should not be there.
func endOf(r io.Reader) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.ReadFull(r, make([]byte, 1))
	}()
	return ended
}

func openFile(ctx context.Context, src Source, name string, fresh bool) (io.ReadCloser, error) {
	if r, ok := src.(Refresher); ok && fresh {
		return r.OpenFresh(ctx, name)
	}
	return src.Open(ctx, name)
}

var errStalled = errors.New("the connection stalled")

// watch ends the returned context where no byte is reported within a first
// time, or then fewer than MinBytes within a Stall period. It counts ticks of
// its own: what a program that was suspended did not hear is not held against
// the source.
func (m *Model) watch(parent context.Context, first time.Duration) (ctx context.Context, report func(int64), stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	limit, least := min(first, m.opts.Retry.Stall), int64(1)
	tick := limit / 4
	var mu sync.Mutex
	var got int64
	var spent time.Duration
	var timer *time.Timer
	mu.Lock()
	timer = time.AfterFunc(tick, func() {
		mu.Lock()
		defer mu.Unlock()
		if spent += tick; spent >= limit && got < least {
			cancel(errStalled)
			return
		}
		if spent >= limit {
			got, spent = 0, 0
		}
		timer.Reset(tick)
	})
	mu.Unlock()
	report = func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		if got == 0 && n > 0 {
			limit, least = m.opts.Retry.Stall, m.opts.Retry.MinBytes
		}
		got += n
	}
	return ctx, report, func() { timer.Stop(); cancel(nil) }
}

// stalled names the watchdog where it is what ended the attempt.
func stalled(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled {
		return errStalled
	}
	return err
}

// retry runs attempt on the sources in turn until one succeeds. After a wrong
// or permanent answer the next source is asked at once; a source that is the
// only one left gets pauses between attempts, of which there are so many in
// all, as asked after a failure.
func (m *Model) retry(ctx context.Context, sources []Source, name string, attempts func(error) int,
	attempt func(ctx context.Context, src Source, fresh bool) ([]byte, error)) ([]byte, error) {
	var last error
	dead := make([]bool, len(sources))
	fresh := false
	at := 0
	for n, most := 0, 1; n < most; n++ {
		b, err := attempt(ctx, sources[at], fresh)
		if err == nil {
			return b, nil
		}
		if ctx.Err() != nil {
			return nil, failed(ctx, ErrNetwork, name, err)
		}
		last, most = err, attempts(err)
		m.warn(fmt.Errorf("loader: %s: attempt %d: %w", name, n+1, err))
		// Once more, in case that a cache has it, or that it was damaged.
		stray := errors.As(err, new(strayAnswer)) || errors.Is(err, ErrBadModel)
		dead[at] = dead[at] || permanent(err) || stray && fresh
		fresh = fresh || stray || errors.As(err, new(wrongBytes))
		next, ok := nextAlive(dead, at)
		if !ok {
			break
		}
		// Pause once every source has had its turn.
		if next <= at && n+1 < most {
			if err := pause(ctx, m.opts.Retry.delay(n, err)); err != nil {
				return nil, failed(ctx, ErrNetwork, name, err)
			}
		}
		at = next
	}
	switch {
	case errors.Is(last, ErrBadModel):
		return nil, last
	case errors.As(last, new(wrongBytes)):
		return nil, failed(ctx, ErrCorrupt, name, last)
	}
	return nil, failed(ctx, ErrNetwork, name, last)
}

// nextAlive is the source to ask after number at: the next that is not dead,
// itself where it is the only one.
func nextAlive(dead []bool, at int) (int, bool) {
	for i := 1; i <= len(dead); i++ {
		if j := (at + i) % len(dead); !dead[j] {
			return j, true
		}
	}
	return 0, false
}

// delay is the pause before the attempt after number n: what the server asked
// for, else doubling with a random half so that many clients spread out.
func (r Retry) delay(n int, err error) time.Duration {
	if s := (*StatusError)(nil); errors.As(err, &s) && s.RetryAfter > 0 {
		return min(s.RetryAfter, r.Max)
	}
	d := min(r.Base<<min(n, 16), r.Max)
	return d/2 + rand.N(d/2+1)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type reportingReader struct {
	io.Reader
	report func(int64)
}

func (r reportingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.report(int64(n))
	return n, err
}

// readAtMost reads r to its end, which must come within n bytes.
func readAtMost(r io.Reader, n int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, n+1))
	if err == nil && int64(len(b)) > n {
		return nil, fmt.Errorf("more than %d bytes", n)
	}
	return b, err
}
