package loader

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
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

// flow hands out the raw bytes of chunks in order, while it fetches the next
// ones as far as the model's room goes.
type flow struct {
	m      *Model
	ctx    context.Context
	cancel context.CancelFunc
	chunks []int
	ready  []chan arrival // of each chunk
	next   int            // the chunk of chunks to arrive next
	at     int            // the chunk that raw belongs to; -1 for none
	raw    raw
	buf    []byte       // for the next chunk to be decoded
	held   atomic.Int64 // places in the room
	ahead  *ahead
	wg     sync.WaitGroup
}

// arrival is a chunk, decoded already or still as it is stored.
type arrival struct {
	stored  []byte
	raw     raw
	decoded bool
	err     error
}

// flow begins to fetch chunks, which ascend, for tensors that are wanted of
// them. The caller must close it.
func (m *Model) flow(ctx context.Context, chunks []int, want []*TensorInfo) *flow {
	f := &flow{m: m, chunks: chunks, ready: make([]chan arrival, len(chunks)), at: -1}
	f.ctx, f.cancel = context.WithCancel(ctx)
	for i := range f.ready {
		f.ready[i] = make(chan arrival, 1)
	}
	f.ahead = newAhead(f.ctx, m.man, chunks, want)
	f.wg.Go(f.fetch)
	return f
}

func (f *flow) fetch() {
	for j, i := range f.chunks {
		select {
		case f.m.room <- struct{}{}:
			f.held.Add(1)
		case <-f.ctx.Done():
			f.ready[j] <- arrival{err: failed(f.ctx, ErrNetwork, "download", f.ctx.Err())}
			continue
		}
		f.wg.Go(func() {
			f.ready[j] <- f.obtain(i)
		})
	}
}

// obtain gets chunk i, decoded where others than this thread can do that.
func (f *flow) obtain(i int) arrival {
	b, err := f.m.chunk(f.ctx, f.m.man.Chunks[i])
	if err != nil {
		return arrival{err: err}
	}
	if r, ok := f.ahead.decode(f.ctx, i, b); ok {
		return arrival{raw: r, decoded: true}
	}
	return arrival{stored: b}
}

// close ends the fetches and gives up the places.
func (f *flow) close() {
	f.cancel()
	f.wg.Wait()
	f.ahead.close()
	for f.held.Load() > 0 {
		f.leave()
	}
}

func (f *flow) leave() { f.held.Add(-1); <-f.m.room }

// chunk returns the raw bytes of chunk i, which are valid until the next call.
// Chunks before it are dropped.
func (f *flow) chunk(i int) (raw, error) {
	for f.at != i {
		if f.next == len(f.chunks) {
			return raw{}, fmt.Errorf("loader: chunk %d was handed out before", i)
		}
		r := <-f.ready[f.next]
		if r.err != nil {
			return raw{}, r.err
		}
		at := f.chunks[f.next]
		f.next++
		if at == i {
			if err := f.decode(i, r); err != nil {
				return raw{}, err
			}
		}
		f.leave() // what is decoded has a place of its own
	}
	return f.raw, nil
}

// decode makes chunk i the one that is held.
func (f *flow) decode(i int, a arrival) error {
	if !a.decoded {
		c := f.m.man.Chunks[i]
		b, err := DecodeChunk(c, a.stored, f.buf)
		if err != nil {
			return err
		}
		if c.Encoding != "raw" {
			f.buf = b
		}
		a.raw = raw{b: b}
	}
	f.ahead.recycle(f.raw)
	f.raw, f.at = a.raw, i
	return nil
}

// flight is a chunk on its way to several callers.
type flight struct {
	done   chan struct{}
	stored []byte
	err    error
}

// chunk returns a chunk's stored bytes, verified, once for all who ask for it
// at the same time. They are not to be changed.
func (m *Model) chunk(ctx context.Context, c Chunk) ([]byte, error) {
	for {
		m.mu.Lock()
		f, under := m.flights[c.SHA256]
		if !under {
			f = &flight{done: make(chan struct{})}
			m.flights[c.SHA256] = f
		}
		m.mu.Unlock()
		if !under {
			f.stored, f.err = m.obtain(ctx, c)
			m.mu.Lock()
			delete(m.flights, c.SHA256)
			m.mu.Unlock()
			close(f.done)
			return f.stored, f.err
		}
		select {
		case <-ctx.Done():
			return nil, failed(ctx, ErrNetwork, c.File(), ctx.Err())
		case <-f.done:
		}
		// The other caller's context is not ours: if it gave up, we take over.
		if f.err == nil || !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return f.stored, f.err
		}
	}
}

