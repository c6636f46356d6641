package enginetest

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"

	"wisp/engine"
)

// Store converts an F32 tensor to another storage type by the plainest
// rounding, to have weights in every form that a backend must read.
func Store(t engine.Tensor, d engine.DType) engine.Tensor {
	if d == engine.F32 {
		return t
	}
	out := engine.NewTensor(d, t.Shape...)
	v := t.Float32s()
	le := binary.LittleEndian
	switch d {
	case engine.F16:
		for i, x := range v {
			le.PutUint16(out.Data[2*i:], float16.Fromfloat32(x).Bits())
		}
	case engine.BF16:
		for i, x := range v {
			le.PutUint16(out.Data[2*i:], uint16(math.Float32bits(x)>>16))
		}
	case engine.Q8:
		storeBlocks(out, v, 127, func(rowStart, i, q int) { out.Data[rowStart+i] = byte(int8(q)) })
	case engine.Q4:
		storeBlocks(out, v, 7, func(rowStart, i, q int) { out.Data[rowStart+i/2] |= byte(q+8) << (4 * (i & 1)) })
	case engine.Q2:
		storeBlocks(out, v, 1, func(rowStart, i, q int) { out.Data[rowStart+i/4] |= byte(q+1+(i%7/6)) << (2 * (i & 3)) }) // 2 is there too
	}
	return out
}

// storeBlocks writes the scales and calls put for each weight with its row's
// first byte, its place in the row and its quantised value in −top..top.
func storeBlocks(out engine.Tensor, v []float32, top int, put func(rowStart, i, q int)) {
	rows, k := out.Shape.Rows()
	size := out.DType.Block()
	nb := (k + size - 1) / size
	rowBytes := (len(out.Data) - 2*rows*nb) / max(rows, 1)
	for r := range rows {
		row := v[r*k : (r+1)*k]
		for b := range nb {
			block := row[b*size : min(k, (b+1)*size)]
			var absmax float64
			for _, x := range block {
				absmax = max(absmax, math.Abs(float64(x)))
			}
			scale := float16.Fromfloat32(float32(absmax / float64(top)))
			binary.LittleEndian.PutUint16(out.Data[2*(r*nb+b):], scale.Bits())
			for i, x := range block {
				q := 0
				if s := scale.Float32(); s != 0 {
					q = min(max(int(math.RoundToEven(float64(x/s))), -top), top)
				}
				put(2*rows*nb+r*rowBytes, b*size+i, q)
			}
		}
	}
}
