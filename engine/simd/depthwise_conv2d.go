package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

// Arguments of kDepthwiseConv2D.
const (
	dwX      = iota // (n, h, w, c)
	dwWeight        // (kh, kw, c)
	dwBias          // (c); zeros where there is none
	dwOut           // (n, outH, outW, c)
	dwRes           // as out, or 0
	dwAct           // activationCode
	dwH
	dwW
	dwC
	dwOutH
	dwOutW
	dwKH
	dwKW
	dwStride
	dwTop
	dwLeft
	dwZero // address of zeros, as many as a pixel has channels
	dwWords
)

// dwPixels neighbours in a line are computed together, dwVectors vectors of
// channels at a time: their sums, the weights and one value fit 16 registers.
const dwPixels, dwVectors = 4, 2

// depthwiseScratch is the work memory: a pointer for each tap and pixel, then a
// pixel that takes what lies beyond the end of a line.
func depthwiseScratch(taps, c int) int { return 4*dwPixels*taps + 4*c + 16 }

// depthwiseConv2D: out[n,y,x] = act(Σ w[i,j]·x[n, y·s+i−top, x·s+j−left] + bias + residual)
// for each channel. As in conv2d, pixels are read through pointers. A unit is
// an output line.
func (e *emitter) depthwiseConv2D(f *emit.Func) {
	h, w, outH, outW, kh, kw := arg(f, dwH), arg(f, dwW), arg(f, dwOutH), arg(f, dwOutW), arg(f, dwKH), arg(f, dwKW)
	stride, top, left, zero, c := arg(f, dwStride), arg(f, dwTop), arg(f, dwLeft), arg(f, dwZero), arg(f, dwC)
	out, res, act, ld := arg(f, dwOut), arg(f, dwRes), arg(f, dwAct), f.Let(c.Shl(2))
	dump := f.Let(emit.Scratch().Add(kh.Mul(kw).Times(4 * dwPixels)))
	dst, added := f.Ints(dwPixels), f.Ints(dwPixels)
	line, image, y0, y, x, at, p := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	channels := e.depthwiseChannels(f, dst, added)
	units(f, func(u emit.Int) {
		f.Set(line, u.Mul(outW).Mul(ld))
		f.Set(image, f.Param(0).Load(4*dwX).Add(u.Div(outH).Mul(h).Mul(w).Mul(ld)))
		f.Set(y0, u.Rem(outH).Mul(stride).Sub(top))
		first := f.Int()
		f.Loop(first, emit.Num(0), outW, dwPixels, func() {
			f.Set(at, emit.Scratch())
			f.Each(emit.Num(0), kh, func(ky emit.Int) {
				f.Set(y, y0.Add(ky))
				f.Each(emit.Num(0), kw, func(kx emit.Int) {
					f.Set(x, first.Mul(stride).Add(kx).Sub(left))
					for i := range dwPixels {
						f.Set(p, zero)
						f.When(y.Below(h).And(x.Below(w)), func() { f.Set(p, image.Add(y.Mul(w).Add(x).Mul(ld))) })
						f.Store(at, 4*i, p)
						f.Set(x, x.Add(stride))
					}
					f.Set(at, at.Plus(4*dwPixels))
				})
			})
			for i := range dwPixels {
				f.Set(p, line.Add(first.Plus(i).Mul(ld)))
				inside := f.Let(first.Plus(i).Below(outW))
				f.Set(dst[i], emit.Pick(inside, out.Add(p), dump))
				f.Set(added[i], emit.Pick(inside, res.Add(p), dump))
			}
			split := f.Let(c.Shr(2).Div(emit.Num(dwVectors)).Times(16 * dwVectors))
			f.Loop(at, emit.Num(0), split, 16*dwVectors, func() { channels(at, dwVectors, nil) })
			rowVectors(f, f.Let(c.Sub(split.Shr(2))), func(more emit.Int, rest *emit.Int) {
				f.Set(at, split.Add(more))
				channels(at, 1, rest)
			})
		})
		f.When(act, func() {
			f.Set(line, out.Add(line))
			f.Call(e.act, line, line, outW.Mul(c), act)
		})
	})
}

// depthwiseChannels returns what computes dwPixels pixels at dst, to which
// those at added are added: some vectors of channels, from byte at of a pixel on.
func (e *emitter) depthwiseChannels(f *emit.Func, dst, added []emit.Int) func(at emit.Int, vectors int, rest *emit.Int) {
	weights, bias, res, taps := arg(f, dwWeight), arg(f, dwBias), arg(f, dwRes), f.Let(arg(f, dwKH).Mul(arg(f, dwKW)))
	ld := f.Let(arg(f, dwC).Shl(2))
	acc, wv := f.Vectors(dwPixels*dwVectors), f.Vectors(dwVectors)
	ptrs, wp, tap, src := f.Int(), f.Int(), f.Int(), f.Int()
	return func(at emit.Int, vectors int, rest *emit.Int) {
		for i := range dwPixels * vectors {
			f.SetV(acc[i], bias.Add(at).LoadV(16*(i%vectors)))
		}
		f.Set(ptrs, emit.Scratch())
		f.Set(wp, weights.Add(at))
		f.Set(tap, taps)
		f.Repeat(tap, func() {
			for v := range vectors {
				f.SetV(wv[v], wp.LoadV(16*v))
			}
			for i := range dwPixels {
				f.Set(src, ptrs.Load(4*i).Add(at))
				for v := range vectors {
					f.SetV(acc[i*vectors+v], e.madd(src.LoadV(16*v), wv[v], acc[i*vectors+v]))
				}
			}
			f.Set(ptrs, ptrs.Plus(4*dwPixels))
			f.Set(wp, wp.Add(ld))
			f.Set(tap, tap.Plus(-1))
		})
		f.When(res, func() {
			for i := range dwPixels * vectors {
				f.SetV(acc[i], acc[i].Add(added[i/vectors].Add(at).LoadV(16*(i%vectors))))
			}
		})
		for i := range dwPixels * vectors {
			put(f, dst[i/vectors].Add(at).Plus(16*(i%vectors)), acc[i], rest)
		}
	}
}

func (c *compiler) depthwiseConv2D(n *engine.Node) {
	a := n.Attrs.(engine.Conv2DAttrs)
	x, w, bias, residual := a.Operands(n)
	channels, kh, kw := w.Shape[0], w.Shape[2], w.Shape[3]
	weights := c.workspace(4 * w.Elems())
	c.move(c.value(w), weights, engine.Shape{kh * kw, channels}, []int{1, kh * kw}, []int{channels, 1})
	zeros := c.zeros(4 * channels)
	at, res := zeros, place{}
	if bias != nil {
		at = c.value(bias)
	}
	if residual != nil {
		res = c.value(residual)
	}
	c.scratch = max(c.scratch, depthwiseScratch(kh*kw, channels))
	c.command(kDepthwiseConv2D, n.Shape[0]*n.Shape[1], float64(4*n.Elems()*kh*kw),
		c.value(x), weights, at, c.value(n), res, int(activationCode(a.Act)), x.Shape[1], x.Shape[2], channels, n.Shape[1], n.Shape[2],
		kh, kw, a.Stride, a.Pad[0], a.Pad[1], zeros)
}
