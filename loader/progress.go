package loader

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Cached says how many stored bytes of Options.Parts and the files the store
// already has, without reading them where the store can list its keys.
func (m *Model) Cached(ctx context.Context) (cachedBytes, totalBytes int64, err error) {
	has, err := m.held(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, i := range m.planned() {
		c := m.man.Chunks[i]
		totalBytes += c.Stored
		if has(c.SHA256) {
			cachedBytes += c.Stored
		}
	}
	return cachedBytes, totalBytes, nil
}

// held returns what tells whether the store has a record.
func (m *Model) held(ctx context.Context) (func(key string) bool, error) {
	if m.store == nil {
		return func(string) bool { return false }, nil
	}
	l, ok := m.store.(Lister)
	if !ok {
		return func(key string) bool { _, err := m.store.Get(ctx, key); return err == nil }, nil
	}
	keys, err := l.Keys(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, failed(ctx, ErrQuota, "store", err)
		}
		m.warn(fmt.Errorf("loader: the store cannot be read, so nothing counts as cached: %w", err))
	}
	set := make(map[string]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	return func(key string) bool { return set[key] }, nil
}

// planned lists the chunks of the files and of Options.Parts, ascending.
func (m *Model) planned() []int { return m.man.chunksOf(m.wanted) }

// chunksOf lists the chunks of the files and of parts, of everything where
// there are none, ascending.
func (m *Manifest) chunksOf(parts []Part) []int {
	var places []Place
	for _, f := range m.Files {
		places = append(places, f.Place)
	}
	for i := range m.Tensors {
		if t := &m.Tensors[i]; wanted(parts, t) {
			places = append(places, t.Place)
		}
	}
	slices.SortFunc(places, comparePlaces)
	return m.chunksUnder(places)
}

// wanted reports whether one of the parts wants the tensor; none want all.
func wanted(parts []Part, t *TensorInfo) bool {
	return len(parts) == 0 || slices.ContainsFunc(parts, func(p Part) bool { return p.wants(t) })
}

// progress counts towards the two totals.
type progress struct {
	start func() // counts what the store holds, once

	mu                    sync.Mutex
	download, downloadAll int64
	load, loadAll         int64
	counted               map[string]bool // chunks that download includes
}

// startProgress counts what there is to do. What the store has is asked when a
// chunk is: a load from the cache needs none.
func (m *Model) startProgress(ctx context.Context) {
	p := &m.progress
	p.counted = map[string]bool{}
	for _, f := range m.man.Files {
		p.loadAll += f.Length
	}
	for i := range m.man.Tensors {
		if t := &m.man.Tensors[i]; wanted(m.wanted, t) {
			p.loadAll += t.Length
		}
	}
	planned, ctx := m.planned(), context.WithoutCancel(ctx)
	p.start = sync.OnceFunc(func() {
		has, err := m.held(ctx)
		if err != nil { // the context ended
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, i := range planned {
			c := m.man.Chunks[i]
			p.downloadAll += c.Stored
			if has(c.SHA256) {
				p.download += c.Stored
				p.counted[c.SHA256] = true
			}
		}
	})
}

func (m *Model) addLoaded(n int64) {
	p := &m.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load += n
	p.loadAll = max(p.loadAll, p.load) // a component loaded twice
	if m.opts.OnProgress != nil {
		m.opts.OnProgress("load", p.load, p.loadAll)
	}
}

// addDownloaded moves the download by n bytes, down where an attempt failed.
func (m *Model) addDownloaded(n int64) {
	p := &m.progress
	p.start()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(m, n)
}

func (p *progress) add(m *Model, n int64) {
	p.download += n
	if m.opts.OnProgress != nil {
		m.opts.OnProgress("download", min(p.download, p.downloadAll), p.downloadAll)
	}
}

// count and uncount keep the download's progress true when the store turns out
// to hold more or less than it listed, and when a chunk has come.
func (m *Model) count(c Chunk)   { m.recount(c, true) }
func (m *Model) uncount(c Chunk) { m.recount(c, false) }

func (m *Model) recount(c Chunk, held bool) {
	p := &m.progress
	p.start()
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.counted[c.SHA256]
	p.counted[c.SHA256] = held
	switch {
	case held && !was:
		p.add(m, c.Stored)
	case !held && was:
		p.add(m, -c.Stored)
	}
}
