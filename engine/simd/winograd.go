package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

// Winograd's minimal filtering F(4×4, 3×3), Lavin & Gray 2016: a 3×3
// convolution of stride 1 in tiles of 4×4 output pixels, from 6×6 input pixels.
// Input tiles and filters are transformed, multiplied pointwise, which over
// channels makes 36 matrix products, and transformed back: 36 multiplications
// where there were 144. The transforms have factors up to 8, which costs about
// a decimal digit: some 1e-6 relative to the largest value.
//
//	V = Bᵀ d B    U = G g Gᵀ    out = Aᵀ (ΣU·V) A
const (
	winoTile = 4 // output pixels of a tile, each way
	winoSide = 6 // input pixels of a tile
	winoMats = winoSide * winoSide
)

// Arguments of kWinogradInput: V of some tiles, 36 matrices (tiles, c).
const (
	wiX      = iota // (n, h, w, c)
	wiV             //
	wiH             //
	wiW             //
	wiC             // bytes of a pixel
	wiAcross        // tiles in a row of an image
	wiTiles         // tiles of an image
	wiTop           // padding
	wiLeft          //
	wiUpH           // log2 of the nearest-neighbour upsampling that precedes
	wiUpW           //
	wiZero          // address of zeros, as many as a pixel has channels
	wiFirst         // first tile
	wiStep          // bytes of one matrix
	wiWords
)

// winogradInput transforms input tiles. A unit is a tile.
func (e *emitter) winogradInput(f *emit.Func) {
	transform, v, c := e.inputTile(f), arg(f, wiV), arg(f, wiC)
	units(f, func(u emit.Int) { transform(u, v.Add(u.Mul(c))) })
}

// inputTile returns what transforms a tile into row to of the first matrix and
// the same of the others. Its 36 pixels are found once, padding being a pixel
// of zeros.
func (e *emitter) inputTile(f *emit.Func) func(u, to emit.Int) {
	h, w, c, upH, upW := arg(f, wiH), arg(f, wiW), arg(f, wiC), arg(f, wiUpH), arg(f, wiUpW)
	across, tiles, zero, step := arg(f, wiAcross), arg(f, wiTiles), arg(f, wiZero), arg(f, wiStep)
	seenH, seenW := f.Let(h.ShlBy(upH)), f.Let(w.ShlBy(upW))
	tile, base, dst, top, left, y, x, p, at := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	d, t := f.Vectors(2*winoSide), f.Vector()
	return func(u, to emit.Int) {
		to = f.Let(to)
		f.Set(tile, f.Param(0).Load(4*wiFirst).Add(u))
		f.Set(base, tile.Div(tiles).Mul(h))
		f.Set(tile, tile.Rem(tiles))
		f.Set(dst, emit.Scratch())
		f.Set(top, tile.Div(across).Times(winoTile).Sub(f.Param(0).Load(4*wiTop)))
		f.Set(left, tile.Rem(across).Times(winoTile).Sub(f.Param(0).Load(4*wiLeft)))
		f.Each(emit.Num(0), emit.Num(winoSide), func(i emit.Int) {
			f.Set(y, top.Add(i))
			line := f.Let(base.Add(y.ShrBy(upH)).Mul(w))
			f.Set(x, left)
			f.Each(emit.Num(0), emit.Num(winoSide), func(emit.Int) {
				f.Set(p, zero)
				f.When(y.Below(seenH).And(x.Below(seenW)), func() {
					f.Set(p, f.Param(0).Load(4*wiX).Add(line.Add(x.ShrBy(upW)).Mul(c)))
				})
				f.Store(dst, 0, p)
				f.Set(dst, dst.Plus(4))
				f.Set(x, x.Plus(1))
			})
		})
		f.Loop(at, emit.Num(0), c, 16, func() {
			// A row or two of Bᵀd at a time, from the pixels: with all 36 values at
			// hand, most would lie in memory anyway.
			pixel := func(i, j int) emit.Vec { return emit.Scratch().Load(4 * (i*winoSide + j)).Add(at).LoadV(0) }
			p := f.Let(to.Add(at))
			row := func(d []emit.Vec) {
				e.winoB(f, d)
				for _, v := range d {
					f.StoreV(p, 0, v)
					f.Set(p, p.Add(step))
				}
			}
			first, second := d[:winoSide], d[winoSide:]
			for j, v := range first {
				f.SetV(v, e.madd(pixel(2, j), f.Splat(-5), e.madd(pixel(0, j), f.Splat(4), pixel(4, j))))
			}
			row(first)
			for j, v := range first { // even − odd and even + odd
				f.SetV(v, e.madd(pixel(2, j), f.Splat(-4), pixel(4, j)))
				f.SetV(t, e.madd(pixel(1, j), f.Splat(-4), pixel(3, j)))
				f.SetV(second[j], v.Sub(t))
				f.SetV(v, v.Add(t))
			}
			row(first)
			row(second)
			for j, v := range first {
				f.SetV(v, pixel(4, j).Sub(pixel(2, j)))
				f.SetV(t, pixel(3, j).Sub(pixel(1, j)))
				f.SetV(second[j], e.madd(t, f.Splat(-2), v))
				f.SetV(v, e.madd(t, f.Splat(2), v))
			}
			row(first)
			row(second)
			for j, v := range first {
				f.SetV(v, e.madd(pixel(3, j), f.Splat(-5), e.madd(pixel(1, j), f.Splat(4), pixel(5, j))))
			}
			row(first)
		})
	}
}

