package simd

// Arguments of kAdd, kSub and kMul. The result is walked in rows of n
// elements along which each operand either moves or stays; outer dimensions,
// innermost first, have an extent and the operands' strides in bytes.
const (
	ewOut = iota
	ewA
	ewB
	ewN     // elements of a row
	ewTotal // elements of the result
	ewMode  // 0: both move, 1: b stays, 2: a stays
	ewRank  // outer dimensions
	ewDims  // extent, stride of a, stride of b for each
)

// elementwise: out = op(a, b) with broadcasting. A unit is a row; the last one
// may be short where a long row was cut.
func (e *emitter) elementwise(op func(a, b vec) vec) func(f *fn) {
	return func(f *fn) {
		n, total, rank := f.arg(ewN), f.arg(ewTotal), f.arg(ewRank)
		a, b, dst, rest, dim, i, count := f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()
		f.units(func(u i32v) {
			f.set(count, least(n, total.sub(u.mul(n))))
			f.set(dst, f.param(0).load(4*ewOut).add(u.mul(n).shl(2)))
			f.set(a, f.param(0).load(4*ewA))
			f.set(b, f.param(0).load(4*ewB))
			f.set(rest, u)
			f.set(dim, f.param(0))
			f.loop(i, num(0), rank, 1, func() {
				f.set(a, a.add(rest.rem(dim.load(4*ewDims)).mul(dim.load(4*ewDims+4))))
				f.set(b, b.add(rest.rem(dim.load(4*ewDims)).mul(dim.load(4*ewDims+8))))
				f.set(rest, rest.div(dim.load(4*ewDims)))
				f.set(dim, dim.plus(12))
			})
			va, vb := f.vector(), f.vector()
			row := func(loadA, loadB func(at i32v) vec) func() {
				return func() {
					f.rowVectors(count, func(at i32v, rest *i32v) { f.put(dst.add(at), op(loadA(at), loadB(at)), rest) })
				}
			}
			moveA := func(at i32v) vec { return a.add(at).loadV(0) }
			moveB := func(at i32v) vec { return b.add(at).loadV(0) }
			f.setV(va, a.loadSplat(0))
			f.setV(vb, b.loadSplat(0))
			f.choice(f.param(0).load(4*ewMode),
				row(moveA, moveB),
				row(moveA, func(i32v) vec { return vb }),
				row(func(i32v) vec { return va }, moveB))
		})
	}
}

// Arguments of the maps of one tensor: kActivation, kAffine, kClamp, kGEGLU.
const (
	unX     = iota
	unOut   //
	unTotal // elements of the result
	unChunk // elements of a unit; for kGEGLU those of a row of the result
	unP     // activationCode, or f32: factor, lower bound
	unQ     // f32: summand, upper bound
	unWords
)

// chunkUnits runs body with the source and destination of each unit and its
// number of elements.
func (f *fn) chunkUnits(body func(src, dst, n i32v)) {
	x, out, total, chunk := f.arg(unX), f.arg(unOut), f.arg(unTotal), f.arg(unChunk)
	first, n := f.int(), f.int()
	f.units(func(u i32v) {
		f.set(first, u.mul(chunk))
		f.set(n, least(chunk, total.sub(first)))
		f.set(first, first.shl(2))
		body(x.add(first), out.add(first), n)
	})
}

// activation: out = act(x).
func (e *emitter) activation(f *fn) {
	f.chunkUnits(func(src, dst, n i32v) { f.call(e.act, src, dst, n, f.param(0).load(4*unP)) })
}

// affine: out = p·x + q.
func (e *emitter) affine(f *fn) {
	p, q := f.letV(f.param(0).loadSplat(4*unP)), f.letV(f.param(0).loadSplat(4*unQ))
	f.chunkUnits(func(src, dst, n i32v) {
		f.rowVectors(n, func(at i32v, rest *i32v) { f.put(dst.add(at), e.madd(src.add(at).loadV(0), p, q), rest) })
	})
}

// clamp: out = min(max(x, p), q); a NaN stays.
func (e *emitter) clamp(f *fn) {
	p, q := f.letV(f.param(0).loadSplat(4*unP)), f.letV(f.param(0).loadSplat(4*unQ))
	f.chunkUnits(func(src, dst, n i32v) {
		f.rowVectors(n, func(at i32v, rest *i32v) { f.put(dst.add(at), src.add(at).loadV(0).pmax(p).pmin(q), rest) })
	})
}

// geglu: a·GELU(gate) for the halves a, gate of each row of x.
func (e *emitter) geglu(f *fn) {
	x, out, d := f.arg(unX), f.arg(unOut), f.arg(unChunk)
	src, dst, gate := f.int(), f.int(), f.vector()
	f.units(func(u i32v) {
		f.set(src, x.add(u.mul(d).shl(3)))
		f.set(dst, out.add(u.mul(d).shl(2)))
		second := f.let(src.add(d.shl(2)))
		f.rowVectors(d, func(at i32v, rest *i32v) {
			f.setV(gate, second.add(at).loadV(0))
			f.put(dst.add(at), src.add(at).loadV(0).mul(e.gelu(f, gate)), rest)
		})
	})
}
