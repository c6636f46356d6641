package loader

import (
	"fmt"
	"io"
	"sync"

	"github.com/hack-pad/safejs"

	"wisp/loader/decode"
)

// block is working memory for blockSize bytes on their way between a chunk, a
// file and a weight: WebAssembly's own or, where it is aimed, the weight's, so
// that files are read into it without Go's memory in between and a kernel sums
// them there.
type block struct {
	buf    []byte // Go's, for bytes that come from there
	own    place
	target *place  // nil for own
	far    *summer // of the target's memory
}

// place is a part of a WebAssembly memory.
type place struct {
	view safejs.Value // Uint8Array
	size int
	addr int // of the view in the memory
	at   int // of the block in the view
	*summer
}

func newBlock() (*block, error) {
	memory, err := assembly("Memory", map[string]any{"initial": blockSize / 65536})
	if err != nil {
		return nil, err
	}
	b := &block{buf: make([]byte, blockSize), own: place{size: blockSize}}
	if b.own.summer, err = newSummer(memory); err != nil {
		return nil, err
	}
	buffer, err := memory.Get("buffer")
	if err != nil {
		return nil, err
	}
	class, _ := global("Uint8Array")
	b.own.view, err = class.New(buffer)
	return b, err
}

// summer sums bytes of a WebAssembly memory.
type summer struct{ memory, low, high safejs.Value }

func newSummer(memory safejs.Value) (*summer, error) {
	buffer, err := memory.Get("buffer")
	if err != nil {
		return nil, err
	}
	shared := false
	if class, ok := global("SharedArrayBuffer"); ok {
		if shared, err = buffer.InstanceOf(class); err != nil {
			return nil, err
		}
	}
	module, err := sumModules[shared]()
	if err != nil {
		return nil, err
	}
	instance, err := assembly("Instance", module, map[string]any{"env": map[string]any{"memory": memory}})
	if err != nil {
		return nil, err
	}
	exports, err := instance.Get("exports")
	if err != nil {
		return nil, err
	}
	s := &summer{memory: memory}
	if s.low, err = exports.Get("sum"); err != nil {
		return nil, err
	}
	s.high, err = exports.Get("high")
	return s, err
}

// sumModules compile the kernel, once for each kind of memory.
var sumModules = map[bool]func() (safejs.Value, error){false: sumModule(false), true: sumModule(true)}

func sumModule(shared bool) func() (safejs.Value, error) {
	return sync.OnceValues(func() (safejs.Value, error) {
		code, err := toJS(decode.SumModule(shared))
		if err != nil {
			return code, err
		}
		return assembly("Module", code)
	})
}

func (s *summer) sum(addr, n int) (uint64, error) {
	low, err := half(s.low.Invoke(addr, n))
	if err != nil {
		return 0, err
	}
	high, err := half(s.high.Invoke())
	return uint64(high)<<32 | uint64(low), err
}

func half(v safejs.Value, err error) (uint32, error) {
	if err != nil {
		return 0, err
	}
	n, err := v.Int()
	return uint32(n), err
}

// place is where the block's bytes are.
func (b *block) place() *place {
	if b.target != nil {
		return b.target
	}
	return &b.own
}

// view is a Uint8Array over the first n bytes.
func (b *block) view(n int) (safejs.Value, error) {
	p := b.place()
	if n == p.size {
		return p.view, nil
	}
	return p.view.Call("subarray", p.at, p.at+n)
}

// join puts n elements, those from number first on of a part, at an offset. In
// Go's memory the part is in byte planes, else it is joined.
func (b *block) join(at, n int, part raw, width, first int) error {
	p := b.place()
	if part.inGo() {
		joinFrom(b.buf[:n*width], part.b, width, first)
		to, err := p.view.Call("subarray", p.at+at, p.at+at+n*width)
		if err == nil {
			_, err = safejs.CopyBytesToJS(to, b.buf[:n*width])
		}
		return err
	}
	from, err := part.part(int64(first*width), int64(n*width)).view()
	if err != nil {
		return err
	}
	return b.set(from, at)
}

// sum is decode.Sum of the first n bytes.
func (b *block) sum(n int) uint64 {
	p := b.place()
	sum, err := p.sum(p.addr+p.at, n)
	if err != nil {
		panic(fmt.Sprintf("loader: sum of %d bytes: %v", n, err))
	}
	return sum
}

// get copies the first bytes out, and put copies bytes in, to the block's own
// memory.
func (b *block) get(p []byte) error {
	_, err := safejs.CopyBytesToGo(p, b.own.view)
	return err
}

func (b *block) put(p []byte) error {
	_, err := safejs.CopyBytesToJS(b.own.view, p)
	return err
}

// set copies a Uint8Array to an offset.
func (b *block) set(from safejs.Value, at int) error {
	p := b.place()
	_, err := p.view.Call("set", from, p.at+at)
	return err
}

// viewer is a writer over bytes that JavaScript can reach.
type viewer interface {
	// View is a Uint8Array over n bytes, valid until the tensor is filled.
	View(at, n int) (safejs.Value, error)
}

// inMemory is a viewer over WebAssembly's memory.
type inMemory interface {
	viewer
	// Memory is the WebAssembly.Memory.
	Memory() safejs.Value
}

// aim makes the block a part of w, of n bytes, where that can be, beginning at
// the offset that seek sets; nil ends that.
func (b *block) aim(w io.WriterAt, n int) error {
	b.target = nil
	m, ok := w.(inMemory)
	if !ok {
		return nil
	}
	if memory := m.Memory(); b.far == nil || !b.far.memory.Equal(memory) {
		far, err := newSummer(memory)
		if err != nil {
			return err
		}
		b.far = far
	}
	view, err := m.View(0, n)
	if err != nil {
		return err
	}
	addr, err := number(view, "byteOffset")
	if err == nil {
		b.target = &place{view: view, size: n, addr: addr, summer: b.far}
	}
	return err
}

func (b *block) seek(at int) {
	if b.target != nil {
		b.target.at = at
	}
}

// give writes the first n bytes to w at an offset.
func (b *block) give(w io.WriterAt, n int, at int64) error {
	if b.target != nil { // they are there
		return nil
	}
	switch w := w.(type) {
	case viewer:
		to, err := w.View(int(at), n)
		if err != nil {
			return err
		}
		from, err := b.view(n)
		if err != nil {
			return err
		}
		_, err = to.Call("set", from)
		return err
	case memory:
		return b.get(w[at : int(at)+n])
	}
	if err := b.get(b.buf[:n]); err != nil {
		return err
	}
	_, err := w.WriteAt(b.buf[:n], at)
	return err
}
