// Package quant is the block quantisation of model weights, q8, q4 and q2: rows
// of a matrix in blocks of 32, in q2 of 128, that share an f16 scale. FORMAT.md beside the
// parent package has the bit layout and golden vectors; engine reads the same
// bytes without knowing this package.
package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/x448/float16"
)

// Block is the number of consecutive weights of a row that share a scale at 8
// and 4 bits. The last block of a row may be shorter.
const Block = 32

// BlockOf is the number of weights that share a scale: 128 at 2 bits.
func BlockOf(bits int) int {
	if bits == 2 {
		return 4 * Block
	}
	return Block
}

// RowBytes is the size of a row of k weights of 8, 4 or 2 bits with its scales.
func RowBytes(bits, k int) int { return 2*blocks(bits, k) + weightBytes(bits, k) }

func blocks(bits, k int) int { return (k + BlockOf(bits) - 1) / BlockOf(bits) }

func weightBytes(bits, k int) int { return (k*bits + 7) / 8 }

// Matrix is a quantised weight: Rows rows of K values. Data holds every scale
// first (f16, little-endian, row by row), then the values row by row: an int8
// each at 8 bits; at 4 bits q + 8 in a nibble, low nibble first, at 2 bits q + 1,
// lowest bits first, each row padded to whole bytes with zero bits.
type Matrix struct {
	Bits, Rows, K int
	Data          []byte
}

// New makes a matrix of zeros. Bits is 8, 4 or 2.
func New(bits, rows, k int) Matrix {
	return Matrix{bits, rows, k, make([]byte, rows*RowBytes(bits, k))}
}

// PutRow quantises v, of length K, into row r. A value that is not finite, or
// too large for an f16 scale, is an error and leaves the row undefined.
func (m Matrix) PutRow(r int, v []float32) error {
	scales, q := m.row(r)
	for b, size := 0, BlockOf(m.Bits); b*size < m.K; b++ {
		x := v[b*size : min(m.K, (b+1)*size)]
		peak, err := peakOf(x)
		if err != nil {
			return fmt.Errorf("row %d: %w", r, err)
		}
		scale := float16.Fromfloat32(abs(peak) / 127)
		switch m.Bits {
		case 4:
			scale = bestScale4(x, peak)
		case 2:
			scale = bestScale2(x)
		}
		if scale&0x7fff == 0 {
			scale = 0 // never −0: one way to write a block of zeros
		}
		if scale.IsInf(0) {
			return fmt.Errorf("row %d: the value %g is too large to quantise", r, peak)
		}
		binary.LittleEndian.PutUint16(scales[2*b:], scale.Bits())
		switch m.Bits {
		case 8:
			put8(q[b*Block:], x, scale.Float32())
		case 4:
			put4(q[b*Block/2:], x, scale.Float32())
		case 2:
			put2(q[b*size/4:], x, scale.Float32())
		}
	}
	return nil
}

// PutBlock writes a block of GGUF's Q8_0 or Q4_0 as it is: an f16 scale and 32
// codes, of which Q4_0's come as 16 low nibbles and 16 high ones. Blocks count
// through all rows, whose length K is a multiple of [Block].
func (m Matrix) PutBlock(b int, src []byte) {
	copy(m.Data[2*b:], src[:2])
	q := m.Data[2*m.Rows*m.K/Block+b*Block*m.Bits/8:]
	if m.Bits == 8 {
		copy(q, src[2:])
		return
	}
	for i := range Block / 2 { // values 2i and 2i + 1
		from, shift := src[2+2*i%16:], 2*i/16*4
		q[i] = from[0]>>shift&15 | from[1]>>shift<<4
	}
}

// Row dequantises row r into dst, of length K: value = scale·q.
func (m Matrix) Row(r int, dst []float32) {
	scales, q := m.row(r)
	for i := range m.K {
		s := float16.Frombits(binary.LittleEndian.Uint16(scales[i/BlockOf(m.Bits)*2:])).Float32()
		switch m.Bits {
		case 8:
			dst[i] = s * float32(int8(q[i]))
		case 4:
			dst[i] = s * float32(int(q[i/2]>>(4*(i&1))&15)-8)
		case 2:
			dst[i] = s * float32(int(q[i/4]>>(2*(i&3))&3)-1)
		}
	}
}