// winoB replaces d by Bᵀd.
func (e *emitter) winoB(f *emit.Func, d []emit.Vec) {
	even, odd := f.LetV(e.madd(d[2], f.Splat(-4), d[4])), f.LetV(e.madd(d[1], f.Splat(-4), d[3]))
	first := e.madd(d[2], f.Splat(-5), e.madd(d[0], f.Splat(4), d[4]))
	last := e.madd(d[3], f.Splat(-5), e.madd(d[1], f.Splat(4), d[5]))
	e2, o2 := f.LetV(d[4].Sub(d[2])), f.LetV(d[3].Sub(d[1]))
	f.SetV(d[0], first)
	f.SetV(d[5], last)
	f.SetV(d[1], even.Add(odd))
	f.SetV(d[2], even.Sub(odd))
	f.SetV(d[3], e.madd(o2, f.Splat(2), e2))
	f.SetV(d[4], e.madd(o2, f.Splat(-2), e2))
}

// Arguments of kWinogradWeights: U from weights packed for direct convolution.
const (
	wwSrc    = iota // panels (9, c, nr)
	wwType          // engine.DType of the panels
	wwBytes         // panelBytes
	wwU             // 36 matrices, each packed in panels (c, nr)
	wwC             //
	wwPanels        // of a matrix
	wwWords
)

// winogradWeights transforms weights. A unit is a panel.
func (e *emitter) winogradWeights(f *emit.Func) {
	c, panels, dtype := arg(f, wwC), arg(f, wwPanels), arg(f, wwType)
	row := f.Let(c.Times(4 * e.nr)) // bytes of one tap or matrix of a panel
	step := f.Let(row.Mul(panels))
	src, dst, at, p := f.Int(), f.Int(), f.Int(), f.Int()
	g, half := f.Vectors(9), f.Vectors(3*winoSide)
	out := f.Vectors(winoSide)
	units(f, func(u emit.Int) {
		f.Set(src, f.Param(0).Load(4*wwSrc).Add(u.Mul(f.Param(0).Load(4*wwBytes))))
		f.When(dtype, func() {
			f.Call(e.unpack, src, emit.Scratch(), c.Times(9), emit.Num(9), dtype)
			f.Set(src, emit.Scratch())
		})
		f.Set(dst, f.Param(0).Load(4*wwU).Add(u.Mul(row)))
		f.Loop(at, emit.Num(0), row, 16, func() {
			f.Set(p, src.Add(at))
			for i := range g {
				f.SetV(g[i], p.LoadV(0))
				f.Set(p, p.Add(row))
			}
			for i := range 3 { // half = G g, (6, 3)
				e.winoG(f, g[i], g[3+i], g[6+i], out)
				for j, v := range out {
					f.SetV(half[3*j+i], v)
				}
			}
			f.Set(p, dst.Add(at))
			for j := range winoSide {
				e.winoG(f, half[3*j], half[3*j+1], half[3*j+2], out)
				for _, v := range out {
					f.StoreV(p, 0, v)
					f.Set(p, p.Add(step))
				}
			}
		})
	})
}

