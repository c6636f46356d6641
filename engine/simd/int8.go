package simd

import "wisp/engine"

// Products of int8 weights by int8 activations (W8A8): each row of the left
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
func (e *emitter) quantize(f *fn) {
	k := f.arg(qzK)
	bytes := f.let(k.shl(2))
	at, x, out, top := f.int(), f.int(), f.int(), f.vector()
	f.units(func(u i32v) {
		f.set(x, f.param(0).load(4*qzX).add(u.mul(bytes)))
		f.set(out, f.param(0).load(4*qzOut).add(u.mul(bytes.shr(1))))
		f.setV(top, f.splat(0))
		// as integers, magnitudes are in the same order, and what is not finite is above them
		f.loop(at, num(0), bytes, 16, func() { f.setV(top, top.maxI(x.add(at).loadV(0).abs())) })
		largest := f.letF(top.top())
		f.storeF(f.param(0).load(4*qzScales).add(u.shl(2)), 0, largest.mul(fnum(1./127)))
		factor := f.letV(fnum(127).div(largest).splat())
		// next to 1.5·2^23, a float's last bit stands for 1
		unit := f.splat(3 << 22)
		rounded := func(offset int) vec { return x.add(at).loadV(offset).mul(factor).add(unit).subI(unit) }
		f.loop(at, num(0), bytes, 32, func() {
			f.storeV(out.add(at.shr(1)), 0, rounded(0).narrow16(rounded(16)))
		})
	})
}

// Arguments of kLinear8 after those of kLinear, whose gmA are quantised rows.
const (
	l8Scales = gmLDA + 1 + iota // of the rows
	l8Words
)

// linear8 is linear for quantised rows and panels of Q8.
func (e *emitter) linear8(f *fn) {
	lda, scales := f.arg(gmLDA), f.arg(l8Scales)
	rowsAt, rowScales, left, sums, tile := f.int(), f.int(), f.int(), f.int(), f.int()
	base := f.int()
	e.matmul(f, func(a, row, rows i32v) {
		f.set(base, a.add(row.mul(lda)))
		f.set(tile, scales.add(row.shl(2)))
	}, func(p panelArgs) {
		f.call(e.unpack8, p.w, p.scratch, p.k)
		f.set(sums, p.scratch.add(unpacked8(p.k, e.nr)))
		f.set(rowsAt, base)
		f.set(rowScales, tile)
		out, res := f.let(p.out), f.let(p.res)
		f.set(left, p.rows)
		f.while(left.gt(num(0)), func() {
			f.call(e.tile8, rowsAt, lda, p.scratch, p.k, sums, rowScales, p.bias, out, p.ldo, res, p.cols, left)
			f.set(left, left.plus(-e.mr8()))
			f.set(rowsAt, rowsAt.add(lda.times(e.mr8())))
			f.set(rowScales, rowScales.plus(4*e.mr8()))
			f.set(out, out.add(p.ldo.times(e.mr8())))
			f.when(res, func() { f.set(res, res.add(p.ldo.times(e.mr8()))) })
		})
	})
}

// unpacked8 is the size of what unpack8 writes for a panel of k elements a
// column; the sums of tile8 follow. It is less than unpackedBytes.
func unpacked8(k i32v, nr int) i32v {
	return k.times(2 * nr).add(quantBlocks(k).times(4 * nr))
}

// emitUnpack8 adds unpack8(src, dst, k): a Q8 panel to 16-bit integers as
// [k/2][nr][2], the order of the dot products, then its scales in f32.
func (e *emitter) emitUnpack8() *fn {
	f := e.m.newFunc(params(3))
	src, dst, k := f.param(0), f.param(1), f.param(2)
	end := f.let(dst.add(k.times(2 * e.nr)))
	scale, last := f.let(end), f.let(dst.add(unpacked8(k, e.nr)))
	f.while(scale.ne(last), func() {
		f.storeV(scale, 0, f16Finite(f, src.loadU16x4(0)))
		f.set(scale, scale.plus(16))
		f.set(src, src.plus(8))
	})
	a, b := f.vector(), f.vector()
	f.while(dst.ne(end), func() {
		for j := 0; j < e.nr; j += 8 {
			f.setV(a, src.loadS8x8(j))
			f.setV(b, src.loadS8x8(j+e.nr))
			f.storeV(dst, 4*j, a.lowPairs16(b))
			f.storeV(dst, 4*j+16, a.highPairs16(b))
		}
		f.set(src, src.plus(2*e.nr))
		f.set(dst, dst.plus(4*e.nr))
	})
	return f
}

