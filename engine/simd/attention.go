package simd

// Arguments of kAttention. The keys (as the transposed right side of q·kᵀ) and
// the values (of p·v) of each head are packed beforehand.
const (
	atQ      = iota // (b, tq, heads·hd)
	atK             // panels of each batch and head
	atV             // panels of each batch and head
	atOut           // as q
	atHeads         //
	atTQ            //
	atTK            //
	atHD            // size of a head
	atScale         // f32
	atCausal        // 0 or 1
	atBlocks        // units a head: ceil(tq/queryBlock)
	atZero          // address of nr zeros
	atBias          // (b, tk), added to the scores, or 0
	atWords
)

// A unit of attention is a block of queries of one head; it walks the keys in
// blocks. Scores and keys of a block stay in the second-level cache; a longer
// block than 512 gains nothing, one of 128 costs a tenth.
const keyBlock = 512

// scorePad keeps the rows of scores from falling on the same lines of the cache.
const scorePad = 16

func (fl flavour) queryBlock() int { return 8 * fl.mr }

// attentionScratch is the scratch memory of a unit, in bytes: pointers to the
// queries and to the scores, running maxima and sums, scores, results, queries.
func (fl flavour) attentionScratch(hd int) int {
	return 4 * fl.queryBlock() * (4 + keyBlock + scorePad + 2*roundUp(hd, fl.nr))
}

// lowest bounds a bias, so that no score becomes −∞ and no difference of two NaN.
const lowest = -1e38

// attention computes softmax(scale·q·kᵀ + bias)·v with a running maximum and sum
// (Milakov & Gimelshein 2018; Dao et al. 2022): no row of scores is ever whole.
func (e *emitter) attention(f *fn) {
	heads, tq, tk, hd, causal := f.arg(atHeads), f.arg(atTQ), f.arg(atTK), f.arg(atHD), f.arg(atCausal)
	blocks, zero, bias := f.arg(atBlocks), f.arg(atZero), f.arg(atBias)
	qb := e.queryBlock()
	queries := scratch()
	rowsOfP := f.let(scratch().plus(4 * qb))
	maxima := f.let(scratch().plus(8 * qb))
	sums := f.let(scratch().plus(12 * qb))
	scores := f.let(scratch().plus(16 * qb))
	lds := f.let(least(num(keyBlock), tk.plus(e.nr-1).div(num(e.nr)).times(e.nr)).plus(scorePad).shl(2))
	result := f.let(scores.add(lds.times(qb)))
	ldr := f.let(hd.plus(e.nr - 1).div(num(e.nr)).times(4 * e.nr)) // bytes of a row of result
	scaled := f.let(result.add(ldr.times(qb)))
	scale := f.letV(f.param(0).loadSplat(4 * atScale).mul(f.splat(log2e)))
	ld := f.let(heads.mul(hd).shl(2)) // bytes of a token
	headBytes := f.let(hd.shl(2))
	first, rows, head, seen, count, at, col, k, v, p := f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()
	f.units(func(u i32v) {
		f.set(head, u.div(blocks)) // of all batches
		f.set(first, u.rem(blocks).times(qb))
		f.set(rows, least(num(qb), tq.sub(first)))
		offset := f.let(head.div(heads).mul(tq).add(first).mul(ld).add(head.rem(heads).mul(headBytes)))
		f.fillRows(queries, scaled, ldr, rows)
		f.set(at, f.param(0).load(4*atQ).add(offset))
		f.each(num(0), rows, func(i i32v) { // the scale and log₂e, once and for all
			to := f.let(scaled.add(i.mul(ldr)))
			f.rowVectors(hd, func(o i32v, rest *i32v) { f.storeV(to.add(o), 0, at.add(o).loadV(0).mul(scale)) })
			f.set(at, at.add(ld))
		})
		f.fillRows(rowsOfP, scores, lds, rows)
		f.each(num(0), rows, func(i i32v) {
			f.storeF(maxima.add(i.shl(2)), 0, fnum(negInf))
			f.storeF(sums.add(i.shl(2)), 0, fnum(0))
		})
		f.set(k, f.param(0).load(4*atK).add(head.mul(tk.plus(e.nr-1).div(num(e.nr))).mul(headBytes).times(e.nr)))
		f.set(v, f.param(0).load(4*atV).add(head.mul(tk).mul(ldr)))
		f.set(seen, pick(causal, first.add(rows), tk)) // keys that any query of the block sees
		key := f.int()
		f.loop(key, num(0), seen, keyBlock, func() {
			f.set(count, least(num(keyBlock), seen.sub(key)))
			f.loop(col, num(0), count, e.nr, func() {
				f.call(e.micro, queries, num(1), headBytes, k, zero, scores.add(col.shl(2)), lds,
					num(0), num(0), num(e.nr), rows)
				f.set(k, k.add(headBytes.times(e.nr)))
			})
			f.each(num(0), rows, func(i i32v) {
				f.when(bias, func() {
					to, from := f.let(scores.add(i.mul(lds))), f.let(bias.add(head.div(heads).mul(tk).add(key).shl(2)))
					f.rowVectors(count, func(o i32v, rest *i32v) {
						add := from.add(o).loadV(0).pmax(f.splat(lowest)).mul(f.splat(log2e))
						f.storeV(to.add(o), 0, to.add(o).loadV(0).add(add))
					})
				})
				own := f.let(first.add(i).sub(key).plus(1)) // keys up to the query's own, in this block
				visible := f.let(pick(causal, least(count, pick(own.gt(num(0)), own, num(0))), count))
				e.softmaxStep(f, scores.add(i.mul(lds)), visible, count,
					maxima.add(i.shl(2)), sums.add(i.shl(2)), f.let(result.add(i.mul(ldr))), ldr, key)
			})
			f.set(p, v.add(key.times(4*e.nr)))
			f.loop(at, num(0), ldr, 4*e.nr, func() {
				f.call(e.micro, rowsOfP, num(1), count.shl(2), p, zero, result.add(at), ldr,
					pick(key, result.add(at), num(0)), ldr, num(e.nr), rows)
				f.set(p, p.add(tk.times(4*e.nr)))
			})
		})
		f.set(at, f.param(0).load(4*atOut).add(offset))
		f.each(num(0), rows, func(i i32v) {
			inv := f.letV(f.splat(1).div(sums.add(i.shl(2)).loadSplat(0)))
			from := f.let(result.add(i.mul(ldr)))
			f.rowVectors(hd, func(o i32v, rest *i32v) { f.put(at.add(o), from.add(o).loadV(0).mul(inv), rest) })
			f.set(at, at.add(ld))
		})
	})
}

// softmaxStep turns the visible scores of one row into 2^(score − max) and the
// rest up to count into zeros, and brings the row's maximum, sum and result to
// the new maximum. key is 0 for the first block, when there is no result yet.
func (e *emitter) softmaxStep(f *fn, row, visible, count, maximum, sum, result, ldr, key i32v) {
	row = f.let(row)
	at, whole := f.int(), f.let(visible.and(num(-16)).shl(2))
	x, top := f.vectors(4), f.vectors(4)
	// walk runs body on vectors of the row: four at a time, then one, then
	// what is left, masked.
	walk := func(body func(i int, at i32v, rest *i32v)) {
		f.loop(at, num(0), whole, 64, func() {
			for i := range 4 {
				body(i, at, nil)
			}
		})
		f.rowVectors(visible.and(num(15)), func(more i32v, rest *i32v) { body(0, whole.add(more), rest) })
	}
	for i := range top {
		f.setV(top[i], f.splat(negInf))
	}
	walk(func(i int, at i32v, rest *i32v) {
		f.setV(x[i], row.add(at).loadV(16*i))
		if rest != nil {
			f.setV(x[i], choose(laneMask(*rest), x[i], f.splat(negInf)))
		}
		f.setV(top[i], top[i].pmax(x[i]))
	})
	f.setV(top[0], top[0].pmax(top[1]).pmax(top[2].pmax(top[3])))
	old := f.letF(maximum.loadF(0))
	now := f.letF(old.max(top[0].top()))
	f.storeF(maximum, 0, now)
	shift := f.letV(now.splat())
	total := top
	for i := range total {
		f.setV(total[i], f.splat(0))
	}
	walk(func(i int, at i32v, rest *i32v) {
		f.setV(x[i], e.exp2(f, row.add(at).loadV(16*i).sub(shift)))
		f.setV(x[i], f.masked(x[i], rest))
		f.storeV(row.add(at), 16*i, x[i])
		f.setV(total[i], total[i].add(x[i]))
	})
	f.setV(total[0], total[0].add(total[1]).add(total[2].add(total[3])))
	f.loop(at, visible.plus(3).and(num(-4)), count, 4, func() { f.storeV(row.add(at.shl(2)), 0, f.splat(0)) })
	f.when(now.ne(old), func() {
		shrink := e.exp2(f, old.sub(now).splat())
		f.storeF(sum, 0, sum.loadF(0).mul(shrink.lane(0)))
		f.when(key, func() {
			f.loop(at, num(0), ldr, 16, func() {
				f.storeV(result.add(at), 0, result.add(at).loadV(0).mul(shrink))
			})
		})
	})
	f.storeF(sum, 0, sum.loadF(0).add(total[0].sum()))
}
