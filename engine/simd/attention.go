package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

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
	atGroup         // heads that share a head of keys and values
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
func (e *emitter) attention(f *emit.Func) {
	heads, tq, tk, hd, causal := arg(f, atHeads), arg(f, atTQ), arg(f, atTK), arg(f, atHD), arg(f, atCausal)
	blocks, zero, bias := arg(f, atBlocks), arg(f, atZero), arg(f, atBias)
	qb := e.queryBlock()
	queries := emit.Scratch()
	rowsOfP := f.Let(emit.Scratch().Plus(4 * qb))
	maxima := f.Let(emit.Scratch().Plus(8 * qb))
	sums := f.Let(emit.Scratch().Plus(12 * qb))
	scores := f.Let(emit.Scratch().Plus(16 * qb))
	lds := f.Let(emit.Least(emit.Num(keyBlock), tk.Plus(e.nr-1).Div(emit.Num(e.nr)).Times(e.nr)).Plus(scorePad).Shl(2))
	result := f.Let(scores.Add(lds.Times(qb)))
	ldr := f.Let(hd.Plus(e.nr - 1).Div(emit.Num(e.nr)).Times(4 * e.nr)) // bytes of a row of result
	scaled := f.Let(result.Add(ldr.Times(qb)))
	scale := f.LetV(f.Param(0).LoadSplat(4 * atScale).Mul(f.Splat(log2e)))
	ld := f.Let(heads.Mul(hd).Shl(2)) // bytes of a token
	headBytes := f.Let(hd.Shl(2))
	first, rows, head, seen, count, at, col, k, v, p := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(head, u.Div(blocks)) // of all batches
		f.Set(first, u.Rem(blocks).Times(qb))
		f.Set(rows, emit.Least(emit.Num(qb), tq.Sub(first)))
		offset := f.Let(head.Div(heads).Mul(tq).Add(first).Mul(ld).Add(head.Rem(heads).Mul(headBytes)))
		fillRows(f, queries, scaled, ldr, rows)
		f.Set(at, f.Param(0).Load(4*atQ).Add(offset))
		f.Each(emit.Num(0), rows, func(i emit.Int) { // the scale and log₂e, once and for all
			to := f.Let(scaled.Add(i.Mul(ldr)))
			rowVectors(f, hd, func(o emit.Int, rest *emit.Int) { f.StoreV(to.Add(o), 0, at.Add(o).LoadV(0).Mul(scale)) })
			f.Set(at, at.Add(ld))
		})
		fillRows(f, rowsOfP, scores, lds, rows)
		f.Each(emit.Num(0), rows, func(i emit.Int) {
			f.StoreF(maxima.Add(i.Shl(2)), 0, emit.FNum(negInf))
			f.StoreF(sums.Add(i.Shl(2)), 0, emit.FNum(0))
		})
		kv := f.Let(head.Div(f.Param(0).Load(4 * atGroup)))
		f.Set(k, f.Param(0).Load(4*atK).Add(kv.Mul(tk.Plus(e.nr-1).Div(emit.Num(e.nr))).Mul(headBytes).Times(e.nr)))
		f.Set(v, f.Param(0).Load(4*atV).Add(kv.Mul(tk).Mul(ldr)))
		f.Set(seen, emit.Pick(causal, first.Add(rows), tk)) // keys that any query of the block sees
		key := f.Int()
		f.Loop(key, emit.Num(0), seen, keyBlock, func() {
			f.Set(count, emit.Least(emit.Num(keyBlock), seen.Sub(key)))
			f.Loop(col, emit.Num(0), count, e.nr, func() {
				f.Call(e.micro, queries, emit.Num(1), headBytes, k, zero, scores.Add(col.Shl(2)), lds,
					emit.Num(0), emit.Num(0), emit.Num(e.nr), rows)
				f.Set(k, k.Add(headBytes.Times(e.nr)))
			})
			f.Each(emit.Num(0), rows, func(i emit.Int) {
				f.When(bias, func() {
					to, from := f.Let(scores.Add(i.Mul(lds))), f.Let(bias.Add(head.Div(heads).Mul(tk).Add(key).Shl(2)))
					rowVectors(f, count, func(o emit.Int, rest *emit.Int) {
						add := from.Add(o).LoadV(0).Pmax(f.Splat(lowest)).Mul(f.Splat(log2e))
						f.StoreV(to.Add(o), 0, to.Add(o).LoadV(0).Add(add))
					})
				})
				own := f.Let(first.Add(i).Sub(key).Plus(1)) // keys up to the query's own, in this block
				visible := f.Let(emit.Pick(causal, emit.Least(count, emit.Pick(own.Gt(emit.Num(0)), own, emit.Num(0))), count))
				e.softmaxStep(f, scores.Add(i.Mul(lds)), visible, count,
					maxima.Add(i.Shl(2)), sums.Add(i.Shl(2)), f.Let(result.Add(i.Mul(ldr))), ldr, key)
			})
			f.Set(p, v.Add(key.Times(4*e.nr)))
			f.Loop(at, emit.Num(0), ldr, 4*e.nr, func() {
				f.Call(e.micro, rowsOfP, emit.Num(1), count.Shl(2), p, zero, result.Add(at), ldr,
					emit.Pick(key, result.Add(at), emit.Num(0)), ldr, emit.Num(e.nr), rows)
				f.Set(p, p.Add(tk.Times(4*e.nr)))
			})
		})
		f.Set(at, f.Param(0).Load(4*atOut).Add(offset))
		f.Each(emit.Num(0), rows, func(i emit.Int) {
			inv := f.LetV(f.Splat(1).Div(sums.Add(i.Shl(2)).LoadSplat(0)))
			from := f.Let(result.Add(i.Mul(ldr)))
			rowVectors(f, hd, func(o emit.Int, rest *emit.Int) { put(f, at.Add(o), from.Add(o).LoadV(0).Mul(inv), rest) })
			f.Set(at, at.Add(ld))
		})
	})
}