// winoG sets out to G (a, b, c)ᵀ.
func (e *emitter) winoG(f *emit.Func, a, b, c emit.Vec, out []emit.Vec) {
	ends := f.LetV(a.Add(c).Mul(f.Splat(-1. / 6)))
	far := f.LetV(e.madd(a, f.Splat(1./24), c.Mul(f.Splat(1./6))))
	f.SetV(out[0], a.Mul(f.Splat(0.25)))
	f.SetV(out[1], e.madd(b, f.Splat(-1./6), ends))
	f.SetV(out[2], e.madd(b, f.Splat(1./6), ends))
	f.SetV(out[3], e.madd(b, f.Splat(1./12), far))
	f.SetV(out[4], e.madd(b, f.Splat(-1./12), far))
	f.SetV(out[5], c)
}

// Arguments of kWinogradOutput: some channels of the result from 36 matrices
// (tiles, those channels).
const (
	woM      = iota
	woOut    // first of the channels in (n, h, w, c)
	woRes    // residual as out, or 0
	woBias   //
	woAct    // activationCode
	woH      //
	woW      //
	woC      // bytes of a pixel
	woPart   // bytes of the channels at hand
	woAcross // as in kWinogradInput
	woTiles  //
	woFirst  //
	woStep   // bytes of one matrix
	woWords
)

// winogradOutput transforms products back and finishes them. A unit is a tile.
func (e *emitter) winogradOutput(f *emit.Func) {
	transform, m, part := e.outputTile(f, 0), arg(f, woM), arg(f, woPart)
	units(f, func(u emit.Int) { transform(u, m.Add(u.Mul(part))) })
}

// outputTile returns what transforms row from of the first matrix and the same
// of the others into a tile of the result. Its arguments begin at word first.
func (e *emitter) outputTile(f *emit.Func, first int) func(u, from emit.Int) {
	arg := func(i int) emit.Int { return arg(f, first+i) }
	h, w, c, part, across, tiles, step := arg(woH), arg(woW), arg(woC), arg(woPart), arg(woAcross), arg(woTiles), arg(woStep)
	res, act, out, bias, skip := arg(woRes), arg(woAct), arg(woOut), arg(woBias), arg(woFirst)
	tile, y, x, at, p, begin, pixel := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	line := f.Let(w.Mul(c)) // bytes
	m, t := f.Vectors(winoSide), f.Vectors(winoTile*winoSide)
	o, b := f.Vectors(winoTile), f.Vector()
	// ReLU is a lower bound, the other activations are calls.
	relu := int(activationCode(engine.OpReLU))
	floor := f.LetV(f.Splat(negInf))
	f.When(act.Eq(emit.Num(relu)), func() {
		f.SetV(floor, f.Splat(0))
		f.Set(act, emit.Num(0))
	})
	// pixels runs body for the pixels of column j of the tile, with pixel at the
	// byte offset: all of them, or those inside the image.
	pixels := func(j int, whole bool, body func(i int)) {
		f.Set(pixel, begin.Add(c.Times(j)).Add(at))
		for i := range winoTile {
			if whole {
				body(i)
			} else {
				f.When(y.Plus(i).Lt(h).And(x.Plus(j).Lt(w)), func() { body(i) })
			}
			f.Set(pixel, pixel.Add(line))
		}
	}
	store := func(whole bool) {
		for j := range winoTile {
			e.winoA(f, t[j*winoSide:(j+1)*winoSide], o)
			pixels(j, whole, func(i int) {
				f.SetV(o[i], o[i].Add(b))
				f.When(res, func() { f.SetV(o[i], o[i].Add(res.Add(pixel).LoadV(0))) })
				f.StoreV(out.Add(pixel), 0, o[i].Pmax(floor))
			})
		}
	}
	return func(u, from emit.Int) {
		f.Set(tile, skip.Add(u))
		f.Set(y, tile.Rem(tiles).Div(across).Times(winoTile))
		f.Set(x, tile.Rem(tiles).Rem(across).Times(winoTile))
		f.Set(begin, tile.Div(tiles).Mul(h).Add(y).Mul(w).Add(x).Mul(c))
		whole := f.Let(y.Plus(winoTile - 1).Lt(h).And(x.Plus(winoTile - 1).Lt(w)))
		f.Loop(at, emit.Num(0), part, 16, func() {
			f.Set(p, from.Add(at))
			for i := range winoSide { // t = (M A)ᵀ, row by row of M
				for j := range m {
					f.SetV(m[j], p.LoadV(0))
					f.Set(p, p.Add(step))
				}
				e.winoA(f, m, o)
				for j, v := range o {
					f.SetV(t[j*winoSide+i], v)
				}
			}
			f.SetV(b, bias.Add(at).LoadV(0))
			f.IfElse(whole, func() { store(true) }, func() { store(false) })
		})
		f.When(act, func() {
			f.Set(at, emit.Num(0))
			for j := range winoTile {
				pixels(j, false, func(int) { f.Call(e.act, out.Add(pixel), out.Add(pixel), part.Shr(2), act) })
			}
		})
	}
}

