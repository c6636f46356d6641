package simd

import "wisp/engine"

// Weights are packed once, into panels of nr columns that keep the type they
// were stored in: memory holds the small form, and a product unpacks a panel to
// f32 on the way, once for a block of rows. A panel holds, for each tap and
// channel of a convolution (one tap for a linear layer), one element of each
// column, in their order as [tap][channel][nr]; a quantised one begins with the
// scales, f16 as [block][nr], so that it is no larger than what was stored. Blocks run over the stored order (channel, tap).
// In Q4 each byte holds columns j (low) and j+4 (high) of a group of eight.

// panelBytes is the size of a panel of k elements a column.
func (fl flavour) panelBytes(d engine.DType, k int) int {
	scales := 2 * fl.nr * ((k + engine.QuantBlock - 1) / engine.QuantBlock)
	switch d {
	case engine.F16, engine.BF16:
		return 2 * fl.nr * k
	case engine.Q8:
		return scales + fl.nr*k
	case engine.Q4:
		return scales + fl.nr*k/2
	}
	return 4 * fl.nr * k
}

// unpackedBytes is the memory that unpacking a panel takes: its elements in
// f32, then the scales.
func (fl flavour) unpackedBytes(k int) int {
	return 4 * fl.nr * (k + (k+engine.QuantBlock-1)/engine.QuantBlock)
}

// Arguments of kPackWeights.
const (
	pwSrc   = iota // the stored tensor, rows (n, k)
	pwDst          // panels
	pwN            // rows: the columns of the product
	pwK            // elements of a row
	pwTaps         //
	pwDType        // engine.DType
	pwBytes        // panelBytes
	pwWords
)

// packWeights packs a stored weight, keeping its type. A unit is a panel.
func (e *emitter) packWeights(f *fn) {
	src, n, k, taps, dtype, bytes := f.arg(pwSrc), f.arg(pwN), f.arg(pwK), f.arg(pwTaps), f.arg(pwDType), f.arg(pwBytes)
	rows, row, at, tap, i, dst := f.ints(e.nr), f.ints(e.nr), f.int(), f.int(), f.int(), f.int()
	// elements runs put for every element of a column in the panel's order;
	// i is its place in the stored row.
	elements := func(put func()) {
		f.loop(tap, num(0), taps, 1, func() {
			f.loop(i, tap, k, 0, func() {
				put()
				f.set(i, i.add(taps))
			})
		})
	}
	plain := func(size int, move func(j int)) func() {
		return func() {
			for j := range rows {
				f.set(rows[j], src.add(row[j].mul(k).times(size)))
			}
			elements(func() {
				f.set(at, i.times(size))
				for j := range rows {
					move(j)
				}
				f.set(dst, dst.plus(size*e.nr))
			})
		}
	}
	scales := func() { // copies them, and leaves rows at the weights
		blocks := f.let(quantBlocks(k))
		f.loop(at, num(0), blocks, 1, func() {
			for j := range rows {
				f.store16(dst, 2*j, src.add(row[j].mul(blocks).add(at).shl(1)).loadU16(0))
			}
			f.set(dst, dst.plus(2*e.nr))
		})
		for j := range rows {
			f.set(rows[j], src.add(quantBytes(n, k)))
		}
	}
	f.units(func(u i32v) {
		f.set(dst, f.param(0).load(4*pwDst).add(u.mul(bytes)))
		for j := range row { // columns beyond the last repeat it
			f.set(row[j], least(u.times(e.nr).plus(j), n.plus(-1)))
		}
		f.choice(dtype,
			plain(4, func(j int) { f.store(dst, 4*j, rows[j].add(at).load(0)) }),
			plain(2, func(j int) { f.store16(dst, 2*j, rows[j].add(at).loadU16(0)) }),
			plain(2, func(j int) { f.store16(dst, 2*j, rows[j].add(at).loadU16(0)) }),
			func() {}, // I32 is no weight
			func() { // Q8
				scales()
				for j := range rows {
					f.set(rows[j], rows[j].add(row[j].mul(k)))
				}
				elements(func() {
					for j := range rows {
						f.store8(dst, j, rows[j].add(i).loadU8(0))
					}
					f.set(dst, dst.plus(e.nr))
				})
			},
			func() { // Q4
				scales()
				for j := range rows {
					f.set(rows[j], rows[j].add(row[j].mul(k.plus(1).shr(1))))
				}
				nibble := func(j int) i32v {
					return i32v{op1(0x76, rows[j].add(i.shr(1)).loadU8(0), i.and(num(1)).shl(2))}.and(num(15))
				}
				elements(func() {
					for j := 0; j < e.nr; j += 8 {
						for l := range 4 {
							f.store8(dst, j/2+l, nibble(j+l).add(nibble(j+l+4).shl(4)))
						}
					}
					f.set(dst, dst.plus(e.nr/2))
				})
			},
		)
	})
}

