package engine

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/x448/float16"
)

// DType is the storage type of a tensor's elements.
type DType uint8

// The storage types. Q8, Q4 and Q2 are block-quantised: see [DType.Block].
const (
	F32 DType = iota
	F16
	BF16
	I32
	Q8
	Q4
	Q2
)

var dtypeNames = [...]string{"f32", "f16", "bf16", "i32", "q8", "q4", "q2"}

// String returns the lower-case name, as used in model manifests.
func (d DType) String() string {
	if int(d) < len(dtypeNames) {
		return dtypeNames[d]
	}
	return fmt.Sprintf("dtype(%d)", d)
}

// ParseDType is the inverse of [DType.String].
func ParseDType(s string) (DType, error) {
	if i := slices.Index(dtypeNames[:], s); i >= 0 {
		return DType(i), nil
	}
	return 0, fmt.Errorf("engine: unknown dtype %q", s)
}

// QuantBlock is the number of consecutive weights of a row that share a scale
// in Q8 and Q4.
const QuantBlock = 32

// Block is the number of consecutive weights of a row that share a scale: 32 in
// Q8 and Q4, 128 in Q2, 0 where there are no scales. A tensor's rows are its
// first dimension, a row's length k the product of the others; a row's last
// block may be short. The bytes are planar: first every scale (f16, rows ×
// ceil(k/block)), then the weights, each row padded to whole bytes: Q8 one int8
// each, value = scale·q; Q4 two to a byte, low nibble first, value =
// scale·(q−8); Q2 four to a byte, low bits first, value = scale·(q−1), which is
// ternary where no q is 3. See loader/FORMAT.md.
func (d DType) Block() int {
	switch d {
	case Q8, Q4:
		return QuantBlock
	case Q2:
		return 4 * QuantBlock
	}
	return 0
}

// Quantised reports whether the type has scales.
func (d DType) Quantised() bool { return d.Block() > 0 }

// Shape lists the extents of a tensor, outermost first.
type Shape []int

// Elems is the number of elements.
func (s Shape) Elems() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Dim returns extent i; a negative i counts from the end.
func (s Shape) Dim(i int) int {
	if i < 0 {
		i += len(s)
	}
	return s[i]
}

// Rows views the tensor as a matrix of rows of its first dimension, as
// quantisation and weight packing do.
func (s Shape) Rows() (rows, k int) {
	if len(s) == 0 || s[0] == 0 {
		return 0, 0
	}
	return s[0], s.Elems() / s[0]
}

// Strides are the elements from one to the next along each axis.
func (s Shape) Strides() []int {
	strides := make([]int, len(s))
	step := 1
	for i := len(s) - 1; i >= 0; i-- {
		strides[i] = step
		step *= s[i]
	}
	return strides
}

// Broadcast are the strides by which a tensor of this shape is read as if it had
// shape to, by NumPy's rules: 0 along repeated axes.
func (s Shape) Broadcast(to Shape) []int {
	strides := make([]int, len(to))
	for i, step := range s.Strides() {
		if s[i] > 1 {
			strides[len(to)-len(s)+i] = step
		}
	}
	return strides
}

// Equal reports whether both shapes have the same extents.
func (s Shape) Equal(o Shape) bool { return slices.Equal(s, o) }

// Tensor is a host-side value: how data enters and leaves a [Program].
type Tensor struct {
	DType DType
	Shape Shape
	Data  []byte // little-endian
}

// ByteSize is the number of bytes a tensor of this type and shape occupies.
func ByteSize(d DType, s Shape) int {
	rows, k := s.Rows()
	switch d {
	case F32, I32:
		return 4 * s.Elems()
	case F16, BF16:
		return 2 * s.Elems()
	case Q8:
		return rows * (2*d.blocks(k) + k)
	case Q4:
		return rows * (2*d.blocks(k) + (k+1)/2)
	case Q2:
		return rows * (2*d.blocks(k) + (k+3)/4)
	}
	panic("engine: size of " + d.String())
}

// blocks is the number of scales of a row of k weights.
func (d DType) blocks(k int) int { return (k + d.Block() - 1) / d.Block() }

