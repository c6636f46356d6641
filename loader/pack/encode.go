package pack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/x448/float16"

	"wisp/loader"
	"wisp/loader/quant"
	"wisp/loader/safetensors"
)

// addPlain writes an unquantised tensor, a buffer at a time.
func (p *packer) addPlain(ctx context.Context, t safetensors.Tensor, r io.Reader, e *tensorError) error {
	if e.dtype == "i32" {
		return p.addInts(ctx, t, r)
	}
	same := map[string]string{"F32": "f32", "F16": "f16", "BF16": "bf16"}[t.DType] == e.dtype && t.Scale == 0
	return p.eachBlock(ctx, t, r, rowBuffer, func(src []byte, n int) error {
		if same {
			return p.w.append(ctx, src)
		}
		v := make([]float32, n)
		if err := floats(v, src, t); err != nil {
			return err
		}
		if e.dtype == "f32" {
			return p.w.append(ctx, f32Bytes(v))
		}
		out := make([]byte, 2*n)
		for i, x := range v {
			h := float16.Fromfloat32(x)
			binary.LittleEndian.PutUint16(out[2*i:], h.Bits())
			if p.measure {
				e.add(x, h.Float32())
			}
		}
		return p.w.append(ctx, out)
	})
}

func (p *packer) addInts(ctx context.Context, t safetensors.Tensor, r io.Reader) error {
	return p.eachBlock(ctx, t, r, rowBuffer, func(src []byte, n int) error {
		v := make([]int32, n)
		if err := safetensors.Int32s(v, src, t.DType); err != nil {
			return err
		}
		out := make([]byte, 4*n)
		for i, x := range v {
			binary.LittleEndian.PutUint32(out[4*i:], uint32(x))
		}
		return p.w.append(ctx, out)
	})
}

// addQuantised writes a quantised tensor, row by row into one buffer.
func (p *packer) addQuantised(ctx context.Context, t safetensors.Tensor, r io.Reader, e *tensorError) (loader.Place, error) {
	k := t.Elems() / t.Shape[0]
	m := quant.New(bitsOf[e.dtype], t.Shape[0], k)
	back, at := make([]float32, k), 0
	if keeps(t) == e.dtype {
		return p.addBlocks(ctx, t, r, m)
	}
	values := make([]float32, min(t.Elems(), k*rowsAtOnce(t.DType, k)))
	err := p.eachBlock(ctx, t, r, len(values), func(src []byte, n int) error {
		if err := floats(values[:n], src, t); err != nil {
			return err
		}
		for row := range slices.Chunk(values[:n], k) {
			if err := m.PutRow(at, row); err != nil {
				return err
			}
			if p.measure {
				m.Row(at, back)
				for i, x := range row {
					e.add(x, back[i])
				}
			}
			at++
		}
		return nil
	})
	if err != nil {
		return loader.Place{}, err
	}
	return p.w.put(ctx, m.Data)
}

// rowBuffer bounds the f32 values converted at a time, so that memory depends
// on the largest quantised tensor and nothing else.
const rowBuffer = 1 << 18

// rowsAtOnce is how many rows of k elements are converted at a time: whole
// blocks of the dtype.
func rowsAtOnce(dtype string, k int) int {
	rows := max(1, rowBuffer/k)
	for elems, _ := safetensors.Block(dtype); rows*k%elems != 0; {
		rows++
	}
	return rows
}

// addBlocks writes the codes of a tensor that [keeps] them.
func (p *packer) addBlocks(ctx context.Context, t safetensors.Tensor, r io.Reader, m quant.Matrix) (loader.Place, error) {
	_, size := safetensors.Block(t.DType)
	at := 0
	err := p.eachBlock(ctx, t, r, rowBuffer, func(src []byte, _ int) error {
		for ; len(src) > 0; src = src[size:] {
			m.PutBlock(at, src[:size])
			at++
		}
		return nil
	})
	if err != nil {
		return loader.Place{}, err
	}
	return p.w.put(ctx, m.Data)
}

// eachBlock is the function of that name with progress and the hash, for
// values that are finite.
func (p *packer) eachBlock(ctx context.Context, t safetensors.Tensor, r io.Reader, n int, each func(src []byte, n int) error) error {
	return eachBlock(ctx, t, r, n, func(src []byte, n int) error {
		if p.sum != nil {
			p.sum.Write(src)
		}
		if i := safetensors.NonFinite(src, t.DType); i >= 0 {
			return errors.New("it has a value that is NaN or infinite: the checkpoint is broken, and would draw black pictures")
		}
		p.progress(int64(len(src)))
		return each(src, n)
	})
}

// eachBlock reads a tensor n elements at a time, fewer at its end, until ctx
// ends.
func eachBlock(ctx context.Context, t safetensors.Tensor, r io.Reader, n int, each func(src []byte, n int) error) error {
	elems, size := safetensors.Block(t.DType)
	buf := make([]byte, min(n, t.Elems())/elems*size)
	for left := t.Elems(); left > 0; left -= n {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(n, left)
		src := buf[:n/elems*size]
		if _, err := io.ReadFull(r, src); err != nil {
			return fmt.Errorf("reading it: %w", err)
		}
		if err := each(src, n); err != nil {
			return err
		}
	}
	return nil
}

// fitsF16 reports whether every finite value stays finite in f16.
func fitsF16(ctx context.Context, t safetensors.Tensor, r *io.SectionReader) (bool, error) {
	fits := true
	err := eachBlock(ctx, t, io.NewSectionReader(r, 0, r.Size()), rowBuffer, func(src []byte, n int) error {
		v := make([]float32, n)
		if err := floats(v, src, t); err != nil {
			return err
		}
		for _, x := range v {
			if x-x == 0 && math.Abs(float64(x)) >= 65520 {
				fits = false
			}
		}
		return nil
	})
	return fits, err
}

// floats converts elements of a tensor, by the scale that its view has.
func floats(dst []float32, src []byte, t safetensors.Tensor) error {
	if err := safetensors.Float32s(dst, src, t.DType); err != nil || t.Scale == 0 {
		return err
	}
	for i := range dst {
		dst[i] *= t.Scale
	}
	return nil
}

func f32Bytes(v []float32) []byte {
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x))
	}
	return b
}
