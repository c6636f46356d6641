package simd

import (
	"math"

	"wisp/engine"
	"wisp/wasm/emit"
)

var negInf = float32(math.Inf(-1))

const log2e = 1.44269504

// Arguments of the three group norm kernels. The image is (n, pixels, c); it
// is cut into chunks of pixels.
const (
	gnX      = iota
	gnOut    //
	gnGamma  //
	gnBeta   //
	gnPixels // of an image
	gnC      //
	gnGroups //
	gnChunk  // pixels of a chunk
	gnChunks // chunks of an image
	gnEps    // f32
	gnAct    // activationCode
	gnStats  // work memory: see groupNormBytes
	gnWords
)

// A group norm's work memory holds, for each image, scale and shift of each
// channel, then for each chunk the channels' sums and sums of squares, with c
// rounded up to whole vectors.
func groupNormBytes(n, chunks, c int) int { return 4 * n * 2 * (1 + chunks) * roundUp(c, 4) }

// groupNormStats sums x − x₀ and its square over the pixels of a chunk, for
// each channel, x₀ being the image's first pixel: without that shift the
// variance of a channel far from zero would drown in rounding. A unit is a chunk.
func (e *emitter) groupNormStats(f *emit.Func) {
	pixels, c, size, chunks := arg(f, gnPixels), arg(f, gnC), arg(f, gnChunk), arg(f, gnChunks)
	ld, padded := f.Let(c.Shl(2)), f.Let(c.Plus(3).And(emit.Num(-4)).Shl(2))
	image, first, base, count, dst, at, i, p := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(image, u.Div(chunks))
		f.Set(first, u.Rem(chunks).Mul(size))
		f.Set(count, emit.Least(size, pixels.Sub(first)))
		f.Set(base, f.Param(0).Load(4*gnX).Add(image.Mul(pixels).Mul(ld)))
		f.Set(dst, groupNormImage(f, image, chunks, padded).Add(u.Rem(chunks).Plus(1).Mul(padded).Shl(1)))
		channels := func(nv int) { // 4·nv channels from at
			pivot, sum, square, x := f.Vectors(nv), f.Vectors(nv), f.Vectors(nv), f.Vector()
			for v := range nv {
				f.SetV(pivot[v], base.Add(at).LoadV(16*v))
				f.SetV(sum[v], f.Splat(0))
				f.SetV(square[v], f.Splat(0))
			}
			f.Set(p, base.Add(first.Mul(ld)).Add(at))
			f.Loop(i, emit.Num(0), count, 1, func() {
				for v := range nv {
					f.SetV(x, p.LoadV(16*v).Sub(pivot[v]))
					f.SetV(sum[v], sum[v].Add(x))
					f.SetV(square[v], e.madd(x, x, square[v]))
				}
				f.Set(p, p.Add(ld))
			})
			for v := range nv {
				f.StoreV(dst.Add(at), 16*v, sum[v])
				f.StoreV(dst.Add(at).Add(padded), 16*v, square[v])
			}
			f.Set(at, at.Plus(16*nv))
		}
		f.Set(at, emit.Num(0))
		f.While(at.Plus(63).Lt(padded), func() { channels(4) })
		f.While(at.Lt(padded), func() { channels(1) })
	})
}

// groupNormImage is the address of an image's work memory.
func groupNormImage(f *emit.Func, image, chunks, padded emit.Int) emit.Int {
	return f.Param(0).Load(4 * gnStats).Add(image.Mul(chunks.Plus(1)).Mul(padded).Shl(1))
}

