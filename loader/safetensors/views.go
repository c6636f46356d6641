package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/x448/float16"
)

// View is how a tensor is seen otherwise than it is in the file; the zero value
// changes nothing. Shape is that of what is seen.
type View struct {
	Transposed bool    // two dimensions, exchanged
	Swapped    bool    // the halves along the first dimension, exchanged
	Identity   bool    // not the file's bytes: the identity matrix
	Scale      float32 // values are multiplied by it, by whoever converts them; 0 is 1

	cut bool // the file's blocks are not whole in what is seen: it cannot be read
}

// Rows is n of the tensor's first dimension, from one on. It must not be
// transposed or swapped.
func (t Tensor) Rows(from, n int) Tensor {
	row := t.Size / int64(t.Shape[0])
	t.Shape = append([]int{n}, t.Shape[1:]...)
	t.Begin += int64(from) * row
	t.Size = int64(n) * row
	t.cut = t.cut || !wholeRows(t)
	return t
}

// wholeRows reports whether no block of the dtype lies in two rows.
func wholeRows(t Tensor) bool {
	elems, _ := Block(t.DType)
	return elems <= 1 || len(t.Shape) > 0 && t.Shape[0] > 0 && t.Elems()/t.Shape[0]%elems == 0
}

// Flat is a tensor without its last two dimensions where they are 1: a linear
// layer that was written as a convolution.
func Flat(t Tensor) Tensor {
	if n := len(t.Shape); n == 4 && t.Shape[2] == 1 && t.Shape[3] == 1 {
		t.Shape = t.Shape[:2]
	}
	return t
}

// Check fails where the tensor cannot be read: its type is none that is
// converted, or its view cuts what is a block in the file.
func (t Tensor) Check() error {
	if !Readable(t.DType) {
		return fmt.Errorf("its type %s is not read", t.DType)
	}
	if t.cut || blocked(t.DType) && (t.Transposed || t.Swapped && !wholeRows(t)) {
		return fmt.Errorf("it is to be cut or turned where blocks of %s are whole: give the file in another type", t.DType)
	}
	return nil
}

// Section reads the bytes of one of the set's tensors, as its view has them.
// One that is transposed is read as a whole first.
func (s *Set) Section(t Tensor) (*io.SectionReader, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	r := s.files[t.file].Section(t)
	switch {
	case t.Identity:
		one, err := oneOf(t.DType)
		return io.NewSectionReader(identity{one, int64(t.Shape[0])}, 0, t.Size), err
	case t.Swapped:
		return io.NewSectionReader(swapped{r, t.Size / 2}, 0, t.Size), nil
	case t.Transposed:
		return transposed(r, t)
	}
	return r, nil
}

func transposed(r io.Reader, t Tensor) (*io.SectionReader, error) {
	in, out := make([]byte, t.Size), make([]byte, t.Size)
	if _, err := io.ReadFull(r, in); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	rows, columns, w := t.Shape[0], t.Shape[1], Width(t.DType)
	for i := range rows {
		for j := range columns {
			copy(out[(i*columns+j)*w:][:w], in[(j*rows+i)*w:])
		}
	}
	return io.NewSectionReader(bytes.NewReader(out), 0, t.Size), nil
}

// swapped reads the second half first.
type swapped struct {
	r    io.ReaderAt
	half int64
}

func (s swapped) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) && at < 2*s.half {
		from, left := at+s.half, s.half-at
		if at >= s.half {
			from, left = at-s.half, 2*s.half-at
		}
		m, err := s.r.ReadAt(p[n:n+int(min(int64(len(p)-n), left))], from)
		n, at = n+m, at+int64(m)
		if err != nil && (err != io.EOF || m == 0) {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// identity is the identity matrix of so many rows.
type identity struct {
	one  []byte // an element
	rows int64
}

func (i identity) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	w := int64(len(i.one))
	diagonal := w * (i.rows + 1) // from one 1 to the next
	for k := max(0, at-w+1) / diagonal * diagonal; k < at+int64(len(p)); k += diagonal {
		for b := range w {
			if to := k + b - at; to >= 0 && to < int64(len(p)) {
				p[to] = i.one[b]
			}
		}
	}
	return len(p), nil
}

// oneOf is the number 1 in a dtype.
func oneOf(dtype string) ([]byte, error) {
	switch dtype {
	case "F32":
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(1)), nil
	case "F16":
		return binary.LittleEndian.AppendUint16(nil, float16.Fromfloat32(1).Bits()), nil
	case "BF16":
		return binary.LittleEndian.AppendUint16(nil, uint16(math.Float32bits(1)>>16)), nil
	}
	return nil, fmt.Errorf("safetensors: no identity matrix in %s", dtype)
}
