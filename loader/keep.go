package loader

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

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

// chunk gets a chunk from the store or the source.
func (m *Model) chunk(ctx context.Context, c Chunk) ([]byte, error) {
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
	if errors.Is(err, ErrNetwork) { // a store that was silent may answer by now
		if b, late := m.fromStore(ctx, c); b != nil && late == nil {
			return b, nil
		}
	}
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
	m.mu.Lock()
	off := m.lockOff
	m.mu.Unlock()
	if off {
		return func() {}, false
	}
	waiting, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	unlock, err := m.opts.Lock(waiting, "wisp:"+c.SHA256)
	if err == nil {
		return unlock, true
	}
	if ctx.Err() == nil {
		m.mu.Lock()
		m.lockOff = true
		m.mu.Unlock()
		m.silentOnce.Do(func() {
			m.warn(fmt.Errorf("loader: %w from another tab that is to download a part of the model; downloading it here as well", ErrSilent))
		})
	}
	return func() {}, true
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
		m.warnStore(fmt.Errorf("loader: reading chunk %s from the store: %w; downloading it", c.SHA256, err))
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
		m.warnStore(fmt.Errorf("loader: a chunk cannot be kept, the next visit will download it again: %w", err))
	}
	return nil
}

// warnStore warns of a store's failure, of its silence once.
func (m *Model) warnStore(err error) {
	if errors.Is(err, ErrSilent) {
		m.silentOnce.Do(func() { m.warn(err) })
		return
	}
	m.warn(err)
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