// softmaxStep turns the visible scores of one row into 2^(score − max) and the
// rest up to count into zeros, and brings the row's maximum, sum and result to
// the new maximum. key is 0 for the first block, when there is no result yet.
func (e *emitter) softmaxStep(f *emit.Func, row, visible, count, maximum, sum, result, ldr, key emit.Int) {
	row = f.Let(row)
	at, whole := f.Int(), f.Let(visible.And(emit.Num(-16)).Shl(2))
	x, top := f.Vectors(4), f.Vectors(4)
	// walk runs body on vectors of the row: four at a time, then one, then
	// what is left, masked.
	walk := func(body func(i int, at emit.Int, rest *emit.Int)) {
		f.Loop(at, emit.Num(0), whole, 64, func() {
			for i := range 4 {
				body(i, at, nil)
			}
		})
		rowVectors(f, visible.And(emit.Num(15)), func(more emit.Int, rest *emit.Int) { body(0, whole.Add(more), rest) })
	}
	for i := range top {
		f.SetV(top[i], f.Splat(negInf))
	}
	walk(func(i int, at emit.Int, rest *emit.Int) {
		f.SetV(x[i], row.Add(at).LoadV(16*i))
		if rest != nil {
			f.SetV(x[i], emit.Choose(laneMask(*rest), x[i], f.Splat(negInf)))
		}
		f.SetV(top[i], top[i].Pmax(x[i]))
	})
	f.SetV(top[0], top[0].Pmax(top[1]).Pmax(top[2].Pmax(top[3])))
	old := f.LetF(maximum.LoadF(0))
	now := f.LetF(old.Max(top[0].Top()))
	f.StoreF(maximum, 0, now)
	shift := f.LetV(now.Splat())
	total := top
	for i := range total {
		f.SetV(total[i], f.Splat(0))
	}
	walk(func(i int, at emit.Int, rest *emit.Int) {
		f.SetV(x[i], e.exp2(f, row.Add(at).LoadV(16*i).Sub(shift)))
		f.SetV(x[i], masked(f, x[i], rest))
		f.StoreV(row.Add(at), 16*i, x[i])
		f.SetV(total[i], total[i].Add(x[i]))
	})
	f.SetV(total[0], total[0].Add(total[1]).Add(total[2].Add(total[3])))
	f.Loop(at, visible.Plus(3).And(emit.Num(-4)), count, 4, func() { f.StoreV(row.Add(at.Shl(2)), 0, f.Splat(0)) })
	f.When(now.Ne(old), func() {
		shrink := e.exp2(f, old.Sub(now).Splat())
		f.StoreF(sum, 0, sum.LoadF(0).Mul(shrink.Lane(0)))
		f.When(key, func() {
			f.Loop(at, emit.Num(0), ldr, 16, func() {
				f.StoreV(result.Add(at), 0, result.Add(at).LoadV(0).Mul(shrink))
			})
		})
	})
	f.StoreF(sum, 0, sum.LoadF(0).Add(total[0].Sum()))
}

func (c *compiler) attention(n *engine.Node) {
	a := n.Attrs.(engine.AttentionAttrs)
	q, k, v := n.Inputs[0], n.Inputs[1], n.Inputs[2]
	b, tq, tk, d := q.Shape[0], q.Shape[1], k.Shape[1], k.Shape[2]
	hd, nr := d/a.KVHeads, c.b.fl.nr
	keyPanels, valuePanels := c.b.fl.panels(tk), c.b.fl.panels(hd)
	keyBytes := 4 * b * a.KVHeads * keyPanels * nr * hd
	keys := c.workspace(keyBytes + 4*b*a.KVHeads*valuePanels*nr*tk)
	values := keys.plus(keyBytes)
	size := float64(k.Elems())
	c.command(kPackT, b*a.KVHeads*keyPanels, 4*size, c.value(k), 4*d, keys, tk, hd, a.KVHeads, 4*tk*d, 4*hd, keyPanels)
	c.command(kPack, b*a.KVHeads*valuePanels, size, c.value(v), 4*d, values, hd, tk, a.KVHeads, 4*tk*d, 4*hd, valuePanels)
	causal := 0
	if a.Causal {
		causal = 1
	}
	bias := place{}
	if a.Bias {
		bias = c.value(n.Inputs[3])
	}
	blocks := (tq + c.b.fl.queryBlock() - 1) / c.b.fl.queryBlock()
	c.scratch = max(c.scratch, c.b.fl.attentionScratch(hd))
	c.command(kAttention, b*a.Heads*blocks, 4*float64(tk)*float64(q.Elems()), c.value(q), keys, values, c.value(n),
		a.Heads, tq, tk, hd, a.Scale, causal, blocks, c.zeros(4*nr), bias, a.Heads/a.KVHeads)
}
