//go:build !js

package loader

import (
	"io"

	"wisp/loader/decode"
)

// block is working memory for blockSize bytes on their way between a chunk, a
// file and a weight.
type block struct{ buf []byte }

func newBlock() (*block, error) { return &block{make([]byte, blockSize)}, nil }

// join puts n elements, those from number first on of a part in byte planes,
// at an offset.
func (b *block) join(at, n int, part raw, width, first int) error {
	joinFrom(b.buf[at:at+n*width], part.b, width, first)
	return nil
}

// aim makes the block a part of w, of n bytes, where that can be, beginning at
// the offset that seek sets; nil ends that.
func (b *block) aim(w io.WriterAt, n int) error { return nil }
func (b *block) seek(at int)                    {}

// sum is decode.Sum of the first n bytes.
func (b *block) sum(n int) uint64 { return decode.Sum(b.buf[:n]) }

// get copies the first bytes out, and put copies bytes in.
func (b *block) get(p []byte) error { copy(p, b.buf); return nil }
func (b *block) put(p []byte) error { copy(b.buf, p); return nil }

// give writes the first n bytes to w at an offset.
func (b *block) give(w io.WriterAt, n int, at int64) error {
	_, err := w.WriteAt(b.buf[:n], at)
	return err
}
