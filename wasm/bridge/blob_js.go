package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hack-pad/safejs"
)

// ErrGone: a file of the visitor's changed, or can no longer be read.
var ErrGone = errors.New("unreadable file")

// Blob is a file of the visitor's, of which a slice at a time is in memory.
type Blob struct {
	ctx   context.Context
	name  string
	value safejs.Value
	size  int64
}

// NewBlob takes a File or Blob; ctx ends its reading.
func NewBlob(ctx context.Context, name string, value safejs.Value) (Blob, error) {
	size, err := value.Get("size")
	if err != nil {
		return Blob{}, err
	}
	n, err := size.Float()
	return Blob{ctx, name, value, int64(n)}, err
}

// slice is the most that is read at once, in bytes.
const slice = 1 << 20

// Size is the file's, in bytes.
func (b Blob) Size() int64 { return b.size }

// Close does nothing.
func (b Blob) Close() error { return nil }

// ReadAt reads from the disk.
func (b Blob) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < b.size {
		m := min(int64(len(p)-n), b.size-off, slice)
		if err := b.read(p[n:n+int(m)], off); err != nil {
			return n, err
		}
		n, off = n+int(m), off+m
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (b Blob) read(p []byte, off int64) error {
	part, err := b.value.Call("slice", off, off+int64(len(p)))
	if err != nil {
		return err
	}
	promise, err := part.Call("arrayBuffer")
	if err != nil {
		return err
	}
	buffer, err := Await(b.ctx, promise)
	if err != nil {
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
		return fmt.Errorf("%w: %s: %v", ErrGone, b.name, err)
	}
	array, err := Must(safejs.Global().Get("Uint8Array")).New(buffer)
	if err != nil {
		return err
	}
	if n, err := safejs.CopyBytesToGo(p, array); err != nil || n != len(p) {
		return fmt.Errorf("%w: %s has %d bytes at %d, not %d", ErrGone, b.name, n, off, len(p))
	}
	return nil
}
