package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"
)

// typeInfo is a type of tensor: so many elements take so many bytes.
type typeInfo struct {
	number uint64
	name   string
	elems  int
	bytes  int
	// floats gives the values of one block; nil where the type is not read.
	floats func(dst []float32, src []byte)
}

// types are those that a file may have, by ggml's numbers. One that is not
// read may be in a file as long as nobody wants it.
var types = []typeInfo{
	{0, "F32", 1, 4, f32}, {1, "F16", 1, 2, f16}, {28, "F64", 1, 8, f64}, {30, "BF16", 1, 2, bf16},
	{24, "I8", 1, 1, nil}, {25, "I16", 1, 2, nil}, {26, "I32", 1, 4, nil}, {27, "I64", 1, 8, nil},
	{2, "Q4_0", 32, 18, q4_0}, {3, "Q4_1", 32, 20, q4_1}, {6, "Q5_0", 32, 22, q5_0}, {7, "Q5_1", 32, 24, q5_1}, {8, "Q8_0", 32, 34, q8_0},
	{10, "Q2_K", 256, 84, q2K}, {11, "Q3_K", 256, 110, q3K}, {12, "Q4_K", 256, 144, q4K}, {13, "Q5_K", 256, 176, q5K}, {14, "Q6_K", 256, 210, q6K},
	{20, "IQ4_NL", 32, 18, iq4NL}, {23, "IQ4_XS", 256, 136, iq4XS}, {35, "TQ2_0", 256, 66, tq2_0},
	{9, "Q8_1", 32, 40, nil}, {15, "Q8_K", 256, 292, nil}, {16, "IQ2_XXS", 256, 66, nil}, {17, "IQ2_XS", 256, 74, nil},
	{18, "IQ3_XXS", 256, 98, nil}, {19, "IQ1_S", 256, 50, nil}, {21, "IQ3_S", 256, 110, nil}, {22, "IQ2_S", 256, 82, nil},
	{29, "IQ1_M", 256, 56, nil}, {34, "TQ1_0", 256, 54, nil}, {39, "MXFP4", 32, 17, nil}, {40, "NVFP4", 64, 36, nil}, {41, "Q1_0", 128, 18, nil},
}

var byNumber, byName = func() (map[uint64]typeInfo, map[string]typeInfo) {
	numbers, names := map[uint64]typeInfo{}, map[string]typeInfo{}
	for _, t := range types {
		numbers[t.number], names[t.name] = t, t
	}
	return numbers, names
}()

// Block is how many elements of a type share a block, and its bytes; zeros for
// a type that is not known.
func Block(name string) (elems, bytes int) {
	t := byName[name]
	return t.elems, t.bytes
}

// Readable reports whether [Float32s] converts the type.
func Readable(name string) bool { return byName[name].floats != nil }

// Float32s converts whole blocks of a type to values: dst has an element for
// each. Every value is the one that Python's gguf gives, bit for bit.
func Float32s(dst []float32, src []byte, name string) error {
	t := byName[name]
	if t.floats == nil {
		return fmt.Errorf("gguf: the type %s is not read", name)
	}
	if len(dst)%t.elems != 0 || len(src) != len(dst)/t.elems*t.bytes {
		return fmt.Errorf("gguf: %d bytes are not %d elements of %s", len(src), len(dst), name)
	}
	for ; len(dst) > 0; dst, src = dst[t.elems:], src[t.bytes:] {
		t.floats(dst[:t.elems], src[:t.bytes])
	}
	return nil
}

// Scales lists the f16 scales of blocks, for which NaN and infinity make all
// of a block so: [offset, ...] in the block of a type that has them.
var scales = map[string][]int{
	"Q4_0": {0}, "Q4_1": {0, 2}, "Q5_0": {0}, "Q5_1": {0, 2}, "Q8_0": {0}, "Q2_K": {80, 82}, "Q3_K": {108}, "Q4_K": {0, 2}, "Q5_K": {0, 2},
	"Q6_K": {208}, "IQ4_NL": {0}, "IQ4_XS": {0}, "TQ2_0": {64},
}

// NonFinite is the number of the first element whose block has a scale that is
// NaN or infinite, -1 where there is none.
func NonFinite(src []byte, name string) int {
	t := byName[name]
	for i := 0; (i+1)*t.bytes <= len(src) && t.bytes > 0; i++ {
		for _, at := range scales[name] {
			if binary.LittleEndian.Uint16(src[i*t.bytes+at:])&0x7c00 == 0x7c00 {
				return i * t.elems
			}
		}
	}
	return -1
}

// half reads an f16.
func half(b []byte) float32 { return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32() }

