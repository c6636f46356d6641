package simd

import "wisp/wasm/emit"

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
func (e *emitter) emitTile(rows int) *emit.Func {
	f := e.m.NewFunc(params(11))
	ptrs, taps, k, w, bias, out := f.Param(0), f.Param(1), f.Param(2), f.Param(3), f.Param(4), f.Param(5)
	ldo, res, ldr, cols, count := f.Param(6), f.Param(7), f.Param(8), f.Param(9), f.Param(10)
	nv := e.nr / 4
	a := make([]emit.Int, rows)
	for r := range a {
		a[r] = f.Int()
	}
	acc, b, s := f.Vectors(rows*nv), f.Vectors(nv), f.Vector()
	at, end, tap, o, q := f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	step := func(i int) {
		for v := range b {
			f.SetV(b[v], at.LoadV(4*e.nr*i+16*v))
		}
		for r := range a {
			f.SetV(s, a[r].LoadSplat(4*i))
			for v := range b {
				f.SetV(acc[r*nv+v], e.madd(s, b[v], acc[r*nv+v]))
			}
		}
	}
	steps := func(n int) {
		f.While(a[0].Ne(end), func() {
			for i := range n {
				step(i)
			}
			for r := range a {
				f.Set(a[r], a[r].Plus(4*n))
			}
			f.Set(at, at.Plus(4*e.nr*n))
		})
	}
	f.While(count, func() {
		for i := range acc {
			f.SetV(acc[i], bias.LoadV(16*(i%nv)))
		}
		f.Set(at, w)
		f.Set(tap, taps)
		f.Repeat(tap, func() {
			for r := range a {
				f.Set(a[r], ptrs.Load(4*r))
			}
			f.Set(ptrs, ptrs.Plus(4*rows))
			f.Set(end, a[0].Add(k.And(emit.Num(-16))))
			steps(4)
			f.Set(end, end.Add(k.And(emit.Num(15))))
			steps(1)
			f.Set(tap, tap.Plus(-1))
		})
		f.When(res, func() {
			f.Set(q, res)
			for r := range a {
				for v := range b {
					f.SetV(acc[r*nv+v], acc[r*nv+v].Add(q.LoadV(16*v)))
				}
				f.Set(q, q.Add(ldr))
			}
			f.Set(res, q)
		})
		f.Set(o, out)
		f.IfElse(cols.Eq(emit.Num(e.nr)), func() {
			for r := range a {
				for v := range b {
					f.StoreV(o, 16*v, acc[r*nv+v])
				}
				f.Set(o, o.Add(ldo))
			}
		}, func() {
			for r := range a {
				for v := range b {
					storeColumns(f, o, acc[r*nv+v], 4*v, cols)
				}
				f.Set(o, o.Add(ldo))
			}
		})
		f.Set(out, o)
		f.Set(count, count.Plus(-1))
	})
	return f
}

// storeColumns stores the lanes of v, columns first..first+3, that are below cols.
func storeColumns(f *emit.Func, row emit.Int, v emit.Vec, first int, cols emit.Int) {
	for i := range 4 {
		f.When(cols.Gt(emit.Num(first+i)), func() { f.StoreLane(row, 4*(first+i), v, byte(i)) })
	}
}

func params(n int) []emit.Type {
	p := make([]emit.Type, n)
	for i := range p {
		p[i] = emit.I32
	}
	return p
}

// emitMicro adds micro, which is tile for any number of rows: tiles of mr
// rows, then one of what is left.
//
//	micro(ptrs, taps, k, w, bias, out, ldo, res, ldr, cols, rows)
func (e *emitter) emitMicro() *emit.Func {
	tiles := make([]*emit.Func, e.mr+1)
	for r := 1; r <= e.mr; r++ {
		tiles[r] = e.emitTile(r)
	}
	f := e.m.NewFunc(params(11))
	ptrs, taps, out, ldo, res, ldr, rows := f.Param(0), f.Param(1), f.Param(5), f.Param(6), f.Param(7), f.Param(8), f.Param(10)
	args := func(count emit.Int) []emit.Value {
		v := make([]emit.Value, 11)
		for i := range 10 {
			v[i] = f.Param(i)
		}
		v[10] = count
		return v
	}
	full := f.Let(rows.Div(emit.Num(e.mr)))
	f.When(full, func() {
		f.Call(tiles[e.mr], args(full)...)
		f.Set(full, full.Times(e.mr))
		f.Set(rows, rows.Sub(full))
		f.Set(ptrs, ptrs.Add(full.Mul(taps).Shl(2)))
		f.Set(out, out.Add(full.Mul(ldo)))
		f.When(res, func() { f.Set(res, res.Add(full.Mul(ldr))) })
	})
	var rest []func()
	for r := 1; r < e.mr; r++ {
		rest = append(rest, func() { f.Call(tiles[r], args(emit.Num(1))...) })
	}
	f.Choice(rows.Plus(-1), rest...)
	return f
}

// linear multiplies rows by a packed matrix.
func (e *emitter) linear(f *emit.Func) {
	lda := arg(f, gmLDA)
	e.matmul(f, func(a, row, rows emit.Int) {
		fillRows(f, emit.Scratch(), f.Let(a.Add(row.Mul(lda))), lda, rows)
	}, e.floats(f))
}

// fillRows writes the addresses first, first+step, … as n pointers at ptrs.
func fillRows(f *emit.Func, ptrs, first, step, n emit.Int) {
	at := f.Let(first)
	f.Each(emit.Num(0), n, func(i emit.Int) {
		f.Store(ptrs.Add(i.Shl(2)), 0, at)
		f.Set(at, at.Add(step))
	})
}

