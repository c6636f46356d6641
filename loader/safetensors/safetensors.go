// Package safetensors reads checkpoint files in the safetensors format: one
// file, or a set of them with an index. Headers are treated as hostile:
// nothing is allocated, and no byte read, that the file's own size does not
// justify. Tensors are read on demand. Start at [Parse] and [OpenSet].
//
// The format is at https://github.com/huggingface/safetensors#format.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// MaxHeader is the longest header accepted, as in the reference implementation.
const MaxHeader = 100 << 20

const maxRank = 16

// ErrFormat: the file is not a valid safetensors file.
var ErrFormat = errors.New("not a valid safetensors file")

// Tensor is an entry of a header.
type Tensor struct {
	Name  string
	DType string // as in the header: "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "I32", ...
	Shape []int  // outermost first; empty for a scalar
	Begin int64  // of the data, from the start of the file
	Size  int64  // in bytes

	// Transposed says that Shape, of two dimensions, is that of the transpose
	// of what is in the file; see [Set.Section].
	Transposed bool

	file int // of a set
}

// Elems is the number of elements.
func (t Tensor) Elems() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// File is a parsed file; tensors are sorted by name.
type File struct {
	Tensors  []Tensor
	Metadata map[string]string
	r        io.ReaderAt
}

// widths is the size of an element of every dtype that a header may name.
var widths = map[string]int64{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
	"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}

// Parse reads and checks the header of a file of size bytes.
func Parse(r io.ReaderAt, size int64) (*File, error) {
	var head [8]byte
	if size < 8 {
		return nil, bad("%d bytes are too short", size)
	}
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, 8), head[:]); err != nil {
		return nil, fmt.Errorf("safetensors: header: %w", err)
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > MaxHeader || int64(n) > size-8 {
		if looksPickled(head[:]) {
			return nil, ErrPickle
		}
		if bytes.Equal(head[:], lfsPointer) {
			return nil, ErrPointer
		}
		return nil, bad("the header claims %d bytes; at most %d are possible", n, min(MaxHeader, size-8))
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, 8, int64(n)), text); err != nil {
		return nil, fmt.Errorf("safetensors: header: %w", err)
	}
	f, err := parseHeader(text, size-8-int64(n))
	if err != nil {
		return nil, err
	}
	for i := range f.Tensors {
		f.Tensors[i].Begin += 8 + int64(n)
	}
	f.r = r
	return f, nil
}

// Find returns the tensor of that name.
func (f *File) Find(name string) (Tensor, bool) {
	i, ok := slices.BinarySearchFunc(f.Tensors, name, func(t Tensor, n string) int { return cmp.Compare(t.Name, n) })
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Section reads the bytes of a tensor of this file.
func (f *File) Section(t Tensor) *io.SectionReader { return io.NewSectionReader(f.r, t.Begin, t.Size) }

func bad(format string, args ...any) error {
	return fmt.Errorf("safetensors: %w: "+format, append([]any{ErrFormat}, args...)...)
}

// parseHeader decodes the JSON object by hand, one key at a time, because a
// map would hide a name that is there twice. Space is what follows the header.
func parseHeader(text []byte, space int64) (*File, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, bad("the header is not a JSON object")
	}
	f := &File{}
	seen := map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return nil, bad("header: %v", err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, bad("header: %v", err)
		}
		name := key.(string) // a key of an object is always a string
		if seen[name] {
			return nil, bad("the tensor %q is there twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := dec.Decode(&f.Metadata); err != nil {
				return nil, bad("metadata: %v", err)
			}
			continue
		}
		t, err := decodeEntry(dec, name, space)
		if err != nil {
			return nil, err
		}
		f.Tensors = append(f.Tensors, t)
	}
	if _, err := dec.Token(); err != nil {
		return nil, bad("header: %v", err)
	}
	if rest := bytes.Trim(text[dec.InputOffset():], " "); len(rest) > 0 {
		return nil, bad("%d bytes follow the header's JSON", len(rest))
	}
	return f, f.checkLayout(space)
}

func decodeEntry(dec *json.Decoder, name string, space int64) (Tensor, error) {
	var e struct {
		DType   string   `json:"dtype"`
		Shape   *[]int64 `json:"shape"`
		Offsets []int64  `json:"data_offsets"`
	}
	if err := dec.Decode(&e); err != nil {
		return Tensor{}, bad("tensor %q: %v", name, err)
	}
	width, ok := widths[e.DType]
	if !ok {
		return Tensor{}, bad("tensor %q has the unknown dtype %q", name, e.DType)
	}
	if e.Shape == nil || len(*e.Shape) > maxRank {
		return Tensor{}, bad("tensor %q has no shape of at most %d dimensions", name, maxRank)
	}
	elems := int64(1)
	shape := make([]int, len(*e.Shape))
	for i, d := range *e.Shape {
		if d < 0 || d > math.MaxInt32 || d > 0 && elems > math.MaxInt64/8/d {
			return Tensor{}, bad("tensor %q has the impossible shape %v", name, *e.Shape)
		}
		elems *= d
		shape[i] = int(d)
	}
	if len(e.Offsets) != 2 || e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1] > space {
		return Tensor{}, bad("tensor %q has the offsets %v in %d bytes of data", name, e.Offsets, space)
	}
	size := e.Offsets[1] - e.Offsets[0]
	if size != elems*width {
		return Tensor{}, bad("tensor %q: %s %v takes %d bytes, the offsets span %d", name, e.DType, shape, elems*width, size)
	}
	return Tensor{Name: name, DType: e.DType, Shape: shape, Begin: e.Offsets[0], Size: size}, nil
}

// checkLayout refuses tensors that share bytes, and, as the format does, gaps
// between them and bytes after the last; it leaves the tensors sorted by name.
func (f *File) checkLayout(space int64) error {
	slices.SortFunc(f.Tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.Size, b.Size))
	})
	var end int64
	for i, t := range f.Tensors {
		if t.Begin < end {
			return bad("the tensors %q and %q overlap", f.Tensors[i-1].Name, t.Name)
		}
		if t.Begin > end {
			return bad("%d bytes before the tensor %q belong to none", t.Begin-end, t.Name)
		}
		end = t.Begin + t.Size
	}
	if end != space {
		return bad("%d bytes of data, but the tensors take %d: the file is cut off or has a tail", space, end)
	}
	slices.SortFunc(f.Tensors, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}