// Prefetch brings parts into the store ahead of their Load, in order, all of
// Options.Parts where none are given: the text encoder can run while the UNet
// downloads. It does nothing where nothing can be stored. A Load at the same
// time shares its downloads.
func (m *Model) Prefetch(ctx context.Context, parts ...Part) error {
	if len(parts) == 0 {
		parts = m.opts.Parts
	}
	has, err := m.held(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	line := make(chan struct{}, max(1, cap(m.room)-1)) // leave the rest to Load
	errs := make(chan error, 1)
	var wg sync.WaitGroup
	for _, i := range m.chunksOf(parts) {
		c := m.man.Chunks[i]
		if has(c.SHA256) {
			continue
		}
		select {
		case line <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || !m.storing() {
			break
		}
		wg.Go(func() {
			defer func() { <-line }()
			select {
			case m.room <- struct{}{}:
				defer func() { <-m.room }()
			case <-ctx.Done():
				return
			}
			if m.seen(c) {
				return
			}
			if _, err := m.chunk(ctx, c); err != nil {
				select {
				case errs <- err:
					cancel()
				default:
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return ctx.Err()
	}
}

// seen reports whether the store was found to hold the chunk.
func (m *Model) seen(c Chunk) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.here[c.SHA256]
}

// saw notes that the store holds the chunk.
func (m *Model) saw(c Chunk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.here[c.SHA256] = true
}

// storing reports whether chunks are being kept.
func (m *Model) storing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store != nil && !m.readOff && !m.writeOff
}

// obtain gets a chunk from the store or the source.
func (m *Model) obtain(ctx context.Context, c Chunk) ([]byte, error) {
	if b, err := m.fromStore(ctx, c); b != nil || err != nil {
		return b, err
	}
	unlock, waited := m.lock(ctx, c)
	defer unlock()
	if waited { // another program may have brought it
		if b, err := m.fromStore(ctx, c); b != nil || err != nil {
			return b, err
		}
	}
	b, err := m.fetchChunk(ctx, c)
	if err != nil {
		return nil, err
	}
	return b, m.keep(ctx, c, b)
}

// lockPatience is how long another program may take over a chunk before this
// one fetches it as well: the browser may have frozen the other.
const lockPatience = time.Minute

// lock waits for the right to download a chunk. Without a store to share there
// is nothing to wait for, and a lock that cannot be had is done without.
func (m *Model) lock(ctx context.Context, c Chunk) (unlock func(), waited bool) {
	if !m.storing() || m.opts.Lock == nil {
		return func() {}, false
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	unlock, err := m.opts.Lock(ctx, "wisp:"+c.SHA256)
	if err != nil {
		return func() {}, true
	}
	return unlock, true
}

// fromStore returns a chunk that the store has and that is what it should be;
// nil where there is none.
func (m *Model) fromStore(ctx context.Context, c Chunk) ([]byte, error) {
	m.mu.Lock()
	off := m.store == nil || m.readOff
	m.mu.Unlock()
	if off {
		m.uncount(c)
		return nil, nil
	}
	b, err := m.store.Get(ctx, c.SHA256)
	switch {
	case ctx.Err() != nil:
		return nil, failed(ctx, ErrQuota, "store", ctx.Err())
	case errors.Is(err, fs.ErrNotExist):
		m.uncount(c)
		return nil, nil
	case err != nil:
		m.mu.Lock()
		m.readOff = errors.Is(err, ErrQuota)
		m.mu.Unlock()
		m.warn(fmt.Errorf("loader: reading chunk %s from the store: %w; downloading it", c.SHA256, err))
		m.uncount(c)
		return nil, nil
	}
	if err := verify(ctx, c, b); err != nil {
		if ctx.Err() != nil {
			return nil, failed(ctx, ErrCorrupt, "store", err)
		}
		m.warn(fmt.Errorf("loader: the stored chunk %s is damaged (%v); downloading it again", c.SHA256, err))
		m.uncount(c)
		return nil, nil
	}
	m.count(c)
	m.saw(c)
	return b, nil
}

// keep stores a chunk. A store without room is not asked again: loading goes
// on without it, as it does after any other failure of the store.
func (m *Model) keep(ctx context.Context, c Chunk, b []byte) error {
	if !m.storing() {
		return nil
	}
	if err := m.waitNoted(ctx); err != nil {
		return err
	}
	err := m.store.Put(ctx, c.SHA256, b)
	if err == nil {
		m.saw(c)
		return nil
	}
	if ctx.Err() != nil {
		return failed(ctx, ErrQuota, "store", err)
	}
	m.mu.Lock()
	first := !m.writeOff
	m.writeOff = errors.Is(err, ErrQuota)
	m.mu.Unlock()
	if first {
		m.warn(fmt.Errorf("loader: a chunk cannot be kept, the next visit will download it again: %w", err))
	}
	return nil
}

// verify checks a chunk's length and hash.
func verify(ctx context.Context, c Chunk, b []byte) error {
	if int64(len(b)) != c.Stored {
		return fmt.Errorf("%d bytes where the manifest says %d", len(b), c.Stored)
	}
	sum, err := Digest(ctx, b)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum[:]); got != c.SHA256 {
		return fmt.Errorf("its SHA-256 is %s", got)
	}
	return nil
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
	r, err := open(ctx, src, c.File(), fresh)
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

func open(ctx context.Context, src Source, name string, fresh bool) (io.ReadCloser, error) {
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
		r, err := open(ctx, src, ManifestName, fresh)
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
