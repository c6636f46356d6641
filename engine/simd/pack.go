package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

// Arguments of kConvert: rows of a weight of any type to f32.
const (
	cvSrc = iota // address of the stored tensor
	cvDst
	cvRows
	cvK     // elements a row
	cvDType // engine.DType
	cvWords
)

// convert: dst[r,·] = f32(src[r,·]). A unit is a row.
func (e *emitter) convert(f *emit.Func) {
	src, dst, rows, k, dtype := arg(f, cvSrc), arg(f, cvDst), arg(f, cvRows), arg(f, cvK), arg(f, cvDType)
	units(f, func(r emit.Int) {
		f.Call(e.convertRow, src, dst.Add(r.Mul(k).Shl(2)), r, rows, k, dtype)
	})
}

// emitConvertRow adds convertRow(src, dst, row, rows, k, dtype): one row of a
// stored tensor to f32 at dst. The layouts are those of engine.DType.
func (e *emitter) emitConvertRow() *emit.Func {
	f := e.m.NewFunc([]emit.Type{emit.I32, emit.I32, emit.I32, emit.I32, emit.I32, emit.I32})
	src, dst, row, rows, k := f.Param(0), f.Param(1), f.Param(2), f.Param(3), f.Param(4)
	half := func(decode func(x emit.Vec) emit.Vec) func() {
		return func() {
			from := f.Let(src.Add(row.Mul(k).Shl(1)))
			rowVectors(f, k, func(at emit.Int, rest *emit.Int) {
				put(f, dst.Add(at), decode(f.LetV(from.Add(at.Shr(1)).LoadU16x4(0))), rest)
			})
		}
	}
	f.Choice(f.Param(5),
		func() { f.Copy(dst, src.Add(row.Mul(k).Shl(2)), k.Shl(2)) }, // F32
		half(func(x emit.Vec) emit.Vec { return e.f16(f, x) }),       // F16
		half(bf16), // BF16
		func() { f.Copy(dst, src.Add(row.Mul(k).Shl(2)), k.Shl(2)) }, // I32
		func() { // Q8
			q := f.Let(src.Add(quantBytes(rows, k, engine.Q8)).Add(row.Mul(k)))
			e.dequantise(f, row, engine.Q8, func(i emit.Int) emit.Int { return q.Add(i).LoadS8(0) })
		},
		func() { // Q4
			q := f.Let(src.Add(quantBytes(rows, k, engine.Q4)).Add(row.Mul(k.Plus(1).Shr(1))))
			e.dequantise(f, row, engine.Q4, func(i emit.Int) emit.Int {
				return q.Add(i.Shr(1)).LoadU8(0).ShrBy(i.And(emit.Num(1)).Shl(2)).And(emit.Num(15)).Plus(-8)
			})
		},
		func() { // Q2
			q := f.Let(src.Add(quantBytes(rows, k, engine.Q2)).Add(row.Mul(k.Plus(3).Shr(2))))
			e.dequantise(f, row, engine.Q2, func(i emit.Int) emit.Int { return pair(q, i).Plus(-1) })
		},
	)
	return f
}

// quantBytes is the size of the scales that precede a quantised tensor's weights.
func quantBytes(rows, k emit.Int, d engine.DType) emit.Int {
	return rows.Mul(quantBlocks(k, d)).Shl(1)
}

func quantBlocks(k emit.Int, d engine.DType) emit.Int {
	return k.Plus(d.Block() - 1).Div(emit.Num(d.Block()))
}

// pair is the two bits of element i of a row of Q2.
func pair(row, i emit.Int) emit.Int {
	return row.Add(i.Shr(2)).LoadU8(0).ShrBy(i.And(emit.Num(3)).Shl(1)).And(emit.Num(3))
}

// dequantise writes scale·q(i) for the elements of a row of convertRow.
func (e *emitter) dequantise(f *emit.Func, row emit.Int, d engine.DType, q func(i emit.Int) emit.Int) {
	src, dst, k := f.Param(0), f.Param(1), f.Param(4)
	scales := f.Let(src.Add(row.Mul(quantBlocks(k, d)).Shl(1)))
	scale := f.Float()
	f.Each(emit.Num(0), k, func(i emit.Int) {
		f.When(i.Rem(emit.Num(d.Block())).Eqz(), func() {
			f.SetF(scale, e.f16(f, scales.Add(i.Div(emit.Num(d.Block())).Shl(1)).LoadU16(0).Splat()).Lane(0))
		})
		f.StoreF(dst.Add(i.Shl(2)), 0, q(i).Float().Mul(scale))
	})
}

