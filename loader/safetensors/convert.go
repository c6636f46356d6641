package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"

	"wisp/loader/gguf"
)

// Width is the number of bytes of an element; 0 for an unknown dtype and for
// those of less than a byte or in blocks.
func Width(dtype string) int { return int(bits[dtype] / 8) }

// Block is how many elements of a dtype share a block, and its bytes: GGUF's
// quantised types come in such, of any other an element is one.
func Block(dtype string) (elems, bytes int) {
	if w := Width(dtype); w > 0 {
		return 1, w
	}
	return gguf.Block(dtype)
}

// blocked reports whether a dtype is one of GGUF's that quantise in blocks.
func blocked(dtype string) bool {
	elems, _ := gguf.Block(dtype)
	return elems > 1
}

// Readable reports whether [Float32s] or [Int32s] converts the dtype.
func Readable(dtype string) bool {
	switch dtype {
	case "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "I32", "U32", "I16", "U16", "I8", "U8", "BOOL":
		return true
	}
	return blocked(dtype) && gguf.Readable(dtype)
}

// NonFinite is the number of the first element in src that is NaN or infinite,
// -1 where there is none, as in all of an integer dtype.
func NonFinite(src []byte, dtype string) int {
	le := binary.LittleEndian
	switch dtype {
	case "F64":
		return firstOnes(len(src)/8, 0x7ff0<<48, func(i int) uint64 { return le.Uint64(src[8*i:]) })
	case "F32":
		return firstOnes(len(src)/4, 0x7f80<<16, func(i int) uint64 { return uint64(le.Uint32(src[4*i:])) })
	case "F16":
		return firstOnes(len(src)/2, 0x7c00, func(i int) uint64 { return uint64(le.Uint16(src[2*i:])) })
	case "BF16":
		return firstOnes(len(src)/2, 0x7f80, func(i int) uint64 { return uint64(le.Uint16(src[2*i:])) })
	case "F8_E4M3":
		return firstOnes(len(src), 0x7f, func(i int) uint64 { return uint64(src[i]) })
	case "F8_E5M2":
		return firstOnes(len(src), 0x7c, func(i int) uint64 { return uint64(src[i]) })
	}
	if blocked(dtype) {
		return gguf.NonFinite(src, dtype)
	}
	return -1
}

// firstOnes is the first of n elements that has all bits of mask.
func firstOnes(n int, mask uint64, at func(i int) uint64) int {
	for i := range n {
		if at(i)&mask == mask {
			return i
		}
	}
	return -1
}

// Float32s converts the elements in src, of a floating-point dtype, to dst.
// Every value of these types but F64 is exact in f32.
func Float32s(dst []float32, src []byte, dtype string) error {
	le := binary.LittleEndian
	switch dtype {
	case "F64":
		for i := range dst {
			dst[i] = float32(math.Float64frombits(le.Uint64(src[8*i:])))
		}
	case "F32":
		for i := range dst {
			dst[i] = math.Float32frombits(le.Uint32(src[4*i:]))
		}
	case "F16":
		for i := range dst {
			dst[i] = float16.Frombits(le.Uint16(src[2*i:])).Float32()
		}
	case "BF16":
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(le.Uint16(src[2*i:])) << 16)
		}
	case "F8_E4M3":
		for i := range dst {
			dst[i] = e4m3[src[i]]
		}
	case "F8_E5M2": // the upper half of an f16
		for i := range dst {
			dst[i] = float16.Frombits(uint16(src[i]) << 8).Float32()
		}
	default:
		if blocked(dtype) {
			return gguf.Float32s(dst, src, dtype)
		}
		return fmt.Errorf("safetensors: the dtype %s is not a floating-point one", dtype)
	}
	return nil
}

// Int32s converts the elements in src, of an integer dtype, to dst. A value
// outside of 32 bits is an error.
func Int32s(dst []int32, src []byte, dtype string) error {
	le := binary.LittleEndian
	for i := range dst {
		var v int64
		switch dtype {
		case "I64":
			v = int64(le.Uint64(src[8*i:]))
		case "I32":
			v = int64(int32(le.Uint32(src[4*i:])))
		case "I16":
			v = int64(int16(le.Uint16(src[2*i:])))
		case "U16":
			v = int64(le.Uint16(src[2*i:]))
		case "I8":
			v = int64(int8(src[i]))
		case "U8", "BOOL":
			v = int64(src[i])
		case "U32":
			v = int64(le.Uint32(src[4*i:]))
		default:
			return fmt.Errorf("safetensors: the dtype %s is not an integer one", dtype)
		}
		if v != int64(int32(v)) {
			return fmt.Errorf("safetensors: element %d is %d, which does not fit 32 bits", i, v)
		}
		dst[i] = int32(v)
	}
	return nil
}

// e4m3 has the value of every F8_E4M3 code (the "fn" variant of OCP FP8: bias
// 7, no infinities, all ones is NaN).
var e4m3 = func() (table [256]float32) {
	for i := range table {
		exp, man := i>>3&15, i&7
		v := math.Ldexp(float64(man), -9) // subnormal: man/8 · 2⁻⁶
		if exp > 0 {
			v = math.Ldexp(float64(8+man), exp-10)
		}
		if exp == 15 && man == 7 {
			v = math.NaN()
		}
		if i >= 128 {
			v = -v
		}
		table[i] = float32(v)
	}
	return table
}()
