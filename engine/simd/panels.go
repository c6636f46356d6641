package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

// Weights are packed once, into panels of nr columns that keep the type they
// were stored in: memory holds the small form, and a product unpacks a panel to
// f32 on the way, once for a block of rows. A panel holds, for each tap and
// channel of a convolution (one tap for a linear layer), one element of each
// column, in their order as [tap][channel][nr]; a quantised one begins with the
// scales, f16 as [block][nr], so that it is no larger than what was stored. Blocks run over the stored order (channel, tap).
// In Q4 each byte holds columns j (low) and j+4 (high) of a group of eight, in
// Q2 four columns, the first in the lowest bits.

// panelBytes is the size of a panel of k elements a column.
func (fl flavour) panelBytes(d engine.DType, k int) int {
	block := max(1, d.Block())
	scales := 2 * fl.nr * ((k + block - 1) / block)
	switch d {
	case engine.F16, engine.BF16:
		return 2 * fl.nr * k
	case engine.Q8:
		return scales + fl.nr*k
	case engine.Q4:
		return scales + fl.nr*k/2
	case engine.Q2:
		return scales + fl.nr*k/4
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
func (e *emitter) packWeights(f *emit.Func) {
	src, n, k, taps, dtype, bytes := arg(f, pwSrc), arg(f, pwN), arg(f, pwK), arg(f, pwTaps), arg(f, pwDType), arg(f, pwBytes)
	rows, row, at, tap, i, dst := f.Ints(e.nr), f.Ints(e.nr), f.Int(), f.Int(), f.Int(), f.Int()
	// elements runs put for every element of a column in the panel's order;
	// i is its place in the stored row.
	elements := func(put func()) {
		f.Loop(tap, emit.Num(0), taps, 1, func() {
			f.Loop(i, tap, k, 0, func() {
				put()
				f.Set(i, i.Add(taps))
			})
		})
	}
	plain := func(size int, move func(j int)) func() {
		return func() {
			for j := range rows {
				f.Set(rows[j], src.Add(row[j].Mul(k).Times(size)))
			}
			elements(func() {
				f.Set(at, i.Times(size))
				for j := range rows {
					move(j)
				}
				f.Set(dst, dst.Plus(size*e.nr))
			})
		}
	}
	scales := func(d engine.DType) { // copies them, and leaves rows at the weights
		blocks := f.Let(quantBlocks(k, d))
		f.Loop(at, emit.Num(0), blocks, 1, func() {
			for j := range rows {
				f.Store16(dst, 2*j, src.Add(row[j].Mul(blocks).Add(at).Shl(1)).LoadU16(0))
			}
			f.Set(dst, dst.Plus(2*e.nr))
		})
		for j := range rows {
			f.Set(rows[j], src.Add(quantBytes(n, k, d)))
		}
	}
	units(f, func(u emit.Int) {
		f.Set(dst, f.Param(0).Load(4*pwDst).Add(u.Mul(bytes)))
		for j := range row { // columns beyond the last repeat it
			f.Set(row[j], emit.Least(u.Times(e.nr).Plus(j), n.Plus(-1)))
		}
		f.Choice(dtype,
			plain(4, func(j int) { f.Store(dst, 4*j, rows[j].Add(at).Load(0)) }),
			plain(2, func(j int) { f.Store16(dst, 2*j, rows[j].Add(at).LoadU16(0)) }),
			plain(2, func(j int) { f.Store16(dst, 2*j, rows[j].Add(at).LoadU16(0)) }),
			func() {}, // I32 is no weight
			func() { // Q8
				scales(engine.Q8)
				for j := range rows {
					f.Set(rows[j], rows[j].Add(row[j].Mul(k)))
				}
				elements(func() {
					for j := range rows {
						f.Store8(dst, j, rows[j].Add(i).LoadU8(0))
					}
					f.Set(dst, dst.Plus(e.nr))
				})
			},
			func() { // Q4
				scales(engine.Q4)
				for j := range rows {
					f.Set(rows[j], rows[j].Add(row[j].Mul(k.Plus(1).Shr(1))))
				}
				nibble := func(j int) emit.Int {
					return rows[j].Add(i.Shr(1)).LoadU8(0).ShrBy(i.And(emit.Num(1)).Shl(2)).And(emit.Num(15))
				}
				elements(func() {
					for j := 0; j < e.nr; j += 8 {
						for l := range 4 {
							f.Store8(dst, j/2+l, nibble(j+l).Add(nibble(j+l+4).Shl(4)))
						}
					}
					f.Set(dst, dst.Plus(e.nr/2))
				})
			},
			func() { // Q2
				scales(engine.Q2)
				for j := range rows {
					f.Set(rows[j], rows[j].Add(row[j].Mul(k.Plus(3).Shr(2))))
				}
				elements(func() {
					for j := 0; j < e.nr; j += 4 {
						low, high := pair(rows[j], i).Or(pair(rows[j+1], i).Shl(2)), pair(rows[j+2], i).Or(pair(rows[j+3], i).Shl(2))
						f.Store8(dst, j/4, low.Or(high.Shl(4)))
					}
					f.Set(dst, dst.Plus(e.nr/4))
				})
			},
		)
	})
}

// emitUnpack adds unpack(src, dst, k, taps, dtype): a panel to f32, with
// unpackedBytes at dst.
func (e *emitter) emitUnpack() *emit.Func {
	f := e.m.NewFunc(params(5))
	src, dst, k, taps := f.Param(0), f.Param(1), f.Param(2), f.Param(3)
	end, at, tap, i := f.Let(dst.Add(k.Times(4*e.nr))), f.Int(), f.Int(), f.Int()
	half := func(decode func(x emit.Vec) emit.Vec) func() {
		return func() {
			f.While(dst.Ne(end), func() {
				for v := range e.nr / 4 {
					f.StoreV(dst, 16*v, decode(src.LoadU16x4(8*v)))
				}
				f.Set(src, src.Plus(2*e.nr))
				f.Set(dst, dst.Plus(4*e.nr))
			})
		}
	}
	scale, last := f.Int(), f.Int()
	// quantised unpacks rows of bytes each holding nr elements, after the scales.
	// With one tap a block's scales serve its rows one after the other.
	s := f.Vectors(e.nr / 4)
	quantised := func(d engine.DType, bytes int, row func()) func() {
		return func() {
			f.Set(at, src)
			f.Set(scale, end)
			f.Set(last, end.Add(quantBlocks(k, d).Times(4*e.nr)))
			f.While(scale.Ne(last), func() {
				f.StoreV(scale, 0, f16Finite(f, at.LoadU16x4(0)))
				f.Set(scale, scale.Plus(16))
				f.Set(at, at.Plus(8))
			})
			f.Set(scale, end)
			next := func() {
				row()
				f.Set(at, at.Plus(bytes))
				f.Set(dst, dst.Plus(4*e.nr))
			}
			f.IfElse(taps.Eq(emit.Num(1)), func() {
				f.While(dst.Ne(end), func() {
					for v := range s {
						f.SetV(s[v], scale.LoadV(16*v))
					}
					f.Set(scale, scale.Plus(4*e.nr))
					f.Set(last, dst.Plus(d.Block()*4*e.nr))
					f.When(end.Below(last), func() { f.Set(last, end) })
					f.Repeat(dst.Ne(last), next)
				})
			}, func() {
				f.Loop(tap, emit.Num(0), taps, 1, func() {
					f.Loop(i, tap, k, 0, func() {
						f.Set(scale, end.Add(i.Div(emit.Num(d.Block())).Times(4*e.nr)))
						for v := range s {
							f.SetV(s[v], scale.LoadV(16*v))
						}
						next()
						f.Set(i, i.Add(taps))
					})
				})
			})
		}
	}
	x := f.Vector()
	mask, fold := f.LetV(emit.Lanes(3, 3<<2, 3<<4, 3<<6)), f.LetV(emit.Lanes(0x3f800000, 0x3e800000, 0x3d800000, 0x3c800000))
	f.Choice(f.Param(4),
		func() { f.Copy(dst, src, k.Times(4*e.nr)) },
		half(func(x emit.Vec) emit.Vec { return f16Finite(f, x) }),
		half(bf16),
		func() {}, // I32 is no weight
		quantised(engine.Q8, e.nr, func() {
			for v := 0; v < e.nr/4; v += 2 {
				f.SetV(x, at.LoadS8x8(4*v))
				f.StoreV(dst, 16*v, x.LowS16().ToFloat().Mul(s[v]))
				f.StoreV(dst, 16*v+16, x.HighS16().ToFloat().Mul(s[v+1]))
			}
		}),
		quantised(engine.Q4, e.nr/2, func() {
			for v := 0; v < e.nr/4; v += 2 {
				f.SetV(x, at.LoadU8x8(2*v).LowS16())
				f.StoreV(dst, 16*v, x.And(f.SplatBits(15)).AddI(f.SplatBits(0xfffffff8)).ToFloat().Mul(s[v]))
				f.StoreV(dst, 16*v+16, x.ShrI(4).AddI(f.SplatBits(0xfffffff8)).ToFloat().Mul(s[v+1]))
			}
		}),
		quantised(engine.Q2, e.nr/4, func() { // each lane keeps its two bits where they are, and powers of two bring them down
			for v := range e.nr / 4 {
				f.SetV(x, at.LoadU8(v).Splat().And(mask).ToFloat().Mul(fold).Sub(f.Splat(1)))
				f.StoreV(dst, 16*v, x.Mul(s[v]))
			}
		}),
	)
	return f
}

// f16Finite converts half floats, zero-extended to 32 bits, to f32, taking the
// largest exponent for a number: weights have no infinities.
func f16Finite(f *emit.Func, x emit.Vec) emit.Vec {
	return x.ShlI(16).ShrSI(3).And(f.SplatBits(0x8fffe000)).Mul(f.SplatBits(0x77800000))
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
func (e *emitter) unpackPanels(f *emit.Func) {
	src, dst, k, taps, dtype := arg(f, upSrc), arg(f, upDst), arg(f, upK), arg(f, upTaps), arg(f, upDType)
	units(f, func(u emit.Int) {
		f.Call(e.unpack, src.Add(u.Mul(f.Param(0).Load(4*upSrcBytes))), dst.Add(u.Mul(f.Param(0).Load(4*upDstBytes))), k, taps, dtype)
	})
}
