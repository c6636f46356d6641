package simd

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
func (e *emitter) winogradInput(f *fn) {
	h, w, c, upH, upW := f.arg(wiH), f.arg(wiW), f.arg(wiC), f.arg(wiUpH), f.arg(wiUpW)
	across, tiles, zero, step := f.arg(wiAcross), f.arg(wiTiles), f.arg(wiZero), f.arg(wiStep)
	seenH, seenW := f.let(i32v{op1(0x74, h, upH)}), f.let(i32v{op1(0x74, w, upW)})
	tile, base, dst, y, x, p, at, to := f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()
	d := f.vectors(winoMats)
	f.units(func(u i32v) {
		f.set(tile, f.param(0).load(4*wiFirst).add(u))
		f.set(base, tile.div(tiles).mul(h))
		f.set(tile, tile.rem(tiles))
		f.set(dst, scratch())
		f.each(num(0), num(winoSide), func(i i32v) {
			f.set(y, tile.div(across).times(winoTile).add(i).sub(f.param(0).load(4*wiTop)))
			line := f.let(base.add(i32v{op1(0x76, y, upH)}).mul(w))
			f.set(x, tile.rem(across).times(winoTile).sub(f.param(0).load(4*wiLeft)))
			f.each(num(0), num(winoSide), func(i32v) {
				f.set(p, zero)
				f.when(y.below(seenH).and(x.below(seenW)), func() {
					f.set(p, f.param(0).load(4*wiX).add(line.add(i32v{op1(0x76, x, upW)}).mul(c)))
				})
				f.store(dst, 0, p)
				f.set(dst, dst.plus(4))
				f.set(x, x.plus(1))
			})
		})
		f.set(to, f.param(0).load(4*wiV).add(u.mul(c)))
		f.loop(at, num(0), c, 16, func() {
			for i := range d {
				f.setV(d[i], scratch().load(4*i).add(at).loadV(0))
			}
			for i := range winoSide {
				e.winoB(f, column(d, i))
			}
			p := f.let(to.add(at))
			for i := range winoSide {
				row := d[i*winoSide : (i+1)*winoSide]
				e.winoB(f, row)
				for _, v := range row {
					f.storeV(p, 0, v)
					f.set(p, p.add(step))
				}
			}
		})
	})
}

// column is column i of the 6×6 matrix d.
func column(d []vec, i int) []vec {
	out := make([]vec, winoSide)
	for j := range out {
		out[j] = d[j*winoSide+i]
	}
	return out
}

