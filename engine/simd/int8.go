package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

// Products of weights in int8 or two bits by int8 activations (W8A8): each row of the left
// side is scaled by its own largest element (dynamic quantisation, Yao et al.
// 2022, "ZeroQuant"), and 16-bit integer dot products sum a block of the
// weights exactly before its scale is applied. An element of the left side is
// rounded to 1/127 of its row's largest, some 1e-4 of the result's power.

// Arguments of kQuantize: rows of f32 to 16-bit integers of −127..127.
const (
	qzX      = iota // rows of k
	qzOut           // rows of k
	qzScales        // f32, what 1 stands for in each row
	qzK             // a multiple of 8
	qzWords
)

// quantize: out = x·127/max|x|, rounded. A unit is a row. What is not finite
// makes the row's scale not finite.
func (e *emitter) quantize(f *emit.Func) {
	k := arg(f, qzK)
	bytes := f.Let(k.Shl(2))
	at, x, out, top := f.Int(), f.Int(), f.Int(), f.Vector()
	units(f, func(u emit.Int) {
		f.Set(x, f.Param(0).Load(4*qzX).Add(u.Mul(bytes)))
		f.Set(out, f.Param(0).Load(4*qzOut).Add(u.Mul(bytes.Shr(1))))
		f.SetV(top, f.Splat(0))
		// as integers, magnitudes are in the same order, and what is not finite is above them
		f.Loop(at, emit.Num(0), bytes, 16, func() { f.SetV(top, top.MaxI(x.Add(at).LoadV(0).Abs())) })
		largest := f.LetF(top.Top())
		f.StoreF(f.Param(0).Load(4*qzScales).Add(u.Shl(2)), 0, largest.Mul(emit.FNum(1./127)))
		factor := f.LetV(emit.FNum(127).Div(largest).Splat())
		// next to 1.5·2^23, a float's last bit stands for 1
		unit := f.Splat(3 << 22)
		rounded := func(offset int) emit.Vec { return x.Add(at).LoadV(offset).Mul(factor).Add(unit).SubI(unit) }
		f.Loop(at, emit.Num(0), bytes, 32, func() {
			f.StoreV(out.Add(at.Shr(1)), 0, rounded(0).Narrow16(rounded(16)))
		})
	})
}

// Arguments of kLinear8 after those of kLinear, whose gmA are quantised rows.
const (
	l8Scales = gmLDA + 1 + iota // of the rows
	l8Words
)

// linear8 is linear for quantised rows and panels of Q8 or Q2.
func (e *emitter) linear8(f *emit.Func) {
	lda, scales := arg(f, gmLDA), arg(f, l8Scales)
	rowsAt, rowScales, left, sums, tile := f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	base := f.Int()
	e.matmul(f, func(a, row, rows emit.Int) {
		f.Set(base, a.Add(row.Mul(lda)))
		f.Set(tile, scales.Add(row.Shl(2)))
	}, func(p panelArgs) {
		f.Call(e.unpack8, p.w, p.scratch, p.k, p.dtype.Eq(emit.Num(int(engine.Q2))))
		f.Set(sums, p.scratch.Add(unpacked8(p.k, e.nr)))
		f.Set(rowsAt, base)
		f.Set(rowScales, tile)
		out, res := f.Let(p.out), f.Let(p.res)
		f.Set(left, p.rows)
		f.While(left.Gt(emit.Num(0)), func() {
			f.Call(e.tile8, rowsAt, lda, p.scratch, p.k, sums, rowScales, p.bias, out, p.ldo, res, p.cols, left)
			f.Set(left, left.Plus(-e.mr8()))
			f.Set(rowsAt, rowsAt.Add(lda.Times(e.mr8())))
			f.Set(rowScales, rowScales.Plus(4*e.mr8()))
			f.Set(out, out.Add(p.ldo.Times(e.mr8())))
			f.When(res, func() { f.Set(res, res.Add(p.ldo.Times(e.mr8()))) })
		})
	})
}

