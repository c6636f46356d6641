package loader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// Tensor is a named array as stored. Data is little-endian, belongs to the
// callee and stays valid.
type Tensor struct {
	Name  string
	DType string // "f32", "f16", "bf16", "i32", "q8", "q4"
	Shape []int  // outermost first; not to be changed
	Data  []byte
}

// Part names what is wanted of a component: the tensors whose names start
// with one of the prefixes, all of them where there are none.
type Part struct {
	Component string
	Prefixes  []string
}

func (p Part) wants(t *TensorInfo) bool {
	return t.Component == p.Component && (len(p.Prefixes) == 0 ||
		slices.ContainsFunc(p.Prefixes, func(prefix string) bool { return strings.HasPrefix(t.Name, prefix) }))
}

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
	// chunk: it waits for the name, and unlock lets it go. Nil is no locking.
	Lock func(ctx context.Context, name string) (unlock func(), err error)
}

// Model is an opened model. Its methods may be called by several goroutines.
type Model struct {
	sources []Source
	store   Store
	opts    Options
	man     *Manifest
	id      string // SHA-256 of the manifest, hex
	files   map[string][]byte

	mu       sync.Mutex
	writeOff bool // the store has no room: no more writing
	readOff  bool // the store refuses everything, reading too
	flights  map[string]*flight
	here     map[string]bool // chunks that the store was seen to hold whole
	progress progress

	room chan struct{} // a place for each chunk in memory that is not decoded
}

// Open fetches and checks the manifest, and the small files unless told not
// to. Store may be nil: then nothing is kept.
func Open(ctx context.Context, src Source, store Store, opts Options) (*Model, error) {
	if opts.Parallel < 1 {
		opts.Parallel = 4
	}
	opts.Retry = opts.Retry.withDefaults()
	m := &Model{sources: append([]Source{src}, opts.Mirrors...), store: store, opts: opts, flights: map[string]*flight{},
		here: map[string]bool{}, room: make(chan struct{}, max(1, opts.Parallel-1))}
	if err := m.openManifest(ctx); err != nil {
		return nil, err
	}
	if err := m.startProgress(ctx); err != nil || opts.ManifestOnly {
		return m, err
	}
	return m, m.loadFiles(ctx)
}

