package loader

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Tensor is a named array as stored. Data is little-endian, belongs to the
// callee and stays valid.
type Tensor struct {
	Name  string
	DType string // "f32", "f16", "bf16", "i32", "q8", "q4", "q2"
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

// Sizes are the bytes of a component's tensors whose names start with one of
// the prefixes, all of them where there are none, as the model has them.
func (m *Model) Sizes(component string, prefixes []string) map[string]int64 {
	part, sizes := Part{component, prefixes}, map[string]int64{}
	for i := range m.man.Tensors {
		if t := &m.man.Tensors[i]; part.wants(t) {
			sizes[t.Name] = t.Length
		}
	}
	return sizes
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
	// What is loaded counts, also where the store does not answer: then it is told
	// of that later. What was to be kept has waited.
	noted := make(chan error, 1)
	go func() { noted <- m.waitNoted(ctx) }()
	select {
	case err := <-noted:
		return err
	case <-time.After(Brief / 8):
		return ctx.Err()
	}
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
	f := m.flow(ctx, m.man.chunksUnder(places), want)
	defer f.close()
	for _, t := range want {
		done, failure := false, error(nil)
		fill := func(w io.WriterAt) error {
			done = true
			failure = t.put(f.take, &outlet{ctx: ctx, b: b, w: w, l: l})
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
	flow := m.flow(ctx, m.man.chunksUnder(places), nil)
	defer flow.close()
	for _, f := range want {
		data := make([]byte, 0, f.Length)
		err := f.parts(flow.take, func(part raw) (err error) { data, err = part.appendTo(data); return err })
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
func (m *Manifest) chunksUnder(places []Place) []int {
	var out []int
	for _, p := range places {
		left := p.Length + p.Offset
		for i := p.Chunk; left > 0; i++ {
			if len(out) == 0 || out[len(out)-1] < i {
				out = append(out, i)
			}
			left -= m.Chunks[i].Raw
		}
	}
	return out
}
