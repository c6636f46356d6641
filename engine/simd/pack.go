package simd

import "wisp/engine"

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
func (e *emitter) convert(f *fn) {
	src, dst, rows, k, dtype := f.arg(cvSrc), f.arg(cvDst), f.arg(cvRows), f.arg(cvK), f.arg(cvDType)
	f.units(func(r i32v) {
		f.call(e.convertRow, src, dst.add(r.mul(k).shl(2)), r, rows, k, dtype)
	})
}

// emitConvertRow adds convertRow(src, dst, row, rows, k, dtype): one row of a
// stored tensor to f32 at dst. The layouts are those of engine.DType.
func (e *emitter) emitConvertRow() *fn {
	f := e.m.newFunc([]valType{i32, i32, i32, i32, i32, i32})
	src, dst, row, rows, k := f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)
	half := func(decode func(x vec) vec) func() {
		return func() {
			from := f.let(src.add(row.mul(k).shl(1)))
			f.rowVectors(k, func(at i32v, rest *i32v) {
				f.put(dst.add(at), decode(f.letV(from.add(at.shr(1)).loadU16x4(0))), rest)
			})
		}
	}
	f.choice(f.param(5),
		func() { f.copy(dst, src.add(row.mul(k).shl(2)), k.shl(2)) }, // F32
		half(func(x vec) vec { return e.f16(f, x) }),                 // F16
		half(bf16), // BF16
		func() { f.copy(dst, src.add(row.mul(k).shl(2)), k.shl(2)) }, // I32
		func() { // Q8
			q := f.let(src.add(quantBytes(rows, k)).add(row.mul(k)))
			e.dequantise(f, row, func(i i32v) i32v { return q.add(i).loadS8(0) })
		},
		func() { // Q4
			q := f.let(src.add(quantBytes(rows, k)).add(row.mul(k.plus(1).shr(1))))
			e.dequantise(f, row, func(i i32v) i32v {
				return i32v{op1(0x76, q.add(i.shr(1)).loadU8(0), i.and(num(1)).shl(2))}.and(num(15)).plus(-8)
			})
		},
	)
	return f
}

// quantBytes is the size of the scales that precede a quantised tensor's weights.
func quantBytes(rows, k i32v) i32v { return rows.mul(quantBlocks(k)).shl(1) }

func quantBlocks(k i32v) i32v { return k.plus(engine.QuantBlock - 1).div(num(engine.QuantBlock)) }

// dequantise writes scale·q(i) for the elements of a row of convertRow.
func (e *emitter) dequantise(f *fn, row i32v, q func(i i32v) i32v) {
	src, dst, k := f.param(0), f.param(1), f.param(4)
	scales := f.let(src.add(row.mul(quantBlocks(k)).shl(1)))
	scale := f.float()
	f.each(num(0), k, func(i i32v) {
		f.when(i.rem(num(engine.QuantBlock)).eqz(), func() {
			f.setF(scale, e.f16(f, scales.add(i.div(num(engine.QuantBlock)).shl(1)).loadU16(0).splat()).lane(0))
		})
		f.storeF(dst.add(i.shl(2)), 0, q(i).float().mul(scale))
	})
}

// f16 converts half floats, zero-extended to 32 bits, to f32. The exponent is
// re-biased by a multiplication, which makes subnormals come out right; the
// largest exponent is infinity or NaN.
func (e *emitter) f16(f *fn, x vec) vec {
	x = f.letV(x)
	r := f.letV(x.and(f.splatBits(0x7fff)).shlI(13).mul(f.splatBits(0x77800000))) // ·2¹¹²
	special := x.and(f.splatBits(0x7c00)).eqI(f.splatBits(0x7c00)).and(f.splatBits(0x7f800000))
	return f.letV(r.or(special).or(x.and(f.splatBits(0x8000)).shlI(16)))
}

// bf16 converts bfloat16, zero-extended to 32 bits, to f32.
func bf16(x vec) vec { return x.shlI(16) }

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
func (e *emitter) packUnits(f *fn, body func(src, dst, col i32v)) {
	k, heads, panels := f.arg(pkK), f.arg(pkHeads), f.arg(pkPanels)
	src, dst, col, matrix := f.int(), f.int(), f.int(), f.int()
	f.units(func(u i32v) {
		f.set(matrix, u.div(panels))
		f.set(col, u.rem(panels).times(e.nr))
		f.set(src, f.param(0).load(4*pkSrc).
			add(matrix.div(heads).mul(f.param(0).load(4*pkOuter))).
			add(matrix.rem(heads).mul(f.param(0).load(4*pkInner))))
		f.set(dst, f.param(0).load(4*pkDst).add(u.mul(k).times(4*e.nr)))
		body(src, dst, col)
	})
}

// pack packs b (k, n), stored by rows.
func (e *emitter) pack(f *fn) {
	stride, k := f.arg(pkStride), f.arg(pkK)
	at, i := f.int(), f.int()
	e.packUnits(f, func(src, dst, col i32v) {
		f.set(at, src.add(col.shl(2)))
		f.loop(i, num(0), k, 1, func() {
			for v := range e.nr / 4 {
				f.storeV(dst, 16*v, at.loadV(16*v))
			}
			f.set(at, at.add(stride))
			f.set(dst, dst.plus(4*e.nr))
		})
	})
}

// packT packs b given as its transpose (n, k).
func (e *emitter) packT(f *fn) {
	stride, n, k := f.arg(pkStride), f.arg(pkN), f.arg(pkK)
	rows, i, v := f.ints(e.nr), f.int(), f.vector()
	e.packUnits(f, func(src, dst, col i32v) {
		for j := range rows { // columns beyond the last repeat it
			f.set(rows[j], src.add(least(col.plus(j), n.plus(-1)).mul(stride)))
		}
		f.loop(i, num(0), k, 1, func() {
			for j := range rows {
				f.setV(v, rows[j].loadLane(0, v, byte(j%4)))
				f.set(rows[j], rows[j].plus(4))
				if j%4 == 3 {
					f.storeV(dst, 4*(j-3), v)
				}
			}
			f.set(dst, dst.plus(4*e.nr))
		})
	})
}