// CheckType checks that there can be a tensor of this type and shape.
func CheckType(d DType, s Shape) error {
	elems := 1
	for _, n := range s {
		if n < 0 || n > math.MaxInt32 || n > 0 && elems > math.MaxInt/8/n {
			return fmt.Errorf("engine: bad tensor shape %v", s)
		}
		elems *= n
	}
	if int(d) >= len(dtypeNames) {
		return fmt.Errorf("engine: unknown %v", d)
	}
	return nil
}

// Validate checks that the data has exactly the size that type and shape ask for.
func (t Tensor) Validate() error {
	if err := CheckType(t.DType, t.Shape); err != nil {
		return err
	}
	if want := ByteSize(t.DType, t.Shape); len(t.Data) != want {
		return fmt.Errorf("engine: tensor %v %v holds %d bytes, want %d", t.DType, t.Shape, len(t.Data), want)
	}
	return nil
}

// WriteAt copies p into the data at an offset.
func (t Tensor) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 || at > int64(len(t.Data)-len(p)) {
		return 0, fmt.Errorf("engine: %d bytes at %d of a tensor of %d", len(p), at, len(t.Data))
	}
	return copy(t.Data[at:], p), nil
}

// NewTensor allocates a zeroed tensor.
func NewTensor(d DType, shape ...int) Tensor {
	return Tensor{DType: d, Shape: shape, Data: make([]byte, ByteSize(d, shape))}
}

// FromFloat32s makes an F32 tensor from v, copying it.
func FromFloat32s(v []float32, shape ...int) Tensor {
	t := NewTensor(F32, shape...)
	if len(v) != len(t.Data)/4 {
		panic(fmt.Sprintf("engine: %d values for shape %v", len(v), shape))
	}
	t.PutFloat32s(v)
	return t
}

// FromInt32s makes an I32 tensor from v, copying it.
func FromInt32s(v []int32, shape ...int) Tensor {
	t := NewTensor(I32, shape...)
	if len(v) != len(t.Data)/4 {
		panic(fmt.Sprintf("engine: %d values for shape %v", len(v), shape))
	}
	for i, x := range v {
		binary.LittleEndian.PutUint32(t.Data[4*i:], uint32(x))
	}
	return t
}

// PutFloat32s writes v to the start of an F32 tensor.
func (t Tensor) PutFloat32s(v []float32) {
	for i, x := range v {
		binary.LittleEndian.PutUint32(t.Data[4*i:], math.Float32bits(x))
	}
}

// Int32s returns the elements of an I32 tensor.
func (t Tensor) Int32s() []int32 {
	out := make([]int32, len(t.Data)/4)
	for i := range out {
		out[i] = int32(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return out
}

// Float32s returns the elements as f32, converting or dequantising them.
func (t Tensor) Float32s() []float32 {
	out := make([]float32, t.Shape.Elems())
	le := binary.LittleEndian
	switch t.DType {
	case F32:
		for i := range out {
			out[i] = math.Float32frombits(le.Uint32(t.Data[4*i:]))
		}
	case F16:
		for i := range out {
			out[i] = float16.Frombits(le.Uint16(t.Data[2*i:])).Float32()
		}
	case BF16:
		for i := range out {
			out[i] = math.Float32frombits(uint32(le.Uint16(t.Data[2*i:])) << 16)
		}
	case I32:
		for i := range out {
			out[i] = float32(int32(le.Uint32(t.Data[4*i:])))
		}
	case Q8, Q4, Q2:
		t.dequantise(out)
	}
	return out
}

func (t Tensor) dequantise(out []float32) {
	rows, k := t.Shape.Rows()
	nb, block := t.DType.blocks(k), t.DType.Block()
	scales, q := t.Data[:2*rows*nb], t.Data[2*rows*nb:]
	for r := range rows {
		for i := range k {
			scale := float16.Frombits(binary.LittleEndian.Uint16(scales[2*(r*nb+i/block):])).Float32()
			out[r*k+i] = scale * float32(t.DType.code(q[len(q)/rows*r:], i))
		}
	}
}

// code is what a scale is multiplied by for weight i of a row.
func (d DType) code(row []byte, i int) int {
	switch d {
	case Q4:
		return int(row[i/2]>>(4*(i&1))&15) - 8
	case Q2:
		return int(row[i/4]>>(2*(i&3))&3) - 1
	}
	return int(int8(row[i]))
}