// groupNormCombine turns the sums into y = x·scale + shift for each channel:
// the chunks' sums are added, and the channels of a group are merged by Chan et
// al. 1979, both in f64. A unit is a group of an image.
func (e *emitter) groupNormCombine(f *emit.Func) {
	pixels, c, groups, chunks := arg(f, gnPixels), arg(f, gnC), arg(f, gnGroups), arg(f, gnChunks)
	ld, padded, per := f.Let(c.Shl(2)), f.Let(c.Plus(3).And(emit.Num(-4)).Shl(2)), f.Let(c.Div(groups))
	image, base, stats, ch, end, p, j := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	count, sum, square := f.Double(), f.Double(), f.Double()
	mean, spread, m, d, seen := f.Double(), f.Double(), f.Double(), f.Double(), f.Double()
	f.SetD(count, pixels.Double())
	units(f, func(u emit.Int) {
		f.Set(image, u.Div(groups))
		f.Set(base, f.Param(0).Load(4*gnX).Add(image.Mul(pixels).Mul(ld)))
		f.Set(stats, groupNormImage(f, image, chunks, padded))
		start := f.Let(u.Rem(groups).Mul(per).Shl(2))
		f.Set(end, start.Add(per.Shl(2)))
		f.SetD(mean, emit.DNum(0))
		f.SetD(spread, emit.DNum(0))
		f.SetD(seen, emit.DNum(0))
		f.Loop(ch, start, end, 4, func() {
			f.SetD(sum, emit.DNum(0))
			f.SetD(square, emit.DNum(0))
			f.Set(p, stats.Add(padded.Shl(1)).Add(ch))
			f.Loop(j, emit.Num(0), chunks, 1, func() {
				f.SetD(sum, sum.Add(p.LoadF(0).Double()))
				f.SetD(square, square.Add(p.Add(padded).LoadF(0).Double()))
				f.Set(p, p.Add(padded.Shl(1)))
			})
			// This channel's mean and spread, merged into those of the channels before.
			f.SetD(m, base.Add(ch).LoadF(0).Double().Add(sum.Div(count)))
			f.SetD(d, m.Sub(mean))
			f.SetD(spread, spread.Add(square.Sub(sum.Mul(sum).Div(count))).
				Add(d.Mul(d).Mul(count).Mul(seen).Div(seen.Add(emit.DNum(1)))))
			f.SetD(seen, seen.Add(emit.DNum(1)))
			f.SetD(mean, mean.Add(d.Div(seen)))
		})
		rstd := f.Double()
		f.SetD(rstd, emit.DNum(1).Div(spread.Div(count.Mul(seen)).Add(f.Param(0).LoadF(4*gnEps).Double()).Sqrt()))
		scale := f.Double()
		f.Loop(ch, start, end, 4, func() {
			f.SetD(scale, rstd.Mul(f.Param(0).Load(4*gnGamma).Add(ch).LoadF(0).Double()))
			f.StoreF(stats.Add(ch), 0, scale.Single())
			f.StoreF(stats.Add(padded).Add(ch), 0, f.Param(0).Load(4*gnBeta).Add(ch).LoadF(0).Double().Sub(mean.Mul(scale)).Single())
		})
	})
}

// groupNormApply writes act(x·scale + shift). A unit is a chunk.
func (e *emitter) groupNormApply(f *emit.Func) {
	pixels, c, size, chunks, act := arg(f, gnPixels), arg(f, gnC), arg(f, gnChunk), arg(f, gnChunks), arg(f, gnAct)
	ld, padded := f.Let(c.Shl(2)), f.Let(c.Plus(3).And(emit.Num(-4)).Shl(2))
	image, first, count, scale, shift, src, dst := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(image, u.Div(chunks))
		f.Set(first, u.Rem(chunks).Mul(size))
		f.Set(count, emit.Least(size, pixels.Sub(first)))
		f.Set(scale, groupNormImage(f, image, chunks, padded))
		f.Set(shift, scale.Add(padded))
		offset := f.Let(image.Mul(pixels).Add(first).Mul(ld))
		f.Set(src, f.Param(0).Load(4*gnX).Add(offset))
		f.Set(dst, f.Param(0).Load(4*gnOut).Add(offset))
		chunk := f.Let(dst)
		f.Each(emit.Num(0), count, func(emit.Int) {
			rowVectors(f, c, func(at emit.Int, rest *emit.Int) {
				put(f, dst.Add(at), e.madd(src.Add(at).LoadV(0), scale.Add(at).LoadV(0), shift.Add(at).LoadV(0)), rest)
			})
			f.Set(src, src.Add(ld))
			f.Set(dst, dst.Add(ld))
		})
		f.When(act, func() { f.Call(e.act, chunk, chunk, count.Mul(c), act) })
	})
}

// Arguments of kLayerNorm, kRMSNorm and kSoftmax.
const (
	nmX     = iota
	nmOut   //
	nmD     // elements of a row
	nmGamma // the norms only
	nmBeta  // kLayerNorm only
	nmEps   // f32
	nmWords
)

// layerNorm: (x − mean)/√(var + eps)·gamma + beta for each row. A unit is a row.
func (e *emitter) layerNorm(f *emit.Func) {
	x, out, d, gamma, beta := arg(f, nmX), arg(f, nmOut), arg(f, nmD), arg(f, nmGamma), arg(f, nmBeta)
	src, dst, v, sum := f.Int(), f.Int(), f.Vector(), f.Vector()
	count := f.LetF(d.Float())
	units(f, func(u emit.Int) {
		f.Set(src, x.Add(u.Mul(d).Shl(2)))
		f.Set(dst, out.Add(u.Mul(d).Shl(2)))
		f.SetV(sum, f.Splat(0))
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			f.SetV(v, src.Add(at).LoadV(0))
			f.SetV(sum, sum.Add(masked(f, v, rest)))
		})
		mean := f.LetV(sum.Sum().Div(count).Splat())
		f.SetV(sum, f.Splat(0))
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			f.SetV(v, src.Add(at).LoadV(0).Sub(mean))
			f.SetV(v, masked(f, v, rest))
			f.SetV(sum, e.madd(v, v, sum))
		})
		scale := f.LetV(emit.FNum(1).Div(sum.Sum().Div(count).Add(f.Param(0).LoadF(4 * nmEps)).Sqrt()).Splat())
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			f.SetV(v, src.Add(at).LoadV(0).Sub(mean).Mul(scale))
			put(f, dst.Add(at), e.madd(v, gamma.Add(at).LoadV(0), beta.Add(at).LoadV(0)), rest)
		})
	})
}

// rmsNorm: x/√(mean(x²) + eps)·gamma for each row. A unit is a row.
func (e *emitter) rmsNorm(f *emit.Func) {
	x, out, d, gamma := arg(f, nmX), arg(f, nmOut), arg(f, nmD), arg(f, nmGamma)
	src, dst, v, sum := f.Int(), f.Int(), f.Vector(), f.Vector()
	count := f.LetF(d.Float())
	units(f, func(u emit.Int) {
		f.Set(src, x.Add(u.Mul(d).Shl(2)))
		f.Set(dst, out.Add(u.Mul(d).Shl(2)))
		f.SetV(sum, f.Splat(0))
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			f.SetV(v, src.Add(at).LoadV(0))
			f.SetV(v, masked(f, v, rest))
			f.SetV(sum, e.madd(v, v, sum))
		})
		scale := f.LetV(emit.FNum(1).Div(sum.Sum().Div(count).Add(f.Param(0).LoadF(4 * nmEps)).Sqrt()).Splat())
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			put(f, dst.Add(at), src.Add(at).LoadV(0).Mul(scale).Mul(gamma.Add(at).LoadV(0)), rest)
		})
	})
}

// masked is v with zeros in the lanes past the end of a row.
func masked(f *emit.Func, v emit.Vec, rest *emit.Int) emit.Vec {
	if rest == nil {
		return v
	}
	return v.And(laneMask(*rest))
}

// softmax: exp(x − max)/Σ for each row. A unit is a row.
func (e *emitter) softmax(f *emit.Func) {
	x, out, d := arg(f, nmX), arg(f, nmOut), arg(f, nmD)
	src, dst, v, top, sum := f.Int(), f.Int(), f.Vector(), f.Vector(), f.Vector()
	units(f, func(u emit.Int) {
		f.Set(src, x.Add(u.Mul(d).Shl(2)))
		f.Set(dst, out.Add(u.Mul(d).Shl(2)))
		f.SetV(top, f.Splat(negInf))
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			f.SetV(v, src.Add(at).LoadV(0))
			if rest != nil {
				f.SetV(v, emit.Choose(laneMask(*rest), v, f.Splat(negInf)))
			}
			f.SetV(top, top.Pmax(v))
		})
		f.SetV(top, top.Top().Splat())
		f.SetV(sum, f.Splat(0))
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			f.SetV(v, e.exp2(f, src.Add(at).LoadV(0).Sub(top).Mul(f.Splat(log2e))))
			f.SetV(sum, sum.Add(masked(f, v, rest)))
			put(f, dst.Add(at), v, rest)
		})
		f.SetV(sum, emit.FNum(1).Div(sum.Sum()).Splat())
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			put(f, dst.Add(at), dst.Add(at).LoadV(0).Mul(sum), rest)
		})
	})
}

func (c *compiler) groupNorm(n *engine.Node) {
	a := n.Attrs.(engine.NormAttrs)
	images, channels := n.Shape[0], n.Shape.Dim(-1)
	pixels := n.Elems() / images / channels
	size := max(64, (pixels+63)/64) // of a chunk, in pixels
	chunks := (pixels + size - 1) / size
	args := []any{c.value(n.Inputs[0]), c.value(n), c.value(n.Inputs[1]), c.value(n.Inputs[2]), pixels, channels,
		a.Groups, size, chunks, a.Eps, int(activationCode(a.Act)), c.workspace(groupNormBytes(images, chunks, channels))}
	cost := float64(n.Elems())
	c.command(kGroupNormStats, images*chunks, 6*cost, args...)
	c.command(kGroupNormCombine, images*a.Groups, 20*float64(chunks*images*channels), args...)
	c.command(kGroupNormApply, images*chunks, 20*cost, args...)
}

func (c *compiler) layerNorm(n *engine.Node) {
	c.eachRow(kLayerNorm, n, 10, c.value(n.Inputs[1]), c.value(n.Inputs[2]), n.Attrs.(engine.NormAttrs).Eps)
}

func (c *compiler) rmsNorm(n *engine.Node) {
	c.eachRow(kRMSNorm, n, 6, c.value(n.Inputs[1]), 0, n.Attrs.(engine.NormAttrs).Eps)
}

func (c *compiler) softmax(n *engine.Node) { c.eachRow(kSoftmax, n, 30) }
