package loader

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
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

// CacheFile is an open file of a [Cache], of one owner until it is closed.
type CacheFile interface {
	io.ReaderAt
	// WriteAt fails with ErrQuota where there is no room.
	io.WriterAt
	Size() (int64, error)
	Close() error
}

// A laid-out file holds the tensors of one Load, one after another as they
// are handed on, then a sum of 8 bytes for each, then the tail: laidMagic, the
// manifest's SHA-256 and the sum of the sums. Nothing waits for the disk: what
// a crash leaves unwritten, the sums give away.
const (
	laidMagic = "wisplaid"
	laidTail  = int64(len(laidMagic)) + 32 + 8
)

// laidName names the file for these parts of a model: it begins with the
// model's id, so that it goes when the model does.
func (m *Model) laidName(parts []Part) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%q\n", append([]string{p.Component}, p.Prefixes...))
	}
	return m.id + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// laidOffsets gives each tensor's place in the file, and the table's last.
func laidOffsets(want []*TensorInfo) []int64 {
	at := make([]int64, len(want)+1)
	for i, t := range want {
		at[i+1] = at[i] + t.Length
	}
	return at
}

// laidSum is a fast sum against bit rot and torn writes, four multiplicative
// lanes of 64 bits. A cache that only this origin can write needs no more: its
// content was checked by SHA-256 when it came.
func laidSum(b []byte) uint64 {
	const p = 0x9e3779b97f4a7c15
	le := binary.LittleEndian
	h0, h1, h2, h3 := uint64(len(b)), uint64(p), uint64(1), uint64(p>>1)
	for ; len(b) >= 32; b = b[32:] {
		q := b[:32]
		h0 = bits.RotateLeft64(h0^le.Uint64(q), 29) * p
		h1 = bits.RotateLeft64(h1^le.Uint64(q[8:]), 29) * p
		h2 = bits.RotateLeft64(h2^le.Uint64(q[16:]), 29) * p
		h3 = bits.RotateLeft64(h3^le.Uint64(q[24:]), 29) * p
	}
	for _, c := range b {
		h0 = bits.RotateLeft64(h0^uint64(c), 29) * p
	}
	for _, h := range []uint64{h1, h2, h3} {
		h0 = bits.RotateLeft64(h0^h>>32^h, 29) * p
	}
	return h0 ^ h0>>31
}

// fromCache hands on tensors from the laid-out file and returns how many. A
// file that is not whole is removed, and the rest is the chunks' to deliver;
// the error is the caller's own or the context's.
func (m *Model) fromCache(ctx context.Context, name string, want []*TensorInfo, each func(Tensor) error) (n int, err error) {
	f, err := m.opts.Cache.Open(ctx, name)
	if err != nil { // not there, or another tab's
		return 0, ctx.Err()
	}
	defer func() {
		if f.Close(); n < len(want) && err == nil {
			m.warn(fmt.Errorf("loader: the laid-out file %s is damaged; loading from the chunks", name))
			err = errors.Join(ctx.Err(), m.opts.Cache.Remove(ctx, name))
		}
	}()
	at := laidOffsets(want)
	sums, ok := m.laidTable(f, at[len(want)], len(want))
	if !ok {
		return 0, nil
	}
	for i, t := range want {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		data := make([]byte, t.Length)
		if _, err := f.ReadAt(data, at[i]); err != nil || laidSum(data) != binary.LittleEndian.Uint64(sums[8*i:]) {
			return i, nil
		}
		err := each(Tensor{t.Name, t.DType, t.Shape, data})
		m.addLoaded(t.Length)
		if err != nil {
			return i + 1, err
		}
	}
	return len(want), nil
}

// laidTable reads the sums, where the file is whole and this model's.
func (m *Model) laidTable(f CacheFile, at int64, tensors int) (sums []byte, ok bool) {
	n := int64(8 * tensors)
	if size, err := f.Size(); err != nil || size != at+n+laidTail {
		return nil, false
	}
	b := make([]byte, n+laidTail)
	if _, err := f.ReadAt(b, at); err != nil {
		return nil, false
	}
	return b[:n], string(b[n:]) == string(m.laidTailOf(b[:n]))
}

func (m *Model) laidTailOf(sums []byte) []byte {
	id, _ := hex.DecodeString(m.id) // made by EncodeToString
	return binary.LittleEndian.AppendUint64(slices.Concat([]byte(laidMagic), id), laidSum(sums))
}

// layer writes a laid-out file while the tensors are handed on. Its first
// failure ends it: a cache is not worth one of the load.
type layer struct {
	m    *Model
	name string
	f    CacheFile // nil once it has failed
	at   int64
	sums []byte
}

// lay begins a laid-out file; where that cannot be, for want of room or
// because another tab is at it, the layer does nothing.
func (m *Model) lay(ctx context.Context, name string, want []*TensorInfo) *layer {
	l := &layer{m: m, name: name}
	f, err := m.opts.Cache.Create(ctx, name, laidOffsets(want)[len(want)]+int64(8*len(want))+laidTail)
	if err == nil {
		l.f = f
	}
	return l
}

// drop gives the file up.
func (l *layer) drop(ctx context.Context) {
	l.f.Close()
	l.f = nil
	l.m.opts.Cache.Remove(context.WithoutCancel(ctx), l.name)
}

func (l *layer) write(ctx context.Context, b []byte) {
	if l.f == nil {
		return
	}
	if _, err := l.f.WriteAt(b, l.at); err != nil {
		l.m.warn(fmt.Errorf("loader: the tensors cannot be laid out for the next visit: %w", err))
		l.drop(ctx)
		return
	}
	l.at += int64(len(b))
}

func (l *layer) add(ctx context.Context, data []byte) {
	if l.f != nil {
		l.sums = binary.LittleEndian.AppendUint64(l.sums, laidSum(data))
		l.write(ctx, data)
	}
}

// end completes the file or, where the load failed, removes it.
func (l *layer) end(ctx context.Context, loadErr error) {
	if l.f != nil && loadErr != nil {
		l.drop(ctx)
	}
	l.write(ctx, l.sums)
	l.write(ctx, l.m.laidTailOf(l.sums))
	if l.f != nil {
		l.f.Close()
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