// f16 converts half floats, zero-extended to 32 bits, to f32. The exponent is
// re-biased by a multiplication, which makes subnormals come out right; the
// largest exponent is infinity or NaN.
func (e *emitter) f16(f *emit.Func, x emit.Vec) emit.Vec {
	x = f.LetV(x)
	r := f.LetV(x.And(f.SplatBits(0x7fff)).ShlI(13).Mul(f.SplatBits(0x77800000))) // ·2¹¹²
	special := x.And(f.SplatBits(0x7c00)).EqI(f.SplatBits(0x7c00)).And(f.SplatBits(0x7f800000))
	return f.LetV(r.Or(special).Or(x.And(f.SplatBits(0x8000)).ShlI(16)))
}

// bf16 converts bfloat16, zero-extended to 32 bits, to f32.
func bf16(x emit.Vec) emit.Vec { return x.ShlI(16) }

// Arguments of kPack and kPackT: f32 matrices b to panels. Panel p holds columns
// p·nr to p·nr+nr−1 as [k][nr], the order in which the matmul tile reads it;
// columns beyond n hold anything. Several matrices of two batch dimensions may
// be packed at once.
const (
	pkSrc    = iota
	pkStride // bytes between rows of the source
	pkDst
	pkN
	pkK
	pkHeads  // size of the inner batch dimension
	pkOuter  // bytes between matrices of the outer batch dimension
	pkInner  // bytes between matrices of the inner batch dimension
	pkPanels // panels a matrix: ceil(n/nr)
	pkWords
)

// packUnits runs body for each unit of a pack command, one panel, with the
// address of its matrix, its destination and its first column.
func (e *emitter) packUnits(f *emit.Func, body func(src, dst, col emit.Int)) {
	k, heads, panels := arg(f, pkK), arg(f, pkHeads), arg(f, pkPanels)
	src, dst, col, matrix := f.Int(), f.Int(), f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(matrix, u.Div(panels))
		f.Set(col, u.Rem(panels).Times(e.nr))
		f.Set(src, f.Param(0).Load(4*pkSrc).
			Add(matrix.Div(heads).Mul(f.Param(0).Load(4*pkOuter))).
			Add(matrix.Rem(heads).Mul(f.Param(0).Load(4*pkInner))))
		f.Set(dst, f.Param(0).Load(4*pkDst).Add(u.Mul(k).Times(4*e.nr)))
		body(src, dst, col)
	})
}

// pack packs b (k, n), stored by rows.
func (e *emitter) pack(f *emit.Func) {
	stride, k := arg(f, pkStride), arg(f, pkK)
	at, i := f.Int(), f.Int()
	e.packUnits(f, func(src, dst, col emit.Int) {
		f.Set(at, src.Add(col.Shl(2)))
		f.Loop(i, emit.Num(0), k, 1, func() {
			for v := range e.nr / 4 {
				f.StoreV(dst, 16*v, at.LoadV(16*v))
			}
			f.Set(at, at.Add(stride))
			f.Set(dst, dst.Plus(4*e.nr))
		})
	})
}

// packT packs b given as its transpose (n, k).
func (e *emitter) packT(f *emit.Func) {
	stride, n, k := arg(f, pkStride), arg(f, pkN), arg(f, pkK)
	rows, i, v := f.Ints(e.nr), f.Int(), f.Vector()
	e.packUnits(f, func(src, dst, col emit.Int) {
		for j := range rows { // columns beyond the last repeat it
			f.Set(rows[j], src.Add(emit.Least(col.Plus(j), n.Plus(-1)).Mul(stride)))
		}
		f.Loop(i, emit.Num(0), k, 1, func() {
			for j := range rows {
				f.SetV(v, rows[j].LoadLane(0, v, byte(j%4)))
				f.Set(rows[j], rows[j].Plus(4))
				if j%4 == 3 {
					f.StoreV(dst, 4*(j-3), v)
				}
			}
			f.Set(dst, dst.Plus(4*e.nr))
		})
	})
}
