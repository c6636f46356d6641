package loader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

	noted    func() (any, error) // waits until the store knows of the model; nil where it will not
	warnOnce sync.Once           // that it does not
	files    map[string][]byte

	mu       sync.Mutex
	writeOff bool // the store has no room: no more writing
	readOff  bool // the store refuses everything, reading too
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
	m.startProgress(ctx)
	if opts.ManifestOnly {
		return m, m.waitNoted(ctx)
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
	recalled := sync.OnceValues(func() ([]byte, error) {
		if lib == nil {
			return nil, fs.ErrNotExist
		}
		return lib.recall(ctx, location, m.opts.ManifestSHA256)
	})
	// No record is the common case, and a store that fails is one without.
	kept := func() bool { _, err := recalled(); return err == nil }
	var text []byte
	var err error
	if m.opts.ManifestSHA256 != "" && kept() {
		text, _ = recalled()
	} else if text, err = m.fetchManifest(ctx, kept); err != nil {
		if !errors.Is(err, ErrNetwork) || !kept() {
			return err
		}
		m.warn(fmt.Errorf("%w; going on with the manifest of the last visit", err))
		text, _ = recalled()
	}
	if m.man, err = ParseManifest(text); err != nil {
		return err
	}
	m.id = sumHex(text)
	if lib != nil && !m.opts.ManifestOnly {
		lib.protect(m.man)
		ctx := context.WithoutCancel(ctx) // it may go on after Open
		m.noted = later(func() (any, error) { return nil, lib.remember(ctx, location, text, m.man) })
	}
	return m.addMirrors()
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

// Load hands every tensor of a component to each, in the order of the table.
// Chunks are fetched ahead while each runs. The first error ends it.
func (m *Model) Load(ctx context.Context, component string, each func(Tensor) error) error {
	return m.LoadPrefix(ctx, component, nil, each)
}

// LoadPrefix is [Model.Load] for the tensors whose names start with one of
// the prefixes; chunks without any such tensor are not fetched.
func (m *Model) LoadPrefix(ctx context.Context, component string, prefixes []string, each func(Tensor) error) error {
	return m.load(ctx, component, prefixes, func(t *TensorInfo, fill func(io.WriterAt) error) error {
		data := make([]byte, t.Length)
		if err := fill(memory(data)); err != nil {
			return err
		}
		return each(Tensor{t.Name, t.DType, t.Shape, data})
	})
}

// Stream is [Model.LoadPrefix] for a caller that has its own memory for the
// tensors. Fill, which each may call once, writes the tensor's bytes, from the
// first to the last, to an io.WriterAt whose offset 0 is the tensor's first
// byte; the bytes may be written a second time, where the first ones turn out
// to be damaged. In a browser a writer with a method
//
//	View(at, n int) (safejs.Value, error)
//
// that gives a Uint8Array over n bytes of it, valid until fill returns, gets
// them there, and they never lie in Go's memory. One that also has a method
// Memory() safejs.Value, for the WebAssembly.Memory that those arrays are in,
// has files read into it.
func (m *Model) Stream(ctx context.Context, component string, prefixes []string,
	each func(name, dtype string, shape []int, fill func(w io.WriterAt) error) error) error {
	return m.load(ctx, component, prefixes, func(t *TensorInfo, fill func(io.WriterAt) error) error {
		return each(t.Name, t.DType, t.Shape, fill)
	})
}

// eachTensor is called for a tensor with what writes its bytes, to be called
// once or not at all.
type eachTensor func(t *TensorInfo, fill func(io.WriterAt) error) error

// memory is a writer to a slice of the right length.
type memory []byte

func (b memory) WriteAt(p []byte, at int64) (int, error) { return copy(b[at:], p), nil }

// load hands on the wanted tensors of a component.
func (m *Model) load(ctx context.Context, component string, prefixes []string, each eachTensor) error {
	if _, ok := m.man.Components[component]; !ok {
		return badModel("it has no component %q", component)
	}
	if err := m.loadPart(ctx, Part{component, prefixes}, each); err != nil {
		return err
	}
	return m.waitNoted(ctx)
}

// takeBlock gets working memory, and freeBlock keeps one for the next load.
func (m *Model) takeBlock() (*block, error) {
	select {
	case b := <-m.blocks:
		return b, nil
	default:
		return newBlock()
	}
}

func (m *Model) freeBlock(b *block) {
	select {
	case m.blocks <- b:
	default:
	}
}

// loadPart hands on the tensors of a part from the cache or, with their chunks
// streamed and cut up, from the source, laying them out for the next visit.
func (m *Model) loadPart(ctx context.Context, part Part, each eachTensor) error {
	var want []*TensorInfo
	for i := range m.man.Tensors {
		if t := &m.man.Tensors[i]; part.wants(t) {
			want = append(want, t)
		}
	}
	slices.SortStableFunc(want, func(a, b *TensorInfo) int { return comparePlaces(a.Place, b.Place) })
	b, err := m.takeBlock()
	if err != nil {
		return fmt.Errorf("loader: working memory: %w", err)
	}
	defer m.freeBlock(b)
	counted := func(t *TensorInfo, fill func(io.WriterAt) error) error {
		err := each(t, fill)
		m.addLoaded(t.Length)
		return err
	}
	if m.opts.Cache == nil {
		return m.loadChunks(ctx, b, want, nil, counted)
	}
	name := m.laidName(part)
	n, err := m.fromCache(ctx, b, name, want, counted)
	if err != nil || n == len(want) {
		return err
	}
	if n > 0 { // damaged: laid out anew by the next load, which sees all tensors
		return m.loadChunks(ctx, b, want[n:], nil, counted)
	}
	l := m.lay(ctx, name, want)
	err = m.loadChunks(ctx, b, want, l, counted)
	l.end(ctx, b, err)
	return err
}

// loadChunks hands on tensors, which are in the order of their places, from
// the chunks, and gives l, where there is one, a copy.
func (m *Model) loadChunks(ctx context.Context, b *block, want []*TensorInfo, l *layer, each eachTensor) error {
	places := make([]Place, len(want))
	for i, t := range want {
		places[i] = t.Place
	}
	f := m.flow(ctx, m.chunksUnder(places), want)
	defer f.close()
	for _, t := range want {
		done, failure := false, error(nil)
		fill := func(w io.WriterAt) error {
			done = true
			failure = t.put(f.chunk, &outlet{ctx: ctx, b: b, w: w, l: l})
			return failure
		}
		if err := each(t, fill); err != nil {
			return err
		}
		if !done && l != nil {
			fill(nil)
		}
		if failure != nil {
			return failure
		}
	}
	return nil
}

// parts hands the raw bytes at a place to each, chunk by chunk.
func (p Place) parts(chunk func(i int) (raw, error), each func(part raw) error) error {
	off, left := p.Offset, p.Length
	for i := p.Chunk; left > 0; i++ {
		r, err := chunk(i)
		if err != nil {
			return err
		}
		n := min(left, r.size()-off)
		if err := each(r.part(off, n)); err != nil {
			return err
		}
		off, left = 0, left-n
	}
	return nil
}

// width is the number of byte planes that the tensor's parts are in; 1 where
// they are plain.
func (t *TensorInfo) width() int {
	if t.Encoding == "planes" {
		return planeWidth(t.DType)
	}
	return 1
}

// put writes the tensor from its chunks to an outlet.
func (t *TensorInfo) put(chunk func(i int) (raw, error), o *outlet) error {
	if err := o.b.aim(o.w, int(t.Length)); err != nil {
		return err
	}
	defer o.b.aim(nil, 0)
	if err := t.parts(chunk, func(part raw) error { return o.take(part, t.width()) }); err != nil {
		return err
	}
	return o.flush()
}

func (m *Model) loadFiles(ctx context.Context) error {
	m.files = make(map[string][]byte, len(m.man.Files))
	want := slices.Clone(m.man.Files)
	slices.SortStableFunc(want, func(a, b FileInfo) int { return comparePlaces(a.Place, b.Place) })
	places := make([]Place, len(want))
	for i, f := range want {
		places[i] = f.Place
	}
	flow := m.flow(ctx, m.chunksUnder(places), nil)
	defer flow.close()
	for _, f := range want {
		data := make([]byte, 0, f.Length)
		err := f.parts(flow.chunk, func(part raw) (err error) { data, err = part.appendTo(data); return err })
		if err != nil {
			return err
		}
		m.files[f.Name] = data
		m.addLoaded(f.Length)
	}
	return nil
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

// chunksUnder lists the chunks that the places, which ascend, lie in,
// ascending.
func (m *Model) chunksUnder(places []Place) []int {
	var out []int
	for _, p := range places {
		left := p.Length + p.Offset
		for i := p.Chunk; left > 0; i++ {
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
	var places []Place
	for _, f := range m.man.Files {
		places = append(places, f.Place)
	}
	for i := range m.man.Tensors {
		if t := &m.man.Tensors[i]; wanted(parts, t) {
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

func (m *Model) warn(err error) {
	if m.opts.OnWarning != nil {
		m.opts.OnWarning(err)
	}
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
		if t := &m.man.Tensors[i]; wanted(m.opts.Parts, t) {
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

// readAtMost reads r to its end, which must come within n bytes.
func readAtMost(r io.Reader, n int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, n+1))
	if err == nil && int64(len(b)) > n {
		return nil, fmt.Errorf("more than %d bytes", n)
	}
	return b, err
}