// openManifest gets the manifest: the pinned one from the store where it has
// it, else from the source, else, where there is no network, the one that was
// there last time.
func (m *Model) openManifest(ctx context.Context) error {
	lib, _ := m.store.(*Library)
	location := ""
	if l, ok := m.sources[0].(Located); ok {
		location = l.Location()
	}
	var text, kept []byte
	var err error
	if lib != nil {
		// No record is the common case, and a store that fails is one without.
		if kept, err = lib.recall(ctx, location, m.opts.ManifestSHA256); err != nil {
			kept = nil
		}
	}
	if kept != nil && m.opts.ManifestSHA256 != "" {
		text = kept
	} else if text, err = m.fetchManifest(ctx, kept != nil); err != nil {
		if kept == nil || !errors.Is(err, ErrNetwork) {
			return err
		}
		m.warn(fmt.Errorf("%w; going on with the manifest of the last visit", err))
		text = kept
	}
	if m.man, err = ParseManifest(text); err != nil {
		return err
	}
	m.id = sumHex(text)
	if lib != nil && !m.opts.ManifestOnly {
		if err := lib.remember(ctx, location, text, m.man); err != nil {
			if ctx.Err() != nil {
				return failed(ctx, ErrQuota, "store", err)
			}
			m.warn(fmt.Errorf("loader: the model cannot be noted in the store: %w", err))
		}
	}
	return m.addMirrors()
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

// Load hands every tensor of a component to each, in the order of the table.
// Chunks are fetched ahead while each runs. The first error ends it.
func (m *Model) Load(ctx context.Context, component string, each func(Tensor) error) error {
	return m.LoadPrefix(ctx, component, nil, each)
}

// LoadPrefix is [Model.Load] for the tensors whose names start with one of
// the prefixes; chunks without any such tensor are not fetched.
func (m *Model) LoadPrefix(ctx context.Context, component string, prefixes []string, each func(Tensor) error) error {
	if _, ok := m.man.Components[component]; !ok {
		return badModel("it has no component %q", component)
	}
	return m.load(ctx, []Part{{component, prefixes}}, each)
}

// Tensors is [Model.LoadPrefix] with the tensor's fields as arguments, so that
// a package that does not import this one can ask for them.
func (m *Model) Tensors(ctx context.Context, component string, prefixes []string,
	each func(name, dtype string, shape []int, data []byte) error) error {
	return m.LoadPrefix(ctx, component, prefixes, func(t Tensor) error { return each(t.Name, t.DType, t.Shape, t.Data) })
}

// load hands on the wanted tensors from the cache or, with their chunks
// streamed and cut up, from the source, laying them out for the next visit.
func (m *Model) load(ctx context.Context, parts []Part, each func(Tensor) error) error {
	var want []*TensorInfo
	for i := range m.man.Tensors {
		if t := &m.man.Tensors[i]; wanted(parts, t) {
			want = append(want, t)
		}
	}
	slices.SortStableFunc(want, func(a, b *TensorInfo) int { return comparePlaces(a.Place, b.Place) })
	if m.opts.Cache == nil {
		return m.loadChunks(ctx, want, each)
	}
	name := m.laidName(parts)
	n, err := m.fromCache(ctx, name, want, each)
	if err != nil || n == len(want) {
		return err
	}
	if n > 0 { // damaged: laid out anew by the next load, which sees all tensors
		return m.loadChunks(ctx, want[n:], each)
	}
	l := m.lay(ctx, name, want)
	err = m.loadChunks(ctx, want, func(t Tensor) error {
		l.add(ctx, t.Data)
		return each(t)
	})
	l.end(ctx, err)
	return err
}

// loadChunks hands on tensors, which are in the order of their places, from
// the chunks.
func (m *Model) loadChunks(ctx context.Context, want []*TensorInfo, each func(Tensor) error) error {
	pending := make([]piece, len(want))
	for i, t := range want {
		pending[i] = piece{place: t.Place, width: 1, done: func(data []byte) error {
			return each(Tensor{t.Name, t.DType, t.Shape, data})
		}}
		if t.Encoding == "planes" {
			pending[i].width = planeWidth(t.DType)
		}
	}
	return m.assemble(ctx, pending)
}

func (m *Model) loadFiles(ctx context.Context) error {
	m.files = make(map[string][]byte, len(m.man.Files))
	want := slices.Clone(m.man.Files)
	slices.SortStableFunc(want, func(a, b FileInfo) int { return comparePlaces(a.Place, b.Place) })
	pending := make([]piece, len(want))
	for i, f := range want {
		pending[i] = piece{place: f.Place, width: 1, done: func(data []byte) error {
			m.files[f.Name] = data
			return nil
		}}
	}
	return m.assemble(ctx, pending)
}

// piece is something to be put together from raw chunks: done gets its bytes.
type piece struct {
	place Place
	width int // byte planes
	done  func(data []byte) error

	data  []byte
	taken int64
}

// assemble streams the chunks under the pieces, which are in chunk order, and
// completes each piece as its last byte arrives.
func (m *Model) assemble(ctx context.Context, pending []piece) error {
	return m.stream(ctx, m.chunksUnder(pending), func(i int, raw []byte) error {
		for len(pending) > 0 {
			p := &pending[0]
			if p.start(m.man, i) >= int64(len(raw)) {
				return nil // begins in a later chunk
			}
			p.take(i, raw)
			if p.taken < p.place.Length {
				return nil // goes on in the next chunk
			}
			err := p.done(p.data)
			m.addLoaded(p.place.Length)
			pending = pending[1:]
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// start is where the piece's next byte is in chunk i; beyond its end where the
// piece begins in a later chunk.
func (p *piece) start(m *Manifest, i int) int64 {
	switch {
	case p.place.Chunk > i:
		return m.Chunks[i].Raw
	case p.place.Chunk == i:
		return p.place.Offset
	}
	return 0
}

// take copies what chunk i has of the piece, out of its byte planes.
func (p *piece) take(i int, raw []byte) {
	if p.data == nil {
		p.data = make([]byte, p.place.Length)
	}
	if i == p.place.Chunk {
		raw = raw[p.place.Offset:]
	}
	n := min(p.place.Length-p.taken, int64(len(raw)))
	Join(p.data[p.taken:p.taken+n], raw[:n], p.width)
	p.taken += n
}

func comparePlaces(a, b Place) int {
	if a.Chunk != b.Chunk {
		return a.Chunk - b.Chunk
	}
	switch {
	case a.Offset < b.Offset:
		return -1
	case a.Offset > b.Offset:
		return 1
	}
	return 0
}

// chunksUnder lists the chunks that the pieces lie in, ascending.
func (m *Model) chunksUnder(pieces []piece) []int {
	var out []int
	for _, p := range pieces {
		left := p.place.Length + p.place.Offset
		for i := p.place.Chunk; left > 0; i++ {
			if len(out) == 0 || out[len(out)-1] < i {
				out = append(out, i)
			}
			left -= m.man.Chunks[i].Raw
		}
	}
	return out
}

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
func (m *Model) planned() []int { return m.chunksOf(m.opts.Parts) }

// chunksOf lists the chunks of the files and of parts, of everything where
// there are none, ascending.
func (m *Model) chunksOf(parts []Part) []int {
	var pieces []piece
	for _, f := range m.man.Files {
		pieces = append(pieces, piece{place: f.Place})
	}
	for i := range m.man.Tensors {
		if t := &m.man.Tensors[i]; wanted(parts, t) {
			pieces = append(pieces, piece{place: t.Place})
		}
	}
	slices.SortFunc(pieces, func(a, b piece) int { return comparePlaces(a.place, b.place) })
	return m.chunksUnder(pieces)
}

// wanted reports whether one of the parts wants the tensor; none want all.
func wanted(parts []Part, t *TensorInfo) bool {
	return len(parts) == 0 || slices.ContainsFunc(parts, func(p Part) bool { return p.wants(t) })
}

func (m *Model) warn(err error) {
	if m.opts.OnWarning != nil {
		m.opts.OnWarning(err)
	}
}

// progress counts towards the two totals.
type progress struct {
	mu                    sync.Mutex
	download, downloadAll int64
	load, loadAll         int64
	counted               map[string]bool // chunks that download includes
}

func (m *Model) startProgress(ctx context.Context) error {
	p := &m.progress
	p.counted = map[string]bool{}
	has, err := m.held(ctx)
	if err != nil {
		return err
	}
	for _, i := range m.planned() {
		c := m.man.Chunks[i]
		p.downloadAll += c.Stored
		if has(c.SHA256) {
			p.download += c.Stored
			p.counted[c.SHA256] = true
		}
	}
	for _, f := range m.man.Files {
		p.loadAll += f.Length
	}
	for i := range m.man.Tensors {
		if t := &m.man.Tensors[i]; wanted(m.opts.Parts, t) {
			p.loadAll += t.Length
		}
	}
	return nil
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
	p.mu.Lock()
	defer p.mu.Unlock()
	p.download += n
	if m.opts.OnProgress != nil {
		m.opts.OnProgress("download", min(p.download, p.downloadAll), p.downloadAll)
	}
}

// readAtMost reads r to its end, which must come within n bytes.
func readAtMost(r io.Reader, n int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, n+1))
	if err == nil && int64(len(b)) > n {
		return nil, fmt.Errorf("more than %d bytes", n)
	}
	return b, err
}
