package loader

import (
	"context"
	"io"
)

// blockSize is how much of a tensor is on its way at a time: small enough for
// a processor's cache, so that joining, summing and passing on cost little more
// than one of them. A multiple of every element's size.
const blockSize = 1 << 20

// outlet passes the bytes of a tensor on, block by block, to the caller's
// memory and to the laid-out file.
type outlet struct {
	ctx context.Context
	b   *block
	w   io.WriterAt // nil where the caller does not want the tensor
	l   *layer      // nil for none
	at  int64       // of the block in the tensor
	n   int         // bytes in the block
}

// take takes the part of a tensor that lies in a chunk, in so many byte planes.
func (o *outlet) take(part raw, width int) error {
	for first, all := 0, int(part.size())/width; first < all; {
		n := min(all-first, (blockSize-o.n)/width)
		if err := o.b.join(o.n, n, part, width, first); err != nil {
			return err
		}
		first += n
		if o.n += n * width; o.n == blockSize {
			if err := o.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush passes on what there is of a block.
func (o *outlet) flush() error {
	if o.n == 0 {
		return nil
	}
	if o.l != nil {
		o.l.add(o.ctx, o.b, o.n)
	}
	n, at := o.n, o.at
	o.at, o.n = at+int64(n), 0
	defer o.b.seek(int(o.at))
	if o.w == nil {
		return nil
	}
	return o.b.give(o.w, n, at)
}
