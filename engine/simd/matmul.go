package simd

// Arguments of kLinear and kConv2D: out = act(a·b + bias + residual), where b
// is in panels (kPackWeights, kPack, kPackT) and a is read row by row through a table of
// pointers, so that a convolution needs no im2col copy (Dukhan 2019, "The
// Indirect Convolution Algorithm"): each output pixel has one pointer a tap, to
// the channels of the input pixel under it or to zeros. A linear layer has one.
const (
	gmA         = iota
	gmW         // panels
	gmType      // engine.DType of the panels
	gmBytes     // panelBytes
	gmUnpacked  // offset in the scratch memory for a panel in f32
	gmBias      // one for each column; zeros where there is none
	gmOut       // rows of n elements
	gmRes       // residual, rows as gmOut, or 0
	gmAct       // activationCode
	gmM         // rows
	gmN         // columns
	gmLDO       // bytes between rows of out and of the residual
	gmK         // bytes of a row of a under one tap
	gmTaps      //
	gmBlock     // rows of a unit
	gmPanels    // panels of a unit
	gmColBlocks // units across the columns
	gmUnits     // units of one matrix of a batch
	gmStepA     // bytes between the matrices of a batch
	gmStepW
	gmStepOut
	gmLinearWords
)

// What follows in the arguments of kLinear and of kConv2D.
const (
	gmLDA = gmLinearWords // bytes between rows of a
	cvH   = gmLinearWords + iota - 1
	cvW
	cvOutH
	cvOutW
	cvKH
	cvKW
	cvStride
	cvTop
	cvLeft
	cvUpH // log2 of the nearest-neighbour upsampling that precedes
	cvUpW
	cvZero // address of zeros, as many as a pixel has channels
	gmConvWords
)

// emitTile adds the function that everything else rests on: for count tiles of
// rows×nr, out = a·b + bias + residual, over taps × k. The accumulators stay
// in registers; a step of k loads nr weights and splats one element of each row.
//
//	tile(ptrs, taps, k, w, bias, out, ldo, res, ldr, cols, count)
//
// ptrs holds rows pointers for each tap of each tile, k and the strides are in
// bytes, and cols ≤ nr columns are stored.
func (e *emitter) emitTile(rows int) *fn {
	f := e.m.newFunc(params(11))
	ptrs, taps, k, w, bias, out := f.param(0), f.param(1), f.param(2), f.param(3), f.param(4), f.param(5)
	ldo, res, ldr, cols, count := f.param(6), f.param(7), f.param(8), f.param(9), f.param(10)
	nv := e.nr / 4
	a := make([]i32v, rows)
	for r := range a {
		a[r] = f.int()
	}
	acc, b, s := f.vectors(rows*nv), f.vectors(nv), f.vector()
	at, end, tap, o, q := f.int(), f.int(), f.int(), f.int(), f.int()
	step := func(i int) {
		for v := range b {
			f.setV(b[v], at.loadV(4*e.nr*i+16*v))
		}
		for r := range a {
			f.setV(s, a[r].loadSplat(4*i))
			for v := range b {
				f.setV(acc[r*nv+v], e.madd(s, b[v], acc[r*nv+v]))
			}
		}
	}
	steps := func(n int) {
		f.while(a[0].ne(end), func() {
			for i := range n {
				step(i)
			}
			for r := range a {
				f.set(a[r], a[r].plus(4*n))
			}
			f.set(at, at.plus(4*e.nr*n))
		})
	}
	f.while(count, func() {
		for i := range acc {
			f.setV(acc[i], bias.loadV(16*(i%nv)))
		}
		f.set(at, w)
		f.set(tap, taps)
		f.repeat(tap, func() {
			for r := range a {
				f.set(a[r], ptrs.load(4*r))
			}
			f.set(ptrs, ptrs.plus(4*rows))
			f.set(end, a[0].add(k.and(num(-16))))
			steps(4)
			f.set(end, end.add(k.and(num(15))))
			steps(1)
			f.set(tap, tap.plus(-1))
		})
		f.when(res, func() {
			f.set(q, res)
			for r := range a {
				for v := range b {
					f.setV(acc[r*nv+v], acc[r*nv+v].add(q.loadV(16*v)))
				}
				f.set(q, q.add(ldr))
			}
			f.set(res, q)
		})
		f.set(o, out)
		f.ifElse(cols.eq(num(e.nr)), func() {
			for r := range a {
				for v := range b {
					f.storeV(o, 16*v, acc[r*nv+v])
				}
				f.set(o, o.add(ldo))
			}
		}, func() {
			for r := range a {
				for v := range b {
					f.storeColumns(o, acc[r*nv+v], 4*v, cols)
				}
				f.set(o, o.add(ldo))
			}
		})
		f.set(out, o)
		f.set(count, count.plus(-1))
	})
	return f
}