// unpacked8 is the size of what unpack8 writes for a panel of k elements a
// column; the sums of tile8 follow. It is less than unpackedBytes.
func unpacked8(k emit.Int, nr int) emit.Int {
	return k.Times(2 * nr).Add(quantBlocks(k, engine.Q8).Times(4 * nr))
}

// emitUnpack8 adds unpack8(src, dst, k, two): a Q8 panel, or one of Q2, to 16-bit
// integers as [k/2][nr][2], the order of the dot products, then its scales in f32,
// one for each 32 elements: a block of Q2 has four times the same.
func (e *emitter) emitUnpack8() *emit.Func {
	f := e.m.NewFunc(params(4))
	src, dst, k := f.Param(0), f.Param(1), f.Param(2)
	end := f.Let(dst.Add(k.Times(2 * e.nr)))
	scale, last := f.Let(end), f.Let(dst.Add(unpacked8(k, e.nr)))
	a, b := f.Vector(), f.Vector()
	f.When(f.Param(3), func() { e.unpackPairs(f, src, dst, end, scale, last, a, b) })
	f.While(scale.Ne(last), func() {
		f.StoreV(scale, 0, f16Finite(f, src.LoadU16x4(0)))
		f.Set(scale, scale.Plus(16))
		f.Set(src, src.Plus(8))
	})
	f.While(dst.Ne(end), func() {
		for j := 0; j < e.nr; j += 8 {
			f.SetV(a, src.LoadS8x8(j))
			f.SetV(b, src.LoadS8x8(j+e.nr))
			f.StoreV(dst, 4*j, a.LowPairs16(b))
			f.StoreV(dst, 4*j+16, a.HighPairs16(b))
		}
		f.Set(src, src.Plus(2*e.nr))
		f.Set(dst, dst.Plus(4*e.nr))
	})
	return f
}

// unpackPairs is unpack8 for Q2. It leaves the places at their ends.
func (e *emitter) unpackPairs(f *emit.Func, src, dst, end, scale, last emit.Int, a, b emit.Vec) {
	f.While(scale.Ne(last), func() {
		for v := range e.nr / 4 {
			f.SetV(a, f16Finite(f, src.LoadU16x4(8*v)))
			for same := range engine.Q2.Block() / engine.QuantBlock {
				f.StoreV(scale, 16*v+4*e.nr*same, a)
			}
		}
		f.Set(scale, scale.Plus(4*e.nr*engine.Q2.Block()/engine.QuantBlock))
		f.Set(src, src.Plus(2*e.nr))
	})
	// as in unpack, and next to 1.5·2^23 as in quantize
	mask, fold := f.LetV(emit.Lanes(3, 3<<2, 3<<4, 3<<6)), f.LetV(emit.Lanes(0x3f800000, 0x3e800000, 0x3d800000, 0x3c800000))
	unit, less := f.Splat(3<<22), f.Splat(3<<22-1)
	codes := func(at int) emit.Vec {
		return src.LoadU8(at).Splat().And(mask).ToFloat().Mul(fold).Add(less).SubI(unit)
	}
	f.While(dst.Ne(end), func() {
		for v := range e.nr / 4 {
			f.SetV(a, codes(v))
			f.SetV(b, codes(v+e.nr/4))
			f.StoreV(dst, 16*v, a.Narrow16(a).LowPairs16(b.Narrow16(b)))
		}
		f.Set(src, src.Plus(e.nr/2))
		f.Set(dst, dst.Plus(4*e.nr))
	})
}

