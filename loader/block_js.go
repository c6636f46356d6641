package loader

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/hack-pad/safejs"
)

// block is working memory for blockSize bytes on their way between a chunk, a
// file and a weight: WebAssembly's own, so that files are read into it and
// weights written from it without Go's memory in between, with a kernel that
// sums it.
type block struct {
	buf    []byte       // Go's, for bytes that come from there
	memory safejs.Value // Uint8Array over all of the memory
	whole  safejs.Value // Uint8Array over the block
	kernel safejs.Value // see sumModule
	out    safejs.Value // Uint8Array over its result
}

func newBlock() (*block, error) {
	module, err := sumCode()
	if err != nil {
		return nil, err
	}
	wasm, _ := global("WebAssembly")
	memory, err := construct(wasm, "Memory", map[string]any{"initial": blockSize/65536 + 1})
	if err != nil {
		return nil, err
	}
	instance, err := construct(wasm, "Instance", module, map[string]any{"env": map[string]any{"memory": memory}})
	if err != nil {
		return nil, err
	}
	exports, err := instance.Get("exports")
	if err != nil {
		return nil, err
	}
	b := &block{buf: make([]byte, blockSize)}
	if b.kernel, err = exports.Get("sum"); err != nil {
		return nil, err
	}
	buffer, err := memory.Get("buffer")
	if err != nil {
		return nil, err
	}
	class, _ := global("Uint8Array")
	if b.memory, err = class.New(buffer); err != nil {
		return nil, err
	}
	if b.out, err = b.memory.Call("subarray", blockSize, blockSize+8); err != nil {
		return nil, err
	}
	b.whole, err = b.memory.Call("subarray", 0, blockSize)
	return b, err
}

// construct makes an object of a class of a namespace.
func construct(namespace safejs.Value, class string, args ...any) (safejs.Value, error) {
	c, err := namespace.Get(class)
	if err != nil {
		return c, err
	}
	return c.New(args...)
}

// sumCode compiles the kernel, once.
var sumCode = sync.OnceValues(func() (safejs.Value, error) {
	code, err := toJS(sumModule())
	if err != nil {
		return code, err
	}
	wasm, ok := global("WebAssembly")
	if !ok {
		return wasm, fmt.Errorf("no WebAssembly")
	}
	return construct(wasm, "Module", code)
})

// view is a Uint8Array over the first n bytes.
func (b *block) view(n int) (safejs.Value, error) {
	if n == blockSize {
		return b.whole, nil
	}
	return b.whole.Call("subarray", 0, n)
}

// join puts n elements, those from number first on of a part in byte planes,
// at an offset. They are there after commit.
func (b *block) join(at, n int, part []byte, width, first int) {
	joinFrom(b.buf[at:at+n*width], part, width, first)
}

func (b *block) commit(n int) error { return b.put(b.buf[:n]) }

// sum is laidSum of the first n bytes.
func (b *block) sum(n int) uint64 {
	if _, err := b.kernel.Invoke(0, n, blockSize); err != nil {
		panic(fmt.Sprintf("loader: sum of %d bytes: %v", n, err))
	}
	var sum [8]byte
	safejs.CopyBytesToGo(sum[:], b.out)
	return binary.LittleEndian.Uint64(sum[:])
}

// get copies the first bytes out, and put copies bytes in.
func (b *block) get(p []byte) error {
	_, err := safejs.CopyBytesToGo(p, b.whole)
	return err
}

func (b *block) put(p []byte) error {
	_, err := safejs.CopyBytesToJS(b.whole, p)
	return err
}

// set copies a Uint8Array to an offset.
func (b *block) set(from safejs.Value, at int) error {
	_, err := b.whole.Call("set", from, at)
	return err
}

// viewer is a writer over memory that JavaScript can reach.
type viewer interface {
	// View is a Uint8Array over n bytes, valid until the next call.
	View(at, n int) (safejs.Value, error)
}

// give writes the first n bytes to w at an offset.
func (b *block) give(w io.WriterAt, n int, at int64) error {
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