// storeColumns stores the lanes of v, columns first..first+3, that are below cols.
func (f *fn) storeColumns(row i32v, v vec, first int, cols i32v) {
	for i := range 4 {
		f.when(cols.gt(num(first+i)), func() { f.storeLane(row, 4*(first+i), v, byte(i)) })
	}
}

func params(n int) []valType {
	p := make([]valType, n)
	for i := range p {
		p[i] = i32
	}
	return p
}

// emitMicro adds micro, which is tile for any number of rows: tiles of mr
// rows, then one of what is left.
//
//	micro(ptrs, taps, k, w, bias, out, ldo, res, ldr, cols, rows)
func (e *emitter) emitMicro() *fn {
	tiles := make([]*fn, e.mr+1)
	for r := 1; r <= e.mr; r++ {
		tiles[r] = e.emitTile(r)
	}
	f := e.m.newFunc(params(11))
	ptrs, taps, out, ldo, res, ldr, rows := f.param(0), f.param(1), f.param(5), f.param(6), f.param(7), f.param(8), f.param(10)
	args := func(count i32v) []value {
		v := make([]value, 11)
		for i := range 10 {
			v[i] = f.param(i)
		}
		v[10] = count
		return v
	}
	full := f.let(rows.div(num(e.mr)))
	f.when(full, func() {
		f.call(tiles[e.mr], args(full)...)
		f.set(full, full.times(e.mr))
		f.set(rows, rows.sub(full))
		f.set(ptrs, ptrs.add(full.mul(taps).shl(2)))
		f.set(out, out.add(full.mul(ldo)))
		f.when(res, func() { f.set(res, res.add(full.mul(ldr))) })
	})
	var rest []func()
	for r := 1; r < e.mr; r++ {
		rest = append(rest, func() { f.call(tiles[r], args(num(1))...) })
	}
	f.choice(rows.plus(-1), rest...)
	return f
}

// linear multiplies rows by a packed matrix.
func (e *emitter) linear(f *fn) {
	lda := f.arg(gmLDA)
	e.matmul(f, func(a, row, rows i32v) {
		f.fillRows(scratch(), f.let(a.add(row.mul(lda))), lda, rows)
	}, e.floats(f))
}

// fillRows writes the addresses first, first+step, … as n pointers at ptrs.
func (f *fn) fillRows(ptrs, first, step, n i32v) {
	at := f.let(first)
	f.each(num(0), n, func(i i32v) {
		f.store(ptrs.add(i.shl(2)), 0, at)
		f.set(at, at.add(step))
	})
}

// conv2d convolves: row m of a is output pixel m.
func (e *emitter) conv2d(f *fn) {
	h, w, outH, outW, kh, kw := f.arg(cvH), f.arg(cvW), f.arg(cvOutH), f.arg(cvOutW), f.arg(cvKH), f.arg(cvKW)
	stride, top, left, upH, upW, zero := f.arg(cvStride), f.arg(cvTop), f.arg(cvLeft), f.arg(cvUpH), f.arg(cvUpW), f.arg(cvZero)
	k, taps := f.arg(gmK), f.arg(gmTaps)
	seenH, seenW := f.let(i32v{op1(0x74, h, upH)}), f.let(i32v{op1(0x74, w, upW)})
	m, y, x, tile, at, line, p := f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()
	e.matmul(f, func(a, row, rows i32v) {
		f.each(num(0), rows, func(i i32v) {
			f.set(m, row.add(i))
			f.set(tile, i.sub(i.rem(num(e.mr))))
			// The pointers of a tile: one run of its rows for each tap.
			run := f.let(least(num(e.mr), rows.sub(tile)).shl(2))
			f.set(at, scratch().add(tile.mul(taps).add(i).sub(tile).shl(2)))
			f.each(num(0), kh, func(ky i32v) {
				f.set(y, m.div(outW).rem(outH).mul(stride).add(ky).sub(top))
				f.set(line, m.div(outW.mul(outH)).mul(h).add(i32v{op1(0x76, y, upH)}).mul(w))
				f.set(x, m.rem(outW).mul(stride).sub(left))
				f.each(num(0), kw, func(kx i32v) {
					f.set(p, zero)
					f.when(y.below(seenH).and(x.below(seenW)), func() {
						f.set(p, a.add(line.add(i32v{op1(0x76, x, upW)}).mul(k)))
					})
					f.store(at, 0, p)
					f.set(at, at.add(run))
					f.set(x, x.plus(1))
				})
			})
		})
	}, e.floats(f))
}

