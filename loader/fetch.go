package loader

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	b, err := m.retry(ctx, c.File(), func() int { return m.opts.Retry.Attempts }, func(ctx context.Context, src Source, fresh bool) ([]byte, error) {
		b, err := m.receive(ctx, src, c, fresh)
		if err != nil {
			return nil, err
		}
		if err := verify(ctx, c, b); err != nil {
			m.addDownloaded(-int64(len(b)))
			return nil, wrongBytes{err}
		}
		return b, nil
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

// receive downloads a chunk once. The buffer has the declared size, so a
// source that sends more is found out without holding it.
func (m *Model) receive(ctx context.Context, src Source, c Chunk, fresh bool) ([]byte, error) {
	ctx, watch, stop := m.watch(ctx)
	defer stop()
	r, err := openFile(ctx, src, c.File(), fresh)
	if err != nil {
		return nil, stalled(ctx, err)
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
			return nil, stalled(ctx, err)
		}
	}
	var more [1]byte
	if k, _ := io.ReadFull(r, more[:]); k > 0 {
		m.addDownloaded(-int64(n))
		return nil, wrongBytes{fmt.Errorf("more than the %d bytes of the manifest", c.Stored)}
	}
	return buf, nil
}

func openFile(ctx context.Context, src Source, name string, fresh bool) (io.ReadCloser, error) {
	if r, ok := src.(Refresher); ok && fresh {
		return r.OpenFresh(ctx, name)
	}
	return src.Open(ctx, name)
}

var errStalled = errors.New("the connection stalled")

// watch ends the returned context when fewer than MinBytes are reported within
// a Stall period.
func (m *Model) watch(parent context.Context) (ctx context.Context, report func(int64), stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	var mu sync.Mutex
	var got int64
	var timer *time.Timer
	mu.Lock()
	timer = time.AfterFunc(m.opts.Retry.Stall, func() {
		mu.Lock()
		defer mu.Unlock()
		if got < m.opts.Retry.MinBytes {
			cancel(errStalled)
			return
		}
		got = 0
		timer.Reset(m.opts.Retry.Stall)
	})
	mu.Unlock()
	report = func(n int64) { mu.Lock(); got += n; mu.Unlock() }
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
func (m *Model) retry(ctx context.Context, name string, attempts func() int,
	attempt func(ctx context.Context, src Source, fresh bool) ([]byte, error)) ([]byte, error) {
	var last error
	dead := make([]bool, len(m.sources))
	fresh := false
	at := 0
	for n, most := 0, 1; n < most; n++ {
		b, err := attempt(ctx, m.sources[at], fresh)
		if err == nil {
			return b, nil
		}
		if ctx.Err() != nil {
			return nil, failed(ctx, ErrNetwork, name, err)
		}
		last, most = err, attempts()
		m.warn(fmt.Errorf("loader: %s: attempt %d: %w", name, n+1, err))
		fresh = fresh || errors.As(err, new(wrongBytes))
		dead[at] = dead[at] || permanent(err)
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
	if errors.As(last, new(wrongBytes)) {
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

// fetchManifest downloads the manifest, which must be the pinned one where
// there is a pin. Where one from an earlier visit is kept it gives up sooner.
func (m *Model) fetchManifest(ctx context.Context, kept func() bool) ([]byte, error) {
	attempts := func() int {
		if n := m.opts.Retry.Attempts; n < 2 || !kept() {
			return n
		}
		return 2
	}
	return m.retry(ctx, ManifestName, attempts, func(ctx context.Context, src Source, fresh bool) ([]byte, error) {
		ctx, watch, stop := m.watch(ctx)
		defer stop()
		r, err := openFile(ctx, src, ManifestName, fresh)
		if err != nil {
			return nil, stalled(ctx, err)
		}
		defer r.Close()
		b, err := readAtMost(reportingReader{r, watch}, maxManifest)
		if err != nil {
			return nil, stalled(ctx, err)
		}
		if pin := m.opts.ManifestSHA256; pin != "" {
			if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != pin {
				return nil, wrongBytes{fmt.Errorf("its SHA-256 is %x, pinned is %s", sum, pin)}
			}
		}
		return b, nil
	})
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
