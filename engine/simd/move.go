package simd

import "wisp/wasm/emit"

// Arguments of kMove: strided copies, which make slices, concatenations and
// permutations. A unit is a run of n elements; the outer dimensions, innermost
// first, have an extent and the strides of source and destination in bytes.
const (
	mvSrc = iota
	mvDst
	mvN    // elements of a run
	mvStep // bytes between the elements of a run in the source; the destination is contiguous
	mvRank
	mvDims // extent, source stride, destination stride for each
)

// move copies runs.
func (e *emitter) move(f *emit.Func) {
	n, step, rank := arg(f, mvN), arg(f, mvStep), arg(f, mvRank)
	src, dst, rest, dim, i := f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	v := f.Vector()
	units(f, func(u emit.Int) {
		f.Set(src, f.Param(0).Load(4*mvSrc))
		f.Set(dst, f.Param(0).Load(4*mvDst))
		f.Set(rest, u)
		f.Set(dim, f.Param(0))
		f.Loop(i, emit.Num(0), rank, 1, func() {
			f.Set(src, src.Add(rest.Rem(dim.Load(4*mvDims)).Mul(dim.Load(4*mvDims+4))))
			f.Set(dst, dst.Add(rest.Rem(dim.Load(4*mvDims)).Mul(dim.Load(4*mvDims+8))))
			f.Set(rest, rest.Div(dim.Load(4*mvDims)))
			f.Set(dim, dim.Plus(12))
		})
		f.IfElse(step.Eq(emit.Num(4)), func() {
			rowVectors(f, n, func(at emit.Int, rest *emit.Int) { put(f, dst.Add(at), src.Add(at).LoadV(0), rest) })
		}, func() {
			f.Loop(i, emit.Num(3), n, 4, func() {
				f.SetV(v, src.LoadSplat(0))
				for l := 1; l < 4; l++ {
					f.Set(src, src.Add(step))
					f.SetV(v, src.LoadLane(0, v, byte(l)))
				}
				f.Set(src, src.Add(step))
				f.StoreV(dst, 0, v)
				f.Set(dst, dst.Plus(16))
			})
			f.Loop(i, i.Plus(-3), n, 1, func() {
				f.StoreF(dst, 0, src.LoadF(0))
				f.Set(src, src.Add(step))
				f.Set(dst, dst.Plus(4))
			})
		})
	})
}

// Arguments of kUpsample2D.
const (
	usX    = iota // (n, h, w, c)
	usOut         // (n, outH, outW, c)
	usH           //
	usW           //
	usOutH        //
	usOutW        //
	usC           //
	usWords
)

// upsample2d: out[n,y,x] = in[n, ⌊y·h/h'⌋, ⌊x·w/w'⌋]. A unit is an output line.
func (e *emitter) upsample2d(f *emit.Func) {
	h, w, outH, outW, c := arg(f, usH), arg(f, usW), arg(f, usOutH), arg(f, usOutW), arg(f, usC)
	line, src, dst := f.Int(), f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(line, f.Param(0).Load(4*usX).
			Add(u.Div(outH).Mul(h).Add(u.Rem(outH).Mul(h).Div(outH)).Mul(w).Mul(c).Shl(2)))
		f.Set(dst, f.Param(0).Load(4*usOut).Add(u.Mul(outW).Mul(c).Shl(2)))
		f.Each(emit.Num(0), outW, func(x emit.Int) {
			f.Set(src, line.Add(x.Mul(w).Div(outW).Mul(c).Shl(2)))
			rowVectors(f, c, func(at emit.Int, rest *emit.Int) { put(f, dst.Add(at), src.Add(at).LoadV(0), rest) })
			f.Set(dst, dst.Add(c.Shl(2)))
		})
	})
}

// Arguments of kEmbedding.
const (
	emTable = iota // the stored tensor
	emIDs          // i32, validated by the host
	emOut          //
	emRows         // of the table
	emD            // elements of a row
	emDType        // engine.DType of the table
	emWords
)

// embedding: out[i] = table[ids[i]], converted to f32. A unit is an id.
func (e *emitter) embedding(f *emit.Func) {
	table, ids, out, rows, d, dtype := arg(f, emTable), arg(f, emIDs), arg(f, emOut), arg(f, emRows), arg(f, emD), arg(f, emDType)
	units(f, func(u emit.Int) {
		f.Call(e.convertRow, table, out.Add(u.Mul(d).Shl(2)), ids.Add(u.Shl(2)).Load(0), rows, d, dtype)
	})
}