// conv2d convolves: row m of a is output pixel m.
func (e *emitter) conv2d(f *emit.Func) {
	h, w, outH, outW, kh, kw := arg(f, cvH), arg(f, cvW), arg(f, cvOutH), arg(f, cvOutW), arg(f, cvKH), arg(f, cvKW)
	stride, top, left, upH, upW, zero := arg(f, cvStride), arg(f, cvTop), arg(f, cvLeft), arg(f, cvUpH), arg(f, cvUpW), arg(f, cvZero)
	k, taps := arg(f, gmK), arg(f, gmTaps)
	seenH, seenW := f.Let(h.ShlBy(upH)), f.Let(w.ShlBy(upW))
	m, y, x, tile, at, line, p := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	e.matmul(f, func(a, row, rows emit.Int) {
		f.Each(emit.Num(0), rows, func(i emit.Int) {
			f.Set(m, row.Add(i))
			f.Set(tile, i.Sub(i.Rem(emit.Num(e.mr))))
			// The pointers of a tile: one run of its rows for each tap.
			run := f.Let(emit.Least(emit.Num(e.mr), rows.Sub(tile)).Shl(2))
			f.Set(at, emit.Scratch().Add(tile.Mul(taps).Add(i).Sub(tile).Shl(2)))
			f.Each(emit.Num(0), kh, func(ky emit.Int) {
				f.Set(y, m.Div(outW).Rem(outH).Mul(stride).Add(ky).Sub(top))
				f.Set(line, m.Div(outW.Mul(outH)).Mul(h).Add(y.ShrBy(upH)).Mul(w))
				f.Set(x, m.Rem(outW).Mul(stride).Sub(left))
				f.Each(emit.Num(0), kw, func(kx emit.Int) {
					f.Set(p, zero)
					f.When(y.Below(seenH).And(x.Below(seenW)), func() {
						f.Set(p, a.Add(line.Add(x.ShrBy(upW)).Mul(k)))
					})
					f.Store(at, 0, p)
					f.Set(at, at.Add(run))
					f.Set(x, x.Plus(1))
				})
			})
		})
	}, e.floats(f))
}

// panelArgs is what a unit has for one panel.
type panelArgs struct {
	w, scratch                      emit.Int // the panel and room to unpack it
	k, taps, dtype                  emit.Int // k elements in all taps
	bias, out, ldo, res, cols, rows emit.Int // as in tile
}

// floats multiplies by a panel in f32. The pointers to the rows are at scratch.
func (e *emitter) floats(f *emit.Func) func(p panelArgs) {
	panel, k := f.Int(), arg(f, gmK)
	return func(p panelArgs) {
		f.Set(panel, p.w)
		f.When(p.dtype, func() {
			f.Call(e.unpack, p.w, p.scratch, p.k, p.taps, p.dtype)
			f.Set(panel, p.scratch)
		})
		f.Call(e.micro, emit.Scratch(), p.taps, k, panel, p.bias, p.out, p.ldo, p.res, p.ldo, p.cols, p.rows)
	}
}

// matmul emits the body of kLinear, kLinear8 and kConv2D. fill prepares the
// rows of a unit, multiply does one panel.
func (e *emitter) matmul(f *emit.Func, fill func(a, row, rows emit.Int), multiply func(p panelArgs)) {
	w, bias, out, res, act := arg(f, gmW), arg(f, gmBias), arg(f, gmOut), arg(f, gmRes), arg(f, gmAct)
	m, n, k, taps := arg(f, gmM), arg(f, gmN), arg(f, gmK), arg(f, gmTaps)
	block, panels, colBlocks, perMatrix := arg(f, gmBlock), arg(f, gmPanels), arg(f, gmColBlocks), arg(f, gmUnits)
	stepA, stepW, stepOut := arg(f, gmStepA), arg(f, gmStepW), arg(f, gmStepOut)
	ldo := arg(f, gmLDO)
	panelBytes, dtype, kAll := arg(f, gmBytes), arg(f, gmType), f.Let(k.Shr(2).Mul(taps))
	unpacked := f.Let(emit.Scratch().Add(f.Param(0).Load(4 * gmUnpacked)))
	matrix, unit, row, rows, col, last, wp, at := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(matrix, u.Div(perMatrix))
		f.Set(unit, u.Rem(perMatrix))
		f.Set(row, unit.Div(colBlocks).Mul(block))
		f.Set(rows, emit.Least(block, m.Sub(row)))
		fill(f.Let(f.Param(0).Load(4*gmA).Add(matrix.Mul(stepA))), row, rows)

		first := f.Let(unit.Rem(colBlocks).Mul(panels).Times(e.nr))
		f.Set(last, emit.Least(first.Add(panels.Times(e.nr)), n))
		f.Set(wp, w.Add(matrix.Mul(stepW)).Add(first.Div(emit.Num(e.nr)).Mul(panelBytes)))
		base := f.Let(row.Mul(ldo).Add(matrix.Mul(stepOut)))
		f.Loop(col, first, last, e.nr, func() {
			f.Set(at, base.Add(col.Shl(2)))
			multiply(panelArgs{wp, unpacked, kAll, taps, dtype,
				bias.Add(col.Shl(2)), out.Add(at), ldo, emit.Pick(res, res.Add(at), emit.Num(0)), emit.Least(emit.Num(e.nr), n.Sub(col)), rows})
			f.Set(wp, wp.Add(panelBytes))
		})
		f.When(act, func() {
			f.Set(at, out.Add(base).Add(first.Shl(2)))
			f.IfElse(last.Sub(first).Shl(2).Eq(ldo), func() {
				f.Call(e.act, at, at, rows.Mul(n), act)
			}, func() {
				f.Each(emit.Num(0), rows, func(emit.Int) {
					f.Call(e.act, at, at, last.Sub(first), act)
					f.Set(at, at.Add(ldo))
				})
			})
		})
	})
}
