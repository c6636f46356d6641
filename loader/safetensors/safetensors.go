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
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"wisp/loader/budget"
)

// MaxHeader is the longest header accepted, as in the reference implementation.
const MaxHeader = 100 << 20

const maxRank = 16

// ErrFormat: the file is not a valid safetensors file.
var ErrFormat = errors.New("not a valid safetensors file")

// ErrText refuses what a browser or a script saved in the file's place.
var ErrText = errors.New("this is text in the file's place, such as a web page that asks to sign in or says that a file is missing: " +
	"download the file itself, which may take an account on its site")

// looksText recognises a web page or JSON by its first bytes.
func looksText(head []byte) bool {
	head = bytes.TrimLeft(head, "\ufeff \t\r\n")
	return len(head) > 0 && bytes.IndexByte([]byte("<{["), head[0]) >= 0
}

// Tensor is an entry of a header.
type Tensor struct {
	Name  string
	DType string // as in the header: "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "I32", ...
	Shape []int  // outermost first; empty for a scalar
	Begin int64  // of the data, from the start of the file
	Size  int64  // in bytes

	View // see [Set.Section]

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

// bits is the size of an element of every dtype that a header may name, as in
// the reference implementation. Those that [Float32s] and [Int32s] do not
// convert may be in a file as long as nobody wants them.
var bits = map[string]int64{
	"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
	"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64,
	"I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
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
		if looksText(head[:]) {
			return nil, ErrText
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

// headerLimits are the budgets of a header: some ten entries a tensor.
var headerLimits = budget.Limits{Bytes: MaxHeader, Entries: 16 << 20, Depth: 16}

// parseHeader decodes the JSON object key by key, of which none may be there
// twice. Space is what follows the header.
func parseHeader(text []byte, space int64) (*File, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, bad("the header is not a JSON object")
	}
	f := &File{}
	seen := map[string]bool{}
	r := &headerReader{JSON: budget.NewJSON("the header", text, headerLimits), space: space}
	err := r.Members(func(name string) error {
		if seen[name] {
			return fmt.Errorf("the tensor %q is there twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			return r.metadata(f)
		}
		t, err := r.tensor(name)
		f.Tensors = append(f.Tensors, t)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, bad("%v", err)
	}
	if rest := bytes.Trim(text[r.Offset():], " "); len(rest) > 0 {
		return nil, bad("%d bytes follow the header's JSON", len(rest))
	}
	return f, f.checkLayout(space)
}

type headerReader struct {
	*budget.JSON
	space int64
	dtype string // of the last tensor
}

func (r *headerReader) metadata(f *File) error {
	f.Metadata = map[string]string{}
	return r.Members(func(key string) error {
		if _, twice := f.Metadata[key]; twice {
			return fmt.Errorf("the metadata %q is there twice", key)
		}
		v, err := r.String()
		if f.Metadata[key] = v; err != nil {
			return fmt.Errorf("metadata %q: %w", key, err)
		}
		return nil
	})
}

// tensor reads an entry; keys that the format does not have are passed over,
// as the reference implementation does.
func (r *headerReader) tensor(name string) (Tensor, error) {
	var shape, offsets []int
	var dtype string
	var seen [3]bool
	once := func(i int, key string) error {
		if seen[i] {
			return fmt.Errorf("the key %q is there twice", key)
		}
		seen[i] = true
		return nil
	}
	err := r.Members(func(key string) (err error) {
		switch key {
		case "dtype":
			if err = once(0, key); err == nil {
				dtype, err = r.Again(r.dtype)
			}
		case "shape":
			if err = once(1, key); err == nil {
				shape, err = r.ints(maxRank)
			}
		case "data_offsets":
			if err = once(2, key); err == nil {
				offsets, err = r.ints(2)
			}
		default:
			_, err = r.Raw()
		}
		return err
	})
	if err != nil {
		return Tensor{}, err
	}
	r.dtype = dtype
	if !seen[1] {
		return Tensor{}, errors.New("it has no shape")
	}
	t := Tensor{Name: name, DType: dtype, Shape: shape}
	return t, t.place(offsets, r.space)
}

// ints reads an array of at most so many integers.
func (r *headerReader) ints(most int) ([]int, error) {
	var few [maxRank]int
	n := 0
	err := r.Array(func(i int) error {
		if i == most {
			return fmt.Errorf("more than %d numbers", most)
		}
		v, err := r.Int()
		few[i], n = int(v), i+1
		return err
	})
	return append([]int{}, few[:n]...), err
}

// place sets where the tensor is, and checks that it takes as much.
func (t *Tensor) place(offsets []int, space int64) error {
	width, ok := bits[t.DType]
	if !ok {
		return fmt.Errorf("unknown dtype %q", t.DType)
	}
	elems := int64(1)
	for _, d := range t.Shape {
		if d < 0 || d > math.MaxInt32 || d > 0 && elems > math.MaxInt64/64/int64(d) {
			return fmt.Errorf("impossible shape %v", t.Shape)
		}
		elems *= int64(d)
	}
	if len(offsets) != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || int64(offsets[1]) > space {
		return fmt.Errorf("offsets %v in %d bytes of data", offsets, space)
	}
	t.Begin, t.Size = int64(offsets[0]), int64(offsets[1]-offsets[0])
	if t.Size*8 != elems*width {
		return fmt.Errorf("%s %v takes %d bytes, the offsets span %d", t.DType, t.Shape, elems*width/8, t.Size)
	}
	return nil
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