// winoB replaces d by Bᵀd.
func (e *emitter) winoB(f *fn, d []vec) {
	even, odd := f.letV(e.madd(d[2], f.splat(-4), d[4])), f.letV(e.madd(d[1], f.splat(-4), d[3]))
	first := e.madd(d[2], f.splat(-5), e.madd(d[0], f.splat(4), d[4]))
	last := e.madd(d[3], f.splat(-5), e.madd(d[1], f.splat(4), d[5]))
	e2, o2 := f.letV(d[4].sub(d[2])), f.letV(d[3].sub(d[1]))
	f.setV(d[0], first)
	f.setV(d[5], last)
	f.setV(d[1], even.add(odd))
	f.setV(d[2], even.sub(odd))
	f.setV(d[3], e.madd(o2, f.splat(2), e2))
	f.setV(d[4], e.madd(o2, f.splat(-2), e2))
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
func (e *emitter) winogradWeights(f *fn) {
	c, panels, dtype := f.arg(wwC), f.arg(wwPanels), f.arg(wwType)
	row := f.let(c.times(4 * e.nr)) // bytes of one tap or matrix of a panel
	step := f.let(row.mul(panels))
	src, dst, at, p := f.int(), f.int(), f.int(), f.int()
	g, half := f.vectors(9), f.vectors(3*winoSide)
	out := f.vectors(winoSide)
	f.units(func(u i32v) {
		f.set(src, f.param(0).load(4*wwSrc).add(u.mul(f.param(0).load(4*wwBytes))))
		f.when(dtype, func() {
			f.call(e.unpack, src, scratch(), c.times(9), num(9), dtype)
			f.set(src, scratch())
		})
		f.set(dst, f.param(0).load(4*wwU).add(u.mul(row)))
		f.loop(at, num(0), row, 16, func() {
			f.set(p, src.add(at))
			for i := range g {
				f.setV(g[i], p.loadV(0))
				f.set(p, p.add(row))
			}
			for i := range 3 { // half = G g, (6, 3)
				e.winoG(f, g[i], g[3+i], g[6+i], out)
				for j, v := range out {
					f.setV(half[3*j+i], v)
				}
			}
			f.set(p, dst.add(at))
			for j := range winoSide {
				e.winoG(f, half[3*j], half[3*j+1], half[3*j+2], out)
				for _, v := range out {
					f.storeV(p, 0, v)
					f.set(p, p.add(step))
				}
			}
		})
	})
}

// winoG sets out to G (a, b, c)ᵀ.
func (e *emitter) winoG(f *fn, a, b, c vec, out []vec) {
	ends := f.letV(a.add(c).mul(f.splat(-1. / 6)))
	far := f.letV(e.madd(a, f.splat(1./24), c.mul(f.splat(1./6))))
	f.setV(out[0], a.mul(f.splat(0.25)))
	f.setV(out[1], e.madd(b, f.splat(-1./6), ends))
	f.setV(out[2], e.madd(b, f.splat(1./6), ends))
	f.setV(out[3], e.madd(b, f.splat(1./12), far))
	f.setV(out[4], e.madd(b, f.splat(-1./12), far))
	f.setV(out[5], c)
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
func (e *emitter) winogradOutput(f *fn) {
	h, w, c, part, across, tiles, step := f.arg(woH), f.arg(woW), f.arg(woC), f.arg(woPart), f.arg(woAcross), f.arg(woTiles), f.arg(woStep)
	res, act, out := f.arg(woRes), f.arg(woAct), f.arg(woOut)
	tile, y, x, at, from, p, first, offset, pixel := f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()
	line := f.let(w.mul(c)) // bytes
	m, t := f.vectors(winoSide), f.vectors(winoTile*winoSide)
	o := f.vectors(winoTile)
	// pixels runs body for each pixel in line i of the tile that is inside the
	// image, with pixel at its byte offset.
	pixels := func(i int, body func(j int)) {
		f.set(pixel, first.add(line.times(i)))
		for j := range winoTile {
			f.when(y.plus(i).lt(h).and(x.plus(j).lt(w)), func() { body(j) })
			f.set(pixel, pixel.add(c))
		}
	}
	f.units(func(u i32v) {
		f.set(tile, f.param(0).load(4*woFirst).add(u))
		f.set(y, tile.rem(tiles).div(across).times(winoTile))
		f.set(x, tile.rem(tiles).rem(across).times(winoTile))
		f.set(first, tile.div(tiles).mul(h).add(y).mul(w).add(x).mul(c))
		f.set(from, f.param(0).load(4*woM).add(u.mul(part)))
		f.loop(at, num(0), part, 16, func() {
			for i := range winoSide { // t = Aᵀ M, column by column
				f.set(p, from.add(at).add(step.times(i)))
				for j := range m {
					f.setV(m[j], p.loadV(0))
					f.set(p, p.add(step.times(winoSide)))
				}
				e.winoA(f, m, o)
				for j, v := range o {
					f.setV(t[j*winoSide+i], v)
				}
			}
			bias := f.letV(f.param(0).load(4 * woBias).add(at).loadV(0))
			for i := range winoTile {
				e.winoA(f, t[i*winoSide:(i+1)*winoSide], o)
				pixels(i, func(j int) {
					f.set(offset, pixel.add(at))
					f.setV(o[j], o[j].add(bias))
					f.when(res, func() { f.setV(o[j], o[j].add(res.add(offset).loadV(0))) })
					f.storeV(out.add(offset), 0, o[j])
				})
			}
		})
		f.when(act, func() {
			for i := range winoTile {
				pixels(i, func(int) { f.call(e.act, out.add(pixel), out.add(pixel), part.shr(2), act) })
			}
		})
	})
}

// winoA sets out to Aᵀm.
func (e *emitter) winoA(f *fn, m, out []vec) {
	a, b := f.letV(m[1].add(m[2])), f.letV(m[1].sub(m[2]))
	c, d := f.letV(m[3].add(m[4])), f.letV(m[3].sub(m[4]))
	f.setV(out[0], m[0].add(a).add(c))
	f.setV(out[1], e.madd(d, f.splat(2), b))
	f.setV(out[2], e.madd(c, f.splat(4), a))
	f.setV(out[3], e.madd(d, f.splat(8), b).add(m[5]))
}