func (m Matrix) row(r int) (scales, q []byte) {
	nb, nw := 2*blocks(m.Bits, m.K), weightBytes(m.Bits, m.K)
	weights := m.Data[m.Rows*nb:]
	return m.Data[r*nb : (r+1)*nb], weights[r*nw : (r+1)*nw]
}

// peakOf returns the value of largest magnitude with its sign; of equals, the first.
func peakOf(x []float32) (peak float32, err error) {
	for _, v := range x {
		if v-v != 0 {
			return 0, fmt.Errorf("the value %g cannot be quantised", v)
		}
		if abs(v) > abs(peak) {
			peak = v
		}
	}
	return peak, nil
}

// divisors are the scales that q4 tries: peak divided by each. −8 uses the
// whole range; −8.5 clips the peak a little for finer steps, −7.5 and 7 suit
// blocks whose far side is nearly as long. Over Gaussian weights the choice
// halves the gap between −8 alone and a search over every scale.
var divisors = [...]float32{-8, -8.5, -7.5, 7}

// bestScale4 returns the scale of least squared error; of equals, the first.
func bestScale4(x []float32, peak float32) float16.Float16 {
	var best float16.Float16
	least := math.Inf(1)
	for _, d := range divisors {
		scale := float16.Fromfloat32(peak / d)
		if e := squaredError4(x, scale.Float32()); e < least {
			best, least = scale, e
		}
	}
	if math.IsInf(least, 1) { // every scale overflows
		return float16.Fromfloat32(peak / divisors[0])
	}
	return best
}

// bestScale2 returns the scale of least squared error for the values −1, 0 and
// 1: the mean of the n largest magnitudes, for the n that saves most. A block
// that is ternary already comes out as it is.
func bestScale2(x []float32) float16.Float16 {
	sizes := make([]float64, len(x))
	for i, v := range x {
		sizes[i] = -math.Abs(float64(v))
	}
	slices.Sort(sizes)
	var sum, most, best float64
	for i, v := range sizes {
		sum -= v
		if saved := sum * sum / float64(i+1); saved > most {
			most, best = saved, sum/float64(i+1)
		}
	}
	return float16.Fromfloat32(float32(best))
}

func squaredError4(x []float32, scale float32) (sum float64) {
	if scale == 0 {
		scale = float32(math.Inf(1)) // rounds everything to 0
	}
	s := float64(scale)
	for _, v := range x {
		d := float64(v)
		if n := nearest(v, scale, -8, 7); n != 0 {
			d -= s * n
		}
		sum += float64(d * d) // the conversion keeps a CPU from fusing the sum
	}
	return sum
}

// put8 writes round(v/scale) in −127..127; a zero scale gives zeros. A scale
// that f16 rounded down hard (a subnormal) is what the clamp is for.
func put8(q []byte, x []float32, scale float32) {
	if scale == 0 {
		clear(q[:len(x)])
		return
	}
	for i, v := range x {
		q[i] = byte(int32(nearest(v, scale, -127, 127)))
	}
}

// put4 writes round(v/scale) in −8..7, 0 where the scale is 0.
func put4(q []byte, x []float32, scale float32) {
	if scale == 0 {
		scale = float32(math.Inf(1))
	}
	for i, v := range x {
		n := byte(int32(nearest(v, scale, -8, 7)) + 8)
		if i&1 == 0 {
			q[i/2] = n
		} else {
			q[i/2] |= n << 4
		}
	}
}

// put2 writes round(v/scale) in −1..1, 0 where the scale is 0.
func put2(q []byte, x []float32, scale float32) {
	if scale == 0 {
		scale = float32(math.Inf(1))
	}
	clear(q[:(len(x)+3)/4])
	for i, v := range x {
		q[i/4] |= byte(int32(nearest(v, scale, -1, 1))+1) << (2 * (i & 3))
	}
}

// nearest is v/scale, rounded to even and kept within bounds. Comparisons cost
// a fraction of min and max in WebAssembly.
func nearest(v, scale float32, lo, hi float64) float64 {
	n := math.RoundToEven(float64(v / scale))
	if n > hi {
		return hi
	}
	if n < lo {
		return lo
	}
	return n
}

func abs(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }
