package simd

import "math"

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
func (e *emitter) groupNormStats(f *fn) {
	pixels, c, size, chunks := f.arg(gnPixels), f.arg(gnC), f.arg(gnChunk), f.arg(gnChunks)
	ld, padded := f.let(c.shl(2)), f.let(c.plus(3).and(num(-4)).shl(2))
	image, first, base, count, dst, at, i, p := f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()
	f.units(func(u i32v) {
		f.set(image, u.div(chunks))
		f.set(first, u.rem(chunks).mul(size))
		f.set(count, least(size, pixels.sub(first)))
		f.set(base, f.param(0).load(4*gnX).add(image.mul(pixels).mul(ld)))
		f.set(dst, groupNormImage(f, image, chunks, padded).add(u.rem(chunks).plus(1).mul(padded).shl(1)))
		channels := func(nv int) { // 4·nv channels from at
			pivot, sum, square, x := f.vectors(nv), f.vectors(nv), f.vectors(nv), f.vector()
			for v := range nv {
				f.setV(pivot[v], base.add(at).loadV(16*v))
				f.setV(sum[v], f.splat(0))
				f.setV(square[v], f.splat(0))
			}
			f.set(p, base.add(first.mul(ld)).add(at))
			f.loop(i, num(0), count, 1, func() {
				for v := range nv {
					f.setV(x, p.loadV(16*v).sub(pivot[v]))
					f.setV(sum[v], sum[v].add(x))
					f.setV(square[v], e.madd(x, x, square[v]))
				}
				f.set(p, p.add(ld))
			})
			for v := range nv {
				f.storeV(dst.add(at), 16*v, sum[v])
				f.storeV(dst.add(at).add(padded), 16*v, square[v])
			}
			f.set(at, at.plus(16*nv))
		}
		f.set(at, num(0))
		f.while(at.plus(63).lt(padded), func() { channels(4) })
		f.while(at.lt(padded), func() { channels(1) })
	})
}

// groupNormImage is the address of an image's work memory.
func groupNormImage(f *fn, image, chunks, padded i32v) i32v {
	return f.param(0).load(4 * gnStats).add(image.mul(chunks.plus(1)).mul(padded).shl(1))
}

// groupNormCombine turns the sums into y = x·scale + shift for each channel:
// the chunks' sums are added, and the channels of a group are merged by Chan et
// al. 1979, both in f64. A unit is a group of an image.
func (e *emitter) groupNormCombine(f *fn) {
	pixels, c, groups, chunks := f.arg(gnPixels), f.arg(gnC), f.arg(gnGroups), f.arg(gnChunks)
	ld, padded, per := f.let(c.shl(2)), f.let(c.plus(3).and(num(-4)).shl(2)), f.let(c.div(groups))
	image, base, stats, ch, end, p, j := f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()
	count, sum, square := f.double(), f.double(), f.double()
	mean, spread, m, d, seen := f.double(), f.double(), f.double(), f.double(), f.double()
	f.setD(count, pixels.double())
	f.units(func(u i32v) {
		f.set(image, u.div(groups))
		f.set(base, f.param(0).load(4*gnX).add(image.mul(pixels).mul(ld)))
		f.set(stats, groupNormImage(f, image, chunks, padded))
		start := f.let(u.rem(groups).mul(per).shl(2))
		f.set(end, start.add(per.shl(2)))
		f.setD(mean, dnum(0))
		f.setD(spread, dnum(0))
		f.setD(seen, dnum(0))
		f.loop(ch, start, end, 4, func() {
			f.setD(sum, dnum(0))
			f.setD(square, dnum(0))
			f.set(p, stats.add(padded.shl(1)).add(ch))
			f.loop(j, num(0), chunks, 1, func() {
				f.setD(sum, sum.add(p.loadF(0).double()))
				f.setD(square, square.add(p.add(padded).loadF(0).double()))
				f.set(p, p.add(padded.shl(1)))
			})
			// This channel's mean and spread, merged into those of the channels before.
			f.setD(m, base.add(ch).loadF(0).double().add(sum.div(count)))
			f.setD(d, m.sub(mean))
			f.setD(spread, spread.add(square.sub(sum.mul(sum).div(count))).
				add(d.mul(d).mul(count).mul(seen).div(seen.add(dnum(1)))))
			f.setD(seen, seen.add(dnum(1)))
			f.setD(mean, mean.add(d.div(seen)))
		})
		rstd := f.double()
		f.setD(rstd, dnum(1).div(spread.div(count.mul(seen)).add(f.param(0).loadF(4*gnEps).double()).sqrt()))
		scale := f.double()
		f.loop(ch, start, end, 4, func() {
			f.setD(scale, rstd.mul(f.param(0).load(4*gnGamma).add(ch).loadF(0).double()))
			f.storeF(stats.add(ch), 0, scale.single())
			f.storeF(stats.add(padded).add(ch), 0, f.param(0).load(4*gnBeta).add(ch).loadF(0).double().sub(mean.mul(scale)).single())
		})
	})
}