// winoA sets out to Aᵀm.
func (e *emitter) winoA(f *emit.Func, m, out []emit.Vec) {
	a, b := f.LetV(m[1].Add(m[2])), f.LetV(m[1].Sub(m[2]))
	c, d := f.LetV(m[3].Add(m[4])), f.LetV(m[3].Sub(m[4]))
	f.SetV(out[0], m[0].Add(a).Add(c))
	f.SetV(out[1], e.madd(d, f.Splat(2), b))
	f.SetV(out[2], e.madd(c, f.Splat(4), a))
	f.SetV(out[3], e.madd(d, f.Splat(8), b).Add(m[5]))
}

// Arguments of kWinograd: those of kWinogradInput, but for wiV, and of
// kWinogradOutput, but for woM, since its matrices are in the scratch memory.
const (
	wfOutput = wiWords
	wfU      = wiWords + woWords + iota - 1 // 36 matrices, each packed in panels (c, nr)
	wfN                                     // columns
	wfZero                                  // address of nr zeros
	wfCount                                 // tiles of all images
	wfBlock                                 // tiles of a unit
	wfWords
)

// fusedHead is the scratch memory before the matrices: pointers to pixels, then
// to the rows of a matrix.
const fusedHead = 4*winoMats + 4*fusedBlock

// fusedBlock is the largest block of tiles of a unit of kWinograd.
const fusedBlock = 24

// winogradFused does all three steps for a block of tiles before the next:
// with few channels the matrices of a block stay in the second-level cache. A
// unit is a block.
func (e *emitter) winogradFused(f *emit.Func) {
	input, output := e.inputTile(f), e.outputTile(f, wfOutput)
	c, part, stepV, stepM := arg(f, wiC), arg(f, wfOutput+woPart), arg(f, wiStep), arg(f, wfOutput+woStep)
	n, zero, block, count := arg(f, wfN), arg(f, wfZero), arg(f, wfBlock), arg(f, wfCount)
	rows, v := f.Let(emit.Scratch().Plus(4*winoMats)), f.Let(emit.Scratch().Plus(fusedHead))
	m := f.Let(v.Add(stepV.Times(winoMats)))
	first, tiles, w, a, y, col := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(first, u.Mul(block))
		f.Set(tiles, emit.Least(block, count.Sub(first)))
		f.Each(emit.Num(0), tiles, func(i emit.Int) { input(first.Add(i), v.Add(i.Mul(c))) })
		f.Set(w, f.Param(0).Load(4*wfU))
		f.Set(a, v)
		f.Set(y, m)
		f.Each(emit.Num(0), emit.Num(winoMats), func(emit.Int) {
			fillRows(f, rows, a, c, tiles)
			f.Loop(col, emit.Num(0), n, e.nr, func() {
				f.Call(e.micro, rows, emit.Num(1), c, w, zero, y.Add(col.Shl(2)), part, emit.Num(0), emit.Num(0), emit.Least(emit.Num(e.nr), n.Sub(col)), tiles)
				f.Set(w, w.Add(c.Times(e.nr)))
			})
			f.Set(a, a.Add(stepV))
			f.Set(y, y.Add(stepM))
		})
		f.Each(emit.Num(0), tiles, func(i emit.Int) { output(first.Add(i), m.Add(i.Mul(part))) })
	})
}