// emitTile8 adds the tile of linear8: mr8 rows by nr columns, of which the
// first rows and cols are stored. The sums of a block stay in registers, those
// of all blocks in memory at sums: once a block there is time for it.
//
//	tile8(a, lda, w, k, sums, rowScales, bias, out, ldo, res, cols, rows)
func (e *emitter) emitTile8() *fn {
	f := e.m.newFunc(params(12))
	base, lda, at, k, sums, rowScales := f.param(0), f.param(1), f.param(2), f.param(3), f.param(4), f.param(5)
	bias, out, ldo, res, cols, rows := f.param(6), f.param(7), f.param(8), f.param(9), f.param(10), f.param(11)
	mr, nv := e.mr8(), e.nr/4
	a := f.ints(mr)
	f.set(a[0], base)
	for r := 1; r < mr; r++ {
		f.set(a[r], a[r-1].add(lda))
	}
	acc, b, s := f.vectors(mr*nv), f.vectors(nv), f.vector()
	for i := range acc {
		f.storeV(sums, 16*i, f.splat(0))
	}
	scale := f.let(at.add(k.times(2 * e.nr)))
	last := f.let(scale.add(quantBlocks(k).times(4 * e.nr)))
	f.while(scale.ne(last), func() {
		for i := range engine.QuantBlock / 2 { // pairs of k
			for v := range b {
				f.setV(b[v], at.loadV(4*e.nr*i+16*v))
			}
			for r := range a {
				f.setV(s, a[r].loadSplat(4*i))
				for v := range b {
					sum := s.dot16(b[v])
					if i > 0 {
						sum = acc[r*nv+v].addI(sum)
					}
					f.setV(acc[r*nv+v], sum)
				}
			}
		}
		for r := range a {
			f.set(a[r], a[r].plus(2*engine.QuantBlock))
		}
		f.set(at, at.plus(2*engine.QuantBlock*e.nr))
		for v := range b {
			f.setV(b[v], scale.loadV(16*v))
		}
		for i := range acc {
			f.storeV(sums, 16*i, e.madd(acc[i].toFloat(), b[i%nv], sums.loadV(16*i)))
		}
		f.set(scale, scale.plus(4*e.nr))
	})
	for r := range mr {
		f.when(rows.gt(num(r)), func() {
			f.setV(s, rowScales.loadSplat(4*r))
			for v := range b {
				f.setV(b[v], e.madd(sums.loadV(16*(r*nv+v)), s, bias.loadV(16*v)))
			}
			f.when(res, func() {
				for v := range b {
					f.setV(b[v], b[v].add(res.loadV(16*v)))
				}
				f.set(res, res.add(ldo))
			})
			f.ifElse(cols.eq(num(e.nr)), func() {
				for v := range b {
					f.storeV(out, 16*v, b[v])
				}
			}, func() {
				for v := range b {
					f.storeColumns(out, b[v], 4*v, cols)
				}
			})
			f.set(out, out.add(ldo))
		})
	}
	return f
}

// mr8 is the number of rows of tile8: a dot product takes a register before it
// is added, which a sixth row would have to do without.
func (fl flavour) mr8() int { return min(fl.mr, 5) }

// takesInt8 reports whether a product by w runs on 8-bit integers.
func (c *compiler) takesInt8(p product) bool {
	return c.b.int8 && p.dtype == engine.Q8 && p.taps == 1 && p.k%engine.QuantBlock == 0 && p.m >= c.b.fl.mr
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