// emitTile8 adds the tile of linear8: mr8 rows by nr columns, of which the
// first rows and cols are stored. The sums of a block stay in registers, those
// of all blocks in memory at sums: once a block there is time for it.
//
//	tile8(a, lda, w, k, sums, rowScales, bias, out, ldo, res, cols, rows)
func (e *emitter) emitTile8() *emit.Func {
	f := e.m.NewFunc(params(12))
	base, lda, at, k, sums, rowScales := f.Param(0), f.Param(1), f.Param(2), f.Param(3), f.Param(4), f.Param(5)
	bias, out, ldo, res, cols, rows := f.Param(6), f.Param(7), f.Param(8), f.Param(9), f.Param(10), f.Param(11)
	mr, nv := e.mr8(), e.nr/4
	a := f.Ints(mr)
	f.Set(a[0], base)
	for r := 1; r < mr; r++ {
		f.Set(a[r], a[r-1].Add(lda))
	}
	acc, b, s := f.Vectors(mr*nv), f.Vectors(nv), f.Vector()
	for i := range acc {
		f.StoreV(sums, 16*i, f.Splat(0))
	}
	scale := f.Let(at.Add(k.Times(2 * e.nr)))
	last := f.Let(scale.Add(quantBlocks(k, engine.Q8).Times(4 * e.nr)))
	f.While(scale.Ne(last), func() {
		for i := range engine.QuantBlock / 2 { // pairs of k
			for v := range b {
				f.SetV(b[v], at.LoadV(4*e.nr*i+16*v))
			}
			for r := range a {
				f.SetV(s, a[r].LoadSplat(4*i))
				for v := range b {
					sum := s.Dot16(b[v])
					if i > 0 {
						sum = acc[r*nv+v].AddI(sum)
					}
					f.SetV(acc[r*nv+v], sum)
				}
			}
		}
		for r := range a {
			f.Set(a[r], a[r].Plus(2*engine.QuantBlock))
		}
		f.Set(at, at.Plus(2*engine.QuantBlock*e.nr))
		for v := range b {
			f.SetV(b[v], scale.LoadV(16*v))
		}
		for i := range acc {
			f.StoreV(sums, 16*i, e.madd(acc[i].ToFloat(), b[i%nv], sums.LoadV(16*i)))
		}
		f.Set(scale, scale.Plus(4*e.nr))
	})
	for r := range mr {
		f.When(rows.Gt(emit.Num(r)), func() {
			f.SetV(s, rowScales.LoadSplat(4*r))
			for v := range b {
				f.SetV(b[v], e.madd(sums.LoadV(16*(r*nv+v)), s, bias.LoadV(16*v)))
			}
			f.When(res, func() {
				for v := range b {
					f.SetV(b[v], b[v].Add(res.LoadV(16*v)))
				}
				f.Set(res, res.Add(ldo))
			})
			f.IfElse(cols.Eq(emit.Num(e.nr)), func() {
				for v := range b {
					f.StoreV(out, 16*v, b[v])
				}
			}, func() {
				for v := range b {
					storeColumns(f, out, b[v], 4*v, cols)
				}
			})
			f.Set(out, out.Add(ldo))
		})
	}
	return f
}

// mr8 is the number of rows of tile8: a dot product takes a register before it
// is added, which a sixth row would have to do without.
func (fl flavour) mr8() int { return min(fl.mr, 5) }

// takesInt8 reports whether a product by w runs on 8-bit integers.
func (c *compiler) takesInt8(p product) bool {
	return c.b.int8 && (p.dtype == engine.Q8 || p.dtype == engine.Q2) && p.taps == 1 && p.k%p.dtype.Block() == 0 && p.m >= c.b.fl.mr
}

// rows emits a product of the rows of p.a, which follow each other.
func (c *compiler) rows(p product) {
	if !c.takesInt8(p) {
		p.extra = []any{4 * p.k}
		c.product(kLinear, p)
		return
	}
	padded := p.m + c.b.fl.mr8() // the last tile is read whole
	rows := c.workspace(padded * (2*p.k + 4))
	scales := rows.plus(2 * p.k * padded)
	c.command(kQuantize, p.m, 8*float64(p.m*p.k), p.a, rows, scales, p.k)
	p.a, p.extra = rows, []any{2 * p.k, scales}
	c.product(kLinear8, p)
}