// emitUnpack adds unpack(src, dst, k, taps, dtype): a panel to f32, with
// unpackedBytes at dst.
func (e *emitter) emitUnpack() *fn {
	f := e.m.newFunc(params(5))
	src, dst, k, taps := f.param(0), f.param(1), f.param(2), f.param(3)
	end, at, tap, i := f.let(dst.add(k.times(4*e.nr))), f.int(), f.int(), f.int()
	half := func(decode func(x vec) vec) func() {
		return func() {
			f.while(dst.ne(end), func() {
				for v := range e.nr / 4 {
					f.storeV(dst, 16*v, decode(src.loadU16x4(8*v)))
				}
				f.set(src, src.plus(2*e.nr))
				f.set(dst, dst.plus(4*e.nr))
			})
		}
	}
	scale, last := f.int(), f.int()
	// quantised unpacks rows of bytes each holding nr elements, after the scales.
	// With one tap a block's scales serve its rows one after the other.
	s := f.vectors(e.nr / 4)
	quantised := func(bytes int, row func()) func() {
		return func() {
			f.set(at, src)
			f.set(scale, end)
			f.set(last, end.add(quantBlocks(k).times(4*e.nr)))
			f.while(scale.ne(last), func() {
				f.storeV(scale, 0, f16Finite(f, at.loadU16x4(0)))
				f.set(scale, scale.plus(16))
				f.set(at, at.plus(8))
			})
			f.set(scale, end)
			next := func() {
				row()
				f.set(at, at.plus(bytes))
				f.set(dst, dst.plus(4*e.nr))
			}
			f.ifElse(taps.eq(num(1)), func() {
				f.while(dst.ne(end), func() {
					for v := range s {
						f.setV(s[v], scale.loadV(16*v))
					}
					f.set(scale, scale.plus(4*e.nr))
					f.set(last, dst.plus(engine.QuantBlock*4*e.nr))
					f.when(end.below(last), func() { f.set(last, end) })
					f.repeat(dst.ne(last), next)
				})
			}, func() {
				f.loop(tap, num(0), taps, 1, func() {
					f.loop(i, tap, k, 0, func() {
						f.set(scale, end.add(i.div(num(engine.QuantBlock)).times(4*e.nr)))
						for v := range s {
							f.setV(s[v], scale.loadV(16*v))
						}
						next()
						f.set(i, i.add(taps))
					})
				})
			})
		}
	}
	x := f.vector()
	f.choice(f.param(4),
		func() { f.copy(dst, src, k.times(4*e.nr)) },
		half(func(x vec) vec { return f16Finite(f, x) }),
		half(bf16),
		func() {}, // I32 is no weight
		quantised(e.nr, func() {
			for v := 0; v < e.nr/4; v += 2 {
				f.setV(x, at.loadS8x8(4*v))
				f.storeV(dst, 16*v, x.lowS16().toFloat().mul(s[v]))
				f.storeV(dst, 16*v+16, x.highS16().toFloat().mul(s[v+1]))
			}
		}),
		quantised(e.nr/2, func() {
			for v := 0; v < e.nr/4; v += 2 {
				f.setV(x, at.loadU8x8(2*v).lowS16())
				f.storeV(dst, 16*v, x.and(f.splatBits(15)).addI(f.splatBits(0xfffffff8)).toFloat().mul(s[v]))
				f.storeV(dst, 16*v+16, x.shrI(4).addI(f.splatBits(0xfffffff8)).toFloat().mul(s[v+1]))
			}
		}),
	)
	return f
}

// f16Finite converts half floats, zero-extended to 32 bits, to f32, taking the
// largest exponent for a number: weights have no infinities.
func f16Finite(f *fn, x vec) vec {
	return x.shlI(16).shrSI(3).and(f.splatBits(0x8fffe000)).mul(f.splatBits(0x77800000))
}

// Arguments of kUnpack.
const (
	upSrc      = iota // panels
	upDst             // panels in f32, as unpack writes them
	upK               //
	upTaps            //
	upDType           // engine.DType
	upSrcBytes        // between panels
	upDstBytes
	upWords
)

// unpackPanels unpacks panels. A unit is one.
func (e *emitter) unpackPanels(f *fn) {
	src, dst, k, taps, dtype := f.arg(upSrc), f.arg(upDst), f.arg(upK), f.arg(upTaps), f.arg(upDType)
	f.units(func(u i32v) {
		f.call(e.unpack, src.add(u.mul(f.param(0).load(4*upSrcBytes))), dst.add(u.mul(f.param(0).load(4*upDstBytes))), k, taps, dtype)
	})
}
