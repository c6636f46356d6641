package loader

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// Options changes how a model is fetched. The zero value is ready for use.
type Options struct {
	// ManifestSHA256 pins the manifest: hex, empty for none. Every chunk is
	// named by its hash in the manifest, so this pins the whole model.
	ManifestSHA256 string
	// ManifestOnly leaves the model's files (tokenizer) alone, for asking
	// about a model before any download.
	ManifestOnly bool
	// Parts is what will be loaded: the total of the progress and of Cached.
	// Empty means everything.
	Parts []Part
	// Choose, where it is given, makes Parts of the manifest.
	Choose func(*Manifest) ([]Part, error)
	// Parallel bounds the chunks in memory, of every Load and Prefetch
	// together: one decoded, the others on their way. 0 is 4, 2 the least.
	Parallel int
	// OnProgress hears of "download" (stored bytes, those in the store
	// counted from the start) and "load" (raw bytes handed on). Calls do not
	// overlap.
	OnProgress func(stage string, loaded, total int64)
	// OnWarning hears of trouble that loading survives: a store without room,
	// a damaged record, a failed attempt.
	OnWarning func(error)
	// OnUpdate hears that the source has another version than the one of the
	// last visit, which is in use: the next visit opens it.
	OnUpdate func()
	// Retry bounds the patience; its zero value is a sensible one.
	Retry Retry
	// Mirrors are asked, in turn, for what the source does not deliver.
	Mirrors []Source
	// OpenMirror makes sources of the mirrors that the manifest lists; nil
	// leaves them alone.
	OpenMirror func(url string) (Source, error)
	// Cache holds the tensors decoded for the next visit; nil for none.
	Cache Cache
	// Lock keeps two programs that share the store from downloading the same
	// chunk: it waits for the name as long as who has it shows signs of life,
	// and fails with ErrSilent where there are none; unlock lets it go. Nil is
	// no locking.
	Lock func(ctx context.Context, name string) (unlock func(), err error)
}

// Model is an opened model. Its methods may be called by several goroutines.
type Model struct {
	sources  []Source
	store    Store
	opts     Options
	man      *Manifest
	wanted   []Part // of the model
	location string // under which a [Library] knows it
	id       string // SHA-256 of the manifest, hex

	noted    func() (any, error) // waits until the store knows of the model; nil where it will not
	warnOnce sync.Once           // that it does not

	silentOnce sync.Once // warns that the store or another tab does not answer
	files      map[string][]byte

	mu       sync.Mutex
	writeOff bool // the store has no room: no more writing
	readOff  bool // the store refuses everything, reading too
	lockOff  bool // who holds a lock does not answer: no more waiting for any
	flights  map[string]*flight
	here     map[string]bool // chunks that the store was seen to hold whole
	progress progress

	room   chan struct{} // a place for each chunk in memory that is not decoded
	blocks chan *block   // one that no load uses
}

// Open fetches and checks the manifest, and the small files unless told not
// to. Store may be nil: then nothing is kept.
func Open(ctx context.Context, src Source, store Store, opts Options) (*Model, error) {
	if opts.Parallel < 1 {
		opts.Parallel = 4
	}
	opts.Retry = opts.Retry.withDefaults()
	m := &Model{sources: append([]Source{src}, opts.Mirrors...), store: store, opts: opts, flights: map[string]*flight{},
		here: map[string]bool{}, blocks: make(chan *block, 1), room: make(chan struct{}, max(1, opts.Parallel-1))}
	if l, ok := src.(Located); ok {
		m.location = l.Location()
	}
	if !opts.ManifestOnly { // while the manifest is on its way
		go func() {
			if b, err := newBlock(); err == nil {
				m.freeBlock(b)
			}
		}()
	}
	if err := m.openManifest(ctx); err != nil {
		return nil, err
	}
	var err error
	if m.wanted, err = m.parts(m.man); err != nil {
		return nil, err
	}
	m.startProgress(ctx)
	if opts.ManifestOnly {
		return m, m.waitNoted(ctx)
	}
	return m, m.loadFiles(ctx)
}

// waitNoted waits until the store knows that the model was opened, which is
// noted beside the loading but before any chunk, and warns where it cannot.
func (m *Model) waitNoted(ctx context.Context) error {
	if m.noted == nil {
		return nil
	}
	_, err := m.noted()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return failed(ctx, ErrQuota, "store", err)
	}
	m.warnOnce.Do(func() { m.warn(fmt.Errorf("loader: the model cannot be noted in the store: %w", err)) })
	return nil
}

// later starts f and returns what waits for its result.
func later[T any](f func() (T, error)) func() (T, error) {
	done := make(chan struct{})
	var v T
	var err error
	go func() {
		defer close(done)
		v, err = f()
	}()
	return func() (T, error) { <-done; return v, err }
}

func (m *Model) addMirrors() error {
	if m.opts.OpenMirror == nil {
		return nil
	}
	for _, u := range m.man.Mirrors {
		src, err := m.opts.OpenMirror(u)
		if err != nil {
			return badModel("mirror %q: %v", u, err)
		}
		m.sources = append(m.sources, src)
	}
	return nil
}

// ID is the SHA-256 of the manifest, hex: what a [Library] knows the model by.
func (m *Model) ID() string { return m.id }

// Manifest describes the model; it is not to be changed.
func (m *Model) Manifest() *Manifest { return m.man }

// Config is that of the manifest.
func (m *Model) Config(component string) (json.RawMessage, bool) { return m.man.Config(component) }

// File returns a small file of the model, such as "tokenizer/vocab.json".
func (m *Model) File(name string) ([]byte, bool) {
	b, ok := m.files[name]
	return b, ok
}

func (m *Model) warn(err error) {
	if m.opts.OnWarning != nil {
		m.opts.OnWarning(err)
	}
}
