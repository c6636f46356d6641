package loader

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"wisp/loader/decode"
)

// Cache is a second place for a model's tensors, decoded, that reads at the
// speed of memory: the browser's private files. It may be gone or damaged at
// any time; then loading goes on from the chunks and writes it anew.
type Cache interface {
	// Open opens a file for reading; a missing one is fs.ErrNotExist.
	Open(ctx context.Context, name string) (CacheFile, error)
	// Create makes an empty file for size bytes, in place of one that is there.
	Create(ctx context.Context, name string, size int64) (CacheFile, error)
	// Files lists the names.
	Files(ctx context.Context) ([]string, error)
	// Remove deletes a file; a missing one is no error.
	Remove(ctx context.Context, name string) error
}

// CacheFile is an open file of a [Cache], read or written from its start to
// its end but for the table, which is read first.
type CacheFile interface {
	// read fills b with n bytes from an offset on.
	read(ctx context.Context, b *block, n int, at int64) error
	// write writes the first n bytes of b after what was written before. It
	// fails with ErrQuota where there is no room.
	write(ctx context.Context, b *block, n int) error
	// Size is the number of bytes in the file.
	Size() (int64, error)
	// Close completes what was written; only then may it be relied on.
	Close(ctx context.Context) error
}

// A laid-out file holds the tensors of one Load, one after another as they
// are handed on, then a sum of 8 bytes for each block of each tensor (blockSize
// bytes, the last of a tensor shorter), then the tail: laidMagic, the
// manifest's SHA-256 and the sum of the sums. Nothing waits for the disk: what
// a crash leaves unwritten, the sums give away.
const (
	laidMagic = "wispblks"
	laidTail  = int64(len(laidMagic)) + 32 + 8
)

// laidName names the file for this part of a model: it begins with the
// model's id, so that it goes when the model does.
func (m *Model) laidName(p Part) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", append([]string{p.Component}, p.Prefixes...))
	return m.id + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// laidSizes gives the bytes of the tensors and of the table of their sums.
func laidSizes(want []*TensorInfo) (data, table int64) {
	for _, t := range want {
		data += t.Length
		table += 8 * blocks(t.Length)
	}
	return data, table
}

// blocks is the number of blocks of a tensor.
func blocks(length int64) int64 { return (length + blockSize - 1) / blockSize }

// fromCache hands on tensors from the laid-out file and returns how many. At
// one that is not as it was written, it takes that one from the chunks, removes
// the file and leaves the rest to the caller. The error is the caller's own or
// the context's.
func (m *Model) fromCache(ctx context.Context, b *block, name string, want []*TensorInfo, each eachTensor) (n int, err error) {
	f, err := m.opts.Cache.Open(ctx, name)
	if err != nil { // not there, or another tab's
		return 0, ctx.Err()
	}
	r := &laidReader{m: m, ctx: ctx, b: b, f: f}
	defer func() {
		if f.Close(ctx); r.damaged {
			m.warn(fmt.Errorf("loader: the laid-out file %s is damaged; loading from the chunks", name))
			m.opts.Cache.Remove(ctx, name) // which another tab may do, or prevent by reading it
			err = cmp.Or(err, ctx.Err())
		}
	}()
	if r.damaged = !r.readTable(want); r.damaged {
		return 0, ctx.Err()
	}
	for i, t := range want {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		if err := r.hand(t, each); err != nil || r.damaged {
			return i + 1, err
		}
	}
	return len(want), nil
}

// laidReader reads a laid-out file.
type laidReader struct {
	m       *Model
	ctx     context.Context
	b       *block
	f       CacheFile
	at      int64 // of the next tensor
	sums    []byte
	damaged bool
}

// readTable reads the sums and reports whether the file is whole and the
// model's.
func (r *laidReader) readTable(want []*TensorInfo) bool {
	data, table := laidSizes(want)
	if size, err := r.f.Size(); err != nil || size != data+table+laidTail {
		return false
	}
	all := make([]byte, table+laidTail)
	for n := 0; n < len(all); {
		part := all[n:min(n+blockSize, len(all))]
		if r.f.read(r.ctx, r.b, len(part), data+int64(n)) != nil || r.b.get(part) != nil {
			return false
		}
		n += len(part)
	}
	r.sums = all[:table]
	return string(all[table:]) == string(r.m.laidTailOf(r.sums))
}

