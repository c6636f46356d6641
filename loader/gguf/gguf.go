// Package gguf reads the files of that format, in which llama.cpp and ComfyUI
// have quantised models: names, metadata, tensors, and the values behind the
// codes of a block, bit for bit as the reference implementation has them.
// Headers are treated as hostile: nothing is allocated that the file's own size
// does not justify. Start at [Parse] and [Float32s].
//
// The format is at https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
package gguf

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// ErrFormat: the file is not a valid GGUF file.
var ErrFormat = errors.New("not a valid GGUF file")

// Magic is what such a file begins with.
const Magic = "GGUF"

// The budgets of a header.
const (
	MaxHeader  = 64 << 20 // bytes of metadata and names: a vocabulary of 250,000 takes 10 MB
	maxTensors = 1 << 17
	maxKeys    = 1 << 16
	maxName    = 1 << 16
	maxRank    = 8
)

// Tensor is an entry of a header.
type Tensor struct {
	Name  string
	Type  string // "Q4_K": a key of the table that [Block] reads
	Shape []int  // outermost first, as in torch; blocks lie along the last
	Begin int64  // of the data, from the start of the file
	Size  int64  // in bytes
}

// File is a parsed header; tensors are in the file's order.
type File struct {
	Tensors []Tensor
	// Metadata has strings, bool, int64, float64, and lists of them: []string,
	// []int64, []float64; of bytes []byte.
	Metadata map[string]any
}

// Text is a metadata string, "" where there is none.
func (f *File) Text(key string) string {
	s, _ := f.Metadata[key].(string)
	return s
}

// Parse reads and checks the header of a file of size bytes.
func Parse(r io.ReaderAt, size int64) (*File, error) {
	h := &header{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, min(size, MaxHeader)), 1<<16)}
	f := &File{Metadata: map[string]any{}}
	err := h.read(f, size)
	if h.err != nil { // the first failure explains what followed
		err = h.err
	}
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		if size > MaxHeader {
			return nil, bad("its header is longer than %d bytes", MaxHeader)
		}
		return nil, bad("it is cut off after %d bytes", size)
	case err != nil:
		return nil, err
	}
	return f, nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("gguf: %w: "+format, append([]any{ErrFormat}, args...)...)
}

// header reads what comes before the tensors' data. After an error all reads
// give zeros.
type header struct {
	r   *bufio.Reader
	at  int64
	err error
}

func (h *header) bytes(p []byte) {
	if h.err == nil {
		_, h.err = io.ReadFull(h.r, p)
		h.at += int64(len(p))
	}
	if h.err != nil {
		clear(p)
	}
}

func (h *header) u64(width int) uint64 {
	var b [8]byte
	h.bytes(b[:width])
	return binary.LittleEndian.Uint64(b[:])
}

// count reads a number of things that take so many bytes each at least.
func (h *header) count(what string, most uint64, each int64) int {
	n := h.u64(8)
	if h.err == nil && (n > most || int64(n) > (MaxHeader-h.at)/each) {
		h.err = bad("it claims %d %s", n, what)
	}
	if h.err != nil {
		return 0
	}
	return int(n)
}

func (h *header) text(most uint64) string {
	n := h.count("bytes of text", most, 1)
	if h.err != nil {
		return ""
	}
	var b []byte // which follows what is there, not what is claimed
	for h.err == nil && len(b) < n {
		from := len(b)
		b = append(b, make([]byte, min(n-from, max(from, maxName)))...)
		h.bytes(b[from:])
	}
	if h.err != nil {
		return ""
	}
	return string(b)
}

func (h *header) read(f *File, size int64) error {
	var magic [4]byte
	h.bytes(magic[:])
	if h.err == nil && string(magic[:]) != Magic {
		return bad("it begins with %q", magic[:])
	}
	if version := h.u64(4); h.err == nil && (version < 2 || version > 3) {
		return bad("its version is %d; 2 and 3 are read", version)
	}
	tensors := h.count("tensors", maxTensors, 24)
	keys := h.count("keys", maxKeys, 13)
	for range keys {
		if err := h.pair(f); err != nil {
			return err
		}
	}
	align := int64(32)
	if v, there := f.Metadata["general.alignment"]; there {
		n, _ := v.(int64)
		if align = n; n < 8 || n > 1<<20 || n&(n-1) != 0 {
			return bad("general.alignment is %v", v)
		}
	}
	for range tensors {
		if err := h.tensor(f); err != nil {
			return err
		}
	}
	if h.err != nil {
		return h.err
	}
	return f.place((h.at+align-1)/align*align, align, size)
}

func (h *header) pair(f *File) error {
	key := h.text(maxName)
	if _, twice := f.Metadata[key]; twice && h.err == nil {
		return bad("the key %q is there twice", key)
	}
	kind := h.u64(4)
	v := h.value(kind)
	if h.err != nil {
		return fmt.Errorf("the key %.80q: %w", key, h.err)
	}
	f.Metadata[key] = v
	return nil
}

// The numbers of the types of metadata that are no plain numbers.
const (
	kindBool, kindText, kindList = 7, 8, 9
)

// widths are the bytes of the plain types by number.
var widths = [...]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, kindBool: 1, 10: 8, 11: 8, 12: 8}

func (h *header) value(kind uint64) any {
	switch kind {
	case kindText:
		return h.text(MaxHeader)
	case kindList:
		return h.list(h.u64(4))
	case kindBool:
		return h.u64(1) != 0
	case 6, 12:
		return h.float(kind)
	}
	return h.whole(kind)
}

func (h *header) float(kind uint64) float64 {
	if kind == 6 {
		return float64(math.Float32frombits(uint32(h.u64(4))))
	}
	return math.Float64frombits(h.u64(8))
}

// whole reads an integer of any width; one that does not fit is an error.
func (h *header) whole(kind uint64) int64 {
	if kind >= uint64(len(widths)) || widths[kind] == 0 {
		h.fail("unknown type %d of metadata", kind)
		return 0
	}
	w := widths[kind]
	v := h.u64(w)
	switch kind {
	case 1, 3, 5, 11:
		return int64(v) << (64 - 8*w) >> (64 - 8*w)
	}
	if v > math.MaxInt64 {
		h.fail("the number %d is out of range", v)
	}
	return int64(v)
}

func (h *header) fail(format string, args ...any) {
	if h.err == nil {
		h.err = bad(format, args...)
	}
}

func (h *header) list(kind uint64) any {
	switch kind {
	case kindText:
		return each(h, 8, func() string { return h.text(MaxHeader) })
	case 6, 12:
		return each(h, 4, func() float64 { return h.float(kind) })
	case kindList:
		h.fail("a list of lists")
		return nil
	}
	if kind >= uint64(len(widths)) || widths[kind] == 0 {
		h.fail("a list of the unknown type %d of metadata", kind)
		return nil
	}
	if w := widths[kind]; w > 1 {
		return each(h, int64(w), func() int64 { return h.whole(kind) })
	}
	return each(h, 1, func() byte { return byte(h.u64(1)) })
}

// each reads a list; what it takes follows what is there, by pieces, for a list
// that grows by itself is copied several times.
func each[T any](h *header, width int64, read func() T) (list []T) {
	const piece = 1 << 12
	var pieces [][]T
	n := h.count("elements", MaxHeader, width)
	for left := n; left > 0; left -= piece {
		p := make([]T, min(left, piece))
		for i := range p {
			if p[i] = read(); h.err != nil {
				return nil
			}
		}
		pieces = append(pieces, p)
	}
	if len(pieces) == 1 {
		return pieces[0]
	}
	return slices.Concat(pieces...)
}

func (h *header) tensor(f *File) error {
	t := Tensor{Name: h.text(maxName)}
	rank := h.u64(4)
	if h.err == nil && rank > maxRank {
		return bad("the tensor %q has %d dimensions", t.Name, rank)
	}
	elems := int64(1)
	for range rank {
		d := h.u64(8)
		if d < 1 || d > math.MaxInt32 || elems > math.MaxInt64/64/int64(d) {
			if h.err == nil {
				return bad("the tensor %q has a dimension of %d", t.Name, d)
			}
			return h.err
		}
		elems *= int64(d)
		t.Shape = append(t.Shape, int(d))
	}
	kind, begin := h.u64(4), h.u64(8)
	if h.err != nil {
		return h.err
	}
	ty, known := byNumber[kind]
	if !known {
		return bad("the tensor %q is of the unknown type %d", t.Name, kind)
	}
	if inner := append(t.Shape, 1)[0]; inner%ty.elems != 0 {
		return bad("the tensor %q has rows of %d in blocks of %d", t.Name, inner, ty.elems)
	}
	if begin > math.MaxInt64/2 {
		return bad("the tensor %q begins at byte %d", t.Name, begin)
	}
	slices.Reverse(t.Shape)
	t.Type, t.Begin, t.Size = ty.name, int64(begin), elems/int64(ty.elems)*int64(ty.bytes)
	f.Tensors = append(f.Tensors, t)
	return nil
}

// place makes the tensors' offsets those of the file, in which they must lie
// apart from each other.
func (f *File) place(data, align, size int64) error {
	order := make([]*Tensor, len(f.Tensors))
	names := map[string]bool{}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if names[t.Name] {
			return bad("the tensor %q is there twice", t.Name)
		}
		if t.Begin%align != 0 {
			return bad("the tensor %q begins at byte %d, no multiple of %d", t.Name, t.Begin, align)
		}
		t.Begin += data
		names[t.Name], order[i] = true, t
	}
	slices.SortFunc(order, func(a, b *Tensor) int { return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.Size, b.Size)) })
	end := data
	for i, t := range order {
		if t.Begin < end {
			return bad("the tensors %q and %q overlap", order[i-1].Name, t.Name)
		}
		if end = t.Begin + t.Size; end > size {
			return bad("the tensor %q ends at byte %d of %d: the file is cut off", t.Name, end, size)
		}
	}
	return nil
}