// groupNormApply writes act(x·scale + shift). A unit is a chunk.
func (e *emitter) groupNormApply(f *fn) {
	pixels, c, size, chunks, act := f.arg(gnPixels), f.arg(gnC), f.arg(gnChunk), f.arg(gnChunks), f.arg(gnAct)
	ld, padded := f.let(c.shl(2)), f.let(c.plus(3).and(num(-4)).shl(2))
	image, first, count, scale, shift, src, dst := f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()
	f.units(func(u i32v) {
		f.set(image, u.div(chunks))
		f.set(first, u.rem(chunks).mul(size))
		f.set(count, least(size, pixels.sub(first)))
		f.set(scale, groupNormImage(f, image, chunks, padded))
		f.set(shift, scale.add(padded))
		offset := f.let(image.mul(pixels).add(first).mul(ld))
		f.set(src, f.param(0).load(4*gnX).add(offset))
		f.set(dst, f.param(0).load(4*gnOut).add(offset))
		chunk := f.let(dst)
		f.each(num(0), count, func(i32v) {
			f.rowVectors(c, func(at i32v, rest *i32v) {
				f.put(dst.add(at), e.madd(src.add(at).loadV(0), scale.add(at).loadV(0), shift.add(at).loadV(0)), rest)
			})
			f.set(src, src.add(ld))
			f.set(dst, dst.add(ld))
		})
		f.when(act, func() { f.call(e.act, chunk, chunk, count.mul(c), act) })
	})
}

// Arguments of kLayerNorm and kSoftmax.
const (
	nmX     = iota
	nmOut   //
	nmD     // elements of a row
	nmGamma // kLayerNorm only
	nmBeta
	nmEps // f32
	nmWords
)

// layerNorm: (x − mean)/√(var + eps)·gamma + beta for each row. A unit is a row.
func (e *emitter) layerNorm(f *fn) {
	x, out, d, gamma, beta := f.arg(nmX), f.arg(nmOut), f.arg(nmD), f.arg(nmGamma), f.arg(nmBeta)
	src, dst, v, sum := f.int(), f.int(), f.vector(), f.vector()
	count := f.letF(d.float())
	f.units(func(u i32v) {
		f.set(src, x.add(u.mul(d).shl(2)))
		f.set(dst, out.add(u.mul(d).shl(2)))
		f.setV(sum, f.splat(0))
		f.rowVectors(d, func(at i32v, rest *i32v) {
			f.setV(v, src.add(at).loadV(0))
			f.setV(sum, sum.add(f.masked(v, rest)))
		})
		mean := f.letV(sum.sum().div(count).splat())
		f.setV(sum, f.splat(0))
		f.rowVectors(d, func(at i32v, rest *i32v) {
			f.setV(v, src.add(at).loadV(0).sub(mean))
			f.setV(v, f.masked(v, rest))
			f.setV(sum, e.madd(v, v, sum))
		})
		scale := f.letV(fnum(1).div(sum.sum().div(count).add(f.param(0).loadF(4 * nmEps)).sqrt()).splat())
		f.rowVectors(d, func(at i32v, rest *i32v) {
			f.setV(v, src.add(at).loadV(0).sub(mean).mul(scale))
			f.put(dst.add(at), e.madd(v, gamma.add(at).loadV(0), beta.add(at).loadV(0)), rest)
		})
	})
}

// masked is v with zeros in the lanes past the end of a row.
func (f *fn) masked(v vec, rest *i32v) vec {
	if rest == nil {
		return v
	}
	return v.and(laneMask(*rest))
}

// softmax: exp(x − max)/Σ for each row. A unit is a row.
func (e *emitter) softmax(f *fn) {
	x, out, d := f.arg(nmX), f.arg(nmOut), f.arg(nmD)
	src, dst, v, top, sum := f.int(), f.int(), f.vector(), f.vector(), f.vector()
	f.units(func(u i32v) {
		f.set(src, x.add(u.mul(d).shl(2)))
		f.set(dst, out.add(u.mul(d).shl(2)))
		f.setV(top, f.splat(negInf))
		f.rowVectors(d, func(at i32v, rest *i32v) {
			f.setV(v, src.add(at).loadV(0))
			if rest != nil {
				f.setV(v, choose(laneMask(*rest), v, f.splat(negInf)))
			}
			f.setV(top, top.pmax(v))
		})
		f.setV(top, top.top().splat())
		f.setV(sum, f.splat(0))
		f.rowVectors(d, func(at i32v, rest *i32v) {
			f.setV(v, e.exp2(f, src.add(at).loadV(0).sub(top).mul(f.splat(log2e))))
			f.setV(sum, sum.add(f.masked(v, rest)))
			f.put(dst.add(at), v, rest)
		})
		f.setV(sum, fnum(1).div(sum.sum()).splat())
		f.rowVectors(d, func(at i32v, rest *i32v) {
			f.put(dst.add(at), dst.add(at).loadV(0).mul(sum), rest)
		})
	})
}