// hand hands on the next tensor.
func (r *laidReader) hand(t *TensorInfo, each eachTensor) error {
	var failure error
	err := each(t, func(w io.WriterAt) error {
		failure = r.fill(t, w)
		return failure
	})
	r.at += t.Length
	r.sums = r.sums[8*blocks(t.Length):]
	return cmp.Or(err, failure)
}

// fill writes the next tensor to w, from the chunks where the file's is not
// what it should be.
func (r *laidReader) fill(t *TensorInfo, w io.WriterAt) error {
	if err := r.b.aim(w, int(t.Length)); err != nil {
		return err
	}
	defer r.b.aim(nil, 0)
	for i := int64(0); i < blocks(t.Length); i++ {
		at := i * blockSize
		n := int(min(blockSize, t.Length-at))
		r.b.seek(int(at))
		err := r.f.read(r.ctx, r.b, n, r.at+at)
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		if err != nil || r.b.sum(n) != binary.LittleEndian.Uint64(r.sums[8*i:]) {
			r.damaged = true
			return r.m.loadChunks(r.ctx, r.b, []*TensorInfo{t}, nil, func(_ *TensorInfo, fill func(io.WriterAt) error) error { return fill(w) })
		}
		if err := r.b.give(w, n, at); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) laidTailOf(sums []byte) []byte {
	id, _ := hex.DecodeString(m.id) // made by EncodeToString
	return binary.LittleEndian.AppendUint64(slices.Concat([]byte(laidMagic), id), decode.Sum(sums))
}

// layer writes a laid-out file while the tensors are handed on. Its first
// failure ends it: a cache is not worth one of the load.
type layer struct {
	m    *Model
	name string
	f    CacheFile // nil once it has failed
	sums []byte
}

// lay begins a laid-out file; where that cannot be, for want of room or
// because another tab is at it, the layer does nothing.
func (m *Model) lay(ctx context.Context, name string, want []*TensorInfo) *layer {
	l := &layer{m: m, name: name}
	data, table := laidSizes(want)
	if f, err := m.opts.Cache.Create(ctx, name, data+table+laidTail); err == nil {
		l.f = f
	}
	return l
}

// drop gives the file up.
func (l *layer) drop(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	l.f.Close(ctx)
	l.f = nil
	l.m.opts.Cache.Remove(ctx, l.name)
}

// check drops the file where writing failed.
func (l *layer) check(ctx context.Context, err error) {
	if err != nil {
		l.m.warn(fmt.Errorf("loader: the tensors cannot be laid out for the next visit: %w", err))
		l.drop(ctx)
	}
}

// add writes a block of a tensor.
func (l *layer) add(ctx context.Context, b *block, n int) {
	if l.f != nil {
		l.sums = binary.LittleEndian.AppendUint64(l.sums, b.sum(n))
		l.check(ctx, l.f.write(ctx, b, n))
	}
}

// end completes the file or, where the load failed, removes it.
func (l *layer) end(ctx context.Context, b *block, loadErr error) {
	if l.f != nil && loadErr != nil {
		l.drop(ctx)
	}
	rest := slices.Concat(l.sums, l.m.laidTailOf(l.sums))
	for l.f != nil && len(rest) > 0 {
		n := min(len(rest), blockSize)
		b.put(rest[:n])
		l.check(ctx, l.f.write(ctx, b, n))
		rest = rest[n:]
	}
	if l.f != nil {
		l.check(ctx, l.f.Close(ctx))
	}
}

// removeLaid deletes the laid-out files of the models that are gone, and
// reports whether there were any. One that is open stays.
func removeLaid(ctx context.Context, c Cache, gone func(id string) bool) (removed bool) {
	if c == nil {
		return false
	}
	names, err := c.Files(ctx)
	if err != nil {
		return false
	}
	for _, name := range names {
		if id, _, _ := strings.Cut(name, "-"); gone(id) && c.Remove(ctx, name) == nil {
			removed = true
		}
	}
	return removed
}
