package simd

import "wisp/wasm/emit"

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

// winogradInput transforms input tiles. A unit is a tile; its 36 pixels are
// found once, padding being a pixel of zeros.
func (e *emitter) winogradInput(f *emit.Func) {
	h, w, c, upH, upW := arg(f, wiH), arg(f, wiW), arg(f, wiC), arg(f, wiUpH), arg(f, wiUpW)
	across, tiles, zero, step := arg(f, wiAcross), arg(f, wiTiles), arg(f, wiZero), arg(f, wiStep)
	seenH, seenW := f.Let(h.ShlBy(upH)), f.Let(w.ShlBy(upW))
	tile, base, dst, y, x, p, at, to := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	d := f.Vectors(winoMats)
	units(f, func(u emit.Int) {
		f.Set(tile, f.Param(0).Load(4*wiFirst).Add(u))
		f.Set(base, tile.Div(tiles).Mul(h))
		f.Set(tile, tile.Rem(tiles))
		f.Set(dst, emit.Scratch())
		f.Each(emit.Num(0), emit.Num(winoSide), func(i emit.Int) {
			f.Set(y, tile.Div(across).Times(winoTile).Add(i).Sub(f.Param(0).Load(4*wiTop)))
			line := f.Let(base.Add(y.ShrBy(upH)).Mul(w))
			f.Set(x, tile.Rem(across).Times(winoTile).Sub(f.Param(0).Load(4*wiLeft)))
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
		f.Set(to, f.Param(0).Load(4*wiV).Add(u.Mul(c)))
		f.Loop(at, emit.Num(0), c, 16, func() {
			for i := range d {
				f.SetV(d[i], emit.Scratch().Load(4*i).Add(at).LoadV(0))
			}
			for i := range winoSide {
				e.winoB(f, column(d, i))
			}
			p := f.Let(to.Add(at))
			for i := range winoSide {
				row := d[i*winoSide : (i+1)*winoSide]
				e.winoB(f, row)
				for _, v := range row {
					f.StoreV(p, 0, v)
					f.Set(p, p.Add(step))
				}
			}
		})
	})
}

// column is column i of the 6×6 matrix d.
func column(d []emit.Vec, i int) []emit.Vec {
	out := make([]emit.Vec, winoSide)
	for j := range out {
		out[j] = d[j*winoSide+i]
	}
	return out
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
	h, w, c, part, across, tiles, step := arg(f, woH), arg(f, woW), arg(f, woC), arg(f, woPart), arg(f, woAcross), arg(f, woTiles), arg(f, woStep)
	res, act, out := arg(f, woRes), arg(f, woAct), arg(f, woOut)
	tile, y, x, at, from, p, first, offset, pixel := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	line := f.Let(w.Mul(c)) // bytes
	m, t := f.Vectors(winoSide), f.Vectors(winoTile*winoSide)
	o := f.Vectors(winoTile)
	// pixels runs body for each pixel in line i of the tile that is inside the
	// image, with pixel at its byte offset.
	pixels := func(i int, body func(j int)) {
		f.Set(pixel, first.Add(line.Times(i)))
		for j := range winoTile {
			f.When(y.Plus(i).Lt(h).And(x.Plus(j).Lt(w)), func() { body(j) })
			f.Set(pixel, pixel.Add(c))
		}
	}
	units(f, func(u emit.Int) {
		f.Set(tile, f.Param(0).Load(4*woFirst).Add(u))
		f.Set(y, tile.Rem(tiles).Div(across).Times(winoTile))
		f.Set(x, tile.Rem(tiles).Rem(across).Times(winoTile))
		f.Set(first, tile.Div(tiles).Mul(h).Add(y).Mul(w).Add(x).Mul(c))
		f.Set(from, f.Param(0).Load(4*woM).Add(u.Mul(part)))
		f.Loop(at, emit.Num(0), part, 16, func() {
			for i := range winoSide { // t = Aᵀ M, column by column
				f.Set(p, from.Add(at).Add(step.Times(i)))
				for j := range m {
					f.SetV(m[j], p.LoadV(0))
					f.Set(p, p.Add(step.Times(winoSide)))
				}
				e.winoA(f, m, o)
				for j, v := range o {
					f.SetV(t[j*winoSide+i], v)
				}
			}
			bias := f.LetV(f.Param(0).Load(4 * woBias).Add(at).LoadV(0))
			for i := range winoTile {
				e.winoA(f, t[i*winoSide:(i+1)*winoSide], o)
				pixels(i, func(j int) {
					f.Set(offset, pixel.Add(at))
					f.SetV(o[j], o[j].Add(bias))
					f.When(res, func() { f.SetV(o[j], o[j].Add(res.Add(offset).LoadV(0))) })
					f.StoreV(out.Add(offset), 0, o[j])
				})
			}
		})
		f.When(act, func() {
			for i := range winoTile {
				pixels(i, func(int) { f.Call(e.act, out.Add(pixel), out.Add(pixel), part.Shr(2), act) })
			}
		})
	})
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
