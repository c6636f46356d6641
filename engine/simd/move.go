package simd

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
func (e *emitter) move(f *fn) {
	n, step, rank := f.arg(mvN), f.arg(mvStep), f.arg(mvRank)
	src, dst, rest, dim, i := f.int(), f.int(), f.int(), f.int(), f.int()
	v := f.vector()
	f.units(func(u i32v) {
		f.set(src, f.param(0).load(4*mvSrc))
		f.set(dst, f.param(0).load(4*mvDst))
		f.set(rest, u)
		f.set(dim, f.param(0))
		f.loop(i, num(0), rank, 1, func() {
			f.set(src, src.add(rest.rem(dim.load(4*mvDims)).mul(dim.load(4*mvDims+4))))
			f.set(dst, dst.add(rest.rem(dim.load(4*mvDims)).mul(dim.load(4*mvDims+8))))
			f.set(rest, rest.div(dim.load(4*mvDims)))
			f.set(dim, dim.plus(12))
		})
		f.ifElse(step.eq(num(4)), func() {
			f.rowVectors(n, func(at i32v, rest *i32v) { f.put(dst.add(at), src.add(at).loadV(0), rest) })
		}, func() {
			f.loop(i, num(3), n, 4, func() {
				f.setV(v, src.loadSplat(0))
				for l := 1; l < 4; l++ {
					f.set(src, src.add(step))
					f.setV(v, src.loadLane(0, v, byte(l)))
				}
				f.set(src, src.add(step))
				f.storeV(dst, 0, v)
				f.set(dst, dst.plus(16))
			})
			f.loop(i, i.plus(-3), n, 1, func() {
				f.storeF(dst, 0, src.loadF(0))
				f.set(src, src.add(step))
				f.set(dst, dst.plus(4))
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
func (e *emitter) upsample2d(f *fn) {
	h, w, outH, outW, c := f.arg(usH), f.arg(usW), f.arg(usOutH), f.arg(usOutW), f.arg(usC)
	line, src, dst := f.int(), f.int(), f.int()
	f.units(func(u i32v) {
		f.set(line, f.param(0).load(4*usX).
			add(u.div(outH).mul(h).add(u.rem(outH).mul(h).div(outH)).mul(w).mul(c).shl(2)))
		f.set(dst, f.param(0).load(4*usOut).add(u.mul(outW).mul(c).shl(2)))
		f.each(num(0), outW, func(x i32v) {
			f.set(src, line.add(x.mul(w).div(outW).mul(c).shl(2)))
			f.rowVectors(c, func(at i32v, rest *i32v) { f.put(dst.add(at), src.add(at).loadV(0), rest) })
			f.set(dst, dst.add(c.shl(2)))
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
func (e *emitter) embedding(f *fn) {
	table, ids, out, rows, d, dtype := f.arg(emTable), f.arg(emIDs), f.arg(emOut), f.arg(emRows), f.arg(emD), f.arg(emDType)
	f.units(func(u i32v) {
		f.call(e.convertRow, table, out.add(u.mul(d).shl(2)), ids.add(u.shl(2)).load(0), rows, d, dtype)
	})
}