func f32(dst []float32, b []byte) { dst[0] = math.Float32frombits(binary.LittleEndian.Uint32(b)) }
func f64(dst []float32, b []byte) {
	dst[0] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
}
func f16(dst []float32, b []byte) { dst[0] = half(b) }
func bf16(dst []float32, b []byte) {
	dst[0] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
}

func q8_0(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:] {
		dst[i] = float32(int8(q)) * d
	}
}

// nibble is value i of 32 whose first half lies in the low nibbles.
func nibble(q []byte, i int) byte { return q[i%16] >> (i / 16 * 4) & 15 }

func q4_0(dst []float32, b []byte) {
	d := half(b)
	for i := range dst {
		dst[i] = d * float32(int(nibble(b[2:], i))-8)
	}
}

func q4_1(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	for i := range dst {
		dst[i] = float32(d*float32(nibble(b[4:], i))) + m // the conversion keeps a CPU from fusing the two
	}
}

func q5_0(dst []float32, b []byte) {
	d, high := half(b), binary.LittleEndian.Uint32(b[2:])
	for i := range dst {
		dst[i] = d * float32(int(nibble(b[6:], i))|int(high>>i&1)<<4-16)
	}
}

func q5_1(dst []float32, b []byte) {
	d, m, high := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
	for i := range dst {
		dst[i] = float32(d*float32(int(nibble(b[8:], i))|int(high>>i&1)<<4)) + m
	}
}

func iq4NL(dst []float32, b []byte) {
	d := half(b)
	for i := range dst {
		dst[i] = d * iq4Values[nibble(b[2:], i)]
	}
}

// iq4Values are the levels of IQ4, closer together where weights are many.
var iq4Values = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func iq4XS(dst []float32, b []byte) {
	d, high := half(b), binary.LittleEndian.Uint16(b[2:])
	for g := range 8 { // groups of 32 with a scale of 6 bits
		scale := int(b[4+g/2]>>(g%2*4)&15) | int(high>>(2*g)&3)<<4
		dl := d * float32(scale-32)
		for i := range 32 {
			dst[32*g+i] = dl * iq4Values[nibble(b[8+16*g:], i)]
		}
	}
}

func tq2_0(dst []float32, b []byte) {
	d := half(b[64:])
	for i := range dst {
		dst[i] = d * float32(int(pair(b, i))-1)
	}
}

// pair is value i of 256 of two bits each: of 128 in 32 bytes, those 32 apart
// share a byte.
func pair(q []byte, i int) byte { return q[i/128*32+i%32] >> (i / 32 % 4 * 2) & 3 }

func q2K(dst []float32, b []byte) {
	d, min := half(b[80:]), half(b[82:])
	for i := range dst {
		s := b[i/16]
		dl, ml := d*float32(s&15), float32(min*float32(s>>4))
		dst[i] = float32(dl*float32(pair(b[16:], i))) - ml
	}
}

func q3K(dst []float32, b []byte) {
	d := half(b[108:])
	for i := range dst {
		s := i / 16
		scale := int(b[96+s%8]>>(s/8*4)&15) | int(b[104+s%4]>>(s/4*2)&3)<<4
		q := int(pair(b[32:], i)) - 4*int(^b[i%32]>>(i/32)&1)
		dst[i] = float32(d*float32(scale-32)) * float32(q)
	}
}

// scaleMin reads the scale and the minimum of group g of 8, of 6 bits each.
func scaleMin(b []byte, g int) (scale, min float32) {
	if g < 4 {
		return float32(b[g] & 63), float32(b[4+g] & 63)
	}
	return float32(b[4+g]&15 | b[g-4]>>2&48), float32(b[4+g]>>4 | b[g]>>2&48)
}

func q4K(dst []float32, b []byte) {
	d, min := half(b), half(b[2:])
	for g := range 8 {
		s, m := scaleMin(b[4:], g)
		s, m = d*s, float32(min*m)
		for i := range 32 {
			dst[32*g+i] = float32(s*float32(b[16+g/2*32+i]>>(g%2*4)&15)) - m
		}
	}
}

func q5K(dst []float32, b []byte) {
	d, min := half(b), half(b[2:])
	for g := range 8 {
		s, m := scaleMin(b[4:], g)
		s, m = d*s, float32(min*m)
		for i := range 32 {
			q := b[48+g/2*32+i]>>(g%2*4)&15 | b[16+i]>>g&1<<4
			dst[32*g+i] = float32(s*float32(q)) - m
		}
	}
}

func q6K(dst []float32, b []byte) {
	d := half(b[208:])
	for i := range dst {
		g := i / 32 // its low bits lie 64 apart, its high ones 32
		low := b[g/4*64+i%64] >> (g % 4 / 2 * 4) & 15
		high := b[128+g/4*32+i%32] >> (g % 4 * 2) & 3
		dst[i] = float32(d*float32(int8(b[192+i/16]))) * float32(int(low|high<<4)-32)
	}
}
