package loader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

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
			f.ready[j] <- f.arrive(i)
		})
	}
}

// arrive gets chunk i, decoded where others than this thread can do that.
func (f *flow) arrive(i int) arrival {
	b, err := f.m.shared(f.ctx, f.m.man.Chunks[i])
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

// take returns the raw bytes of chunk i, which are valid until the next call.
// Chunks before it are dropped.
func (f *flow) take(i int) (raw, error) {
	for f.at != i {
		if f.next == len(f.chunks) {
			return raw{}, fmt.Errorf("loader: chunk %d was handed out before", i)
		}
		r := <-f.ready[f.next]
		if err := f.ctx.Err(); err != nil {
			return raw{}, failed(f.ctx, ErrNetwork, "load", err)
		}
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

// shared returns a chunk's stored bytes, verified, once for all who ask for it
// at the same time. They are not to be changed.
func (m *Model) shared(ctx context.Context, c Chunk) ([]byte, error) {
	for {
		m.mu.Lock()
		f, under := m.flights[c.SHA256]
		if !under {
			f = &flight{done: make(chan struct{})}
			m.flights[c.SHA256] = f
		}
		m.mu.Unlock()
		if !under {
			f.stored, f.err = m.chunk(ctx, c)
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
		parts = m.wanted
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
	for _, i := range m.man.chunksOf(parts) {
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
			if _, err := m.shared(ctx, c); err != nil {
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