// panelArgs is what a unit has for one panel.
type panelArgs struct {
	w, scratch                      i32v // the panel and room to unpack it
	k, taps, dtype                  i32v // k elements in all taps
	bias, out, ldo, res, cols, rows i32v // as in tile
}

// floats multiplies by a panel in f32. The pointers to the rows are at scratch.
func (e *emitter) floats(f *fn) func(p panelArgs) {
	panel, k := f.int(), f.arg(gmK)
	return func(p panelArgs) {
		f.set(panel, p.w)
		f.when(p.dtype, func() {
			f.call(e.unpack, p.w, p.scratch, p.k, p.taps, p.dtype)
			f.set(panel, p.scratch)
		})
		f.call(e.micro, scratch(), p.taps, k, panel, p.bias, p.out, p.ldo, p.res, p.ldo, p.cols, p.rows)
	}
}

// matmul emits the body of kLinear, kLinear8 and kConv2D. fill prepares the
// rows of a unit, multiply does one panel.
func (e *emitter) matmul(f *fn, fill func(a, row, rows i32v), multiply func(p panelArgs)) {
	w, bias, out, res, act := f.arg(gmW), f.arg(gmBias), f.arg(gmOut), f.arg(gmRes), f.arg(gmAct)
	m, n, k, taps := f.arg(gmM), f.arg(gmN), f.arg(gmK), f.arg(gmTaps)
	block, panels, colBlocks, perMatrix := f.arg(gmBlock), f.arg(gmPanels), f.arg(gmColBlocks), f.arg(gmUnits)
	stepA, stepW, stepOut := f.arg(gmStepA), f.arg(gmStepW), f.arg(gmStepOut)
	ldo := f.arg(gmLDO)
	panelBytes, dtype, kAll := f.arg(gmBytes), f.arg(gmType), f.let(k.shr(2).mul(taps))
	unpacked := f.let(scratch().add(f.param(0).load(4 * gmUnpacked)))
	matrix, unit, row, rows, col, last, wp, at := f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()
	f.units(func(u i32v) {
		f.set(matrix, u.div(perMatrix))
		f.set(unit, u.rem(perMatrix))
		f.set(row, unit.div(colBlocks).mul(block))
		f.set(rows, least(block, m.sub(row)))
		fill(f.let(f.param(0).load(4*gmA).add(matrix.mul(stepA))), row, rows)

		first := f.let(unit.rem(colBlocks).mul(panels).times(e.nr))
		f.set(last, least(first.add(panels.times(e.nr)), n))
		f.set(wp, w.add(matrix.mul(stepW)).add(first.div(num(e.nr)).mul(panelBytes)))
		base := f.let(row.mul(ldo).add(matrix.mul(stepOut)))
		f.loop(col, first, last, e.nr, func() {
			f.set(at, base.add(col.shl(2)))
			multiply(panelArgs{wp, unpacked, kAll, taps, dtype,
				bias.add(col.shl(2)), out.add(at), ldo, pick(res, res.add(at), num(0)), least(num(e.nr), n.sub(col)), rows})
			f.set(wp, wp.add(panelBytes))
		})
		f.when(act, func() {
			f.set(at, out.add(base).add(first.shl(2)))
			f.ifElse(last.sub(first).shl(2).eq(ldo), func() {
				f.call(e.act, at, at, rows.mul(n), act)
			}, func() {
				f.each(num(0), rows, func(i32v) {
					f.call(e.act, at, at, last.sub(first), act)
					f.set(at, at.add(ldo))
				})
			})
		})
	})
}
