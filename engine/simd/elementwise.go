package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

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
func (e *emitter) elementwise(op func(a, b emit.Vec) emit.Vec) func(f *emit.Func) {
	return func(f *emit.Func) {
		n, total, rank := arg(f, ewN), arg(f, ewTotal), arg(f, ewRank)
		a, b, dst, rest, dim, i, count := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
		units(f, func(u emit.Int) {
			f.Set(count, emit.Least(n, total.Sub(u.Mul(n))))
			f.Set(dst, f.Param(0).Load(4*ewOut).Add(u.Mul(n).Shl(2)))
			f.Set(a, f.Param(0).Load(4*ewA))
			f.Set(b, f.Param(0).Load(4*ewB))
			f.Set(rest, u)
			f.Set(dim, f.Param(0))
			f.Loop(i, emit.Num(0), rank, 1, func() {
				f.Set(a, a.Add(rest.Rem(dim.Load(4*ewDims)).Mul(dim.Load(4*ewDims+4))))
				f.Set(b, b.Add(rest.Rem(dim.Load(4*ewDims)).Mul(dim.Load(4*ewDims+8))))
				f.Set(rest, rest.Div(dim.Load(4*ewDims)))
				f.Set(dim, dim.Plus(12))
			})
			va, vb := f.Vector(), f.Vector()
			row := func(loadA, loadB func(at emit.Int) emit.Vec) func() {
				return func() {
					rowVectors(f, count, func(at emit.Int, rest *emit.Int) { put(f, dst.Add(at), op(loadA(at), loadB(at)), rest) })
				}
			}
			moveA := func(at emit.Int) emit.Vec { return a.Add(at).LoadV(0) }
			moveB := func(at emit.Int) emit.Vec { return b.Add(at).LoadV(0) }
			f.SetV(va, a.LoadSplat(0))
			f.SetV(vb, b.LoadSplat(0))
			f.Choice(f.Param(0).Load(4*ewMode),
				row(moveA, moveB),
				row(moveA, func(emit.Int) emit.Vec { return vb }),
				row(func(emit.Int) emit.Vec { return va }, moveB))
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
func chunkUnits(f *emit.Func, body func(src, dst, n emit.Int)) {
	x, out, total, chunk := arg(f, unX), arg(f, unOut), arg(f, unTotal), arg(f, unChunk)
	first, n := f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(first, u.Mul(chunk))
		f.Set(n, emit.Least(chunk, total.Sub(first)))
		f.Set(first, first.Shl(2))
		body(x.Add(first), out.Add(first), n)
	})
}

// activation: out = act(x).
func (e *emitter) activation(f *emit.Func) {
	chunkUnits(f, func(src, dst, n emit.Int) { f.Call(e.act, src, dst, n, f.Param(0).Load(4*unP)) })
}

// affine: out = p·x + q.
func (e *emitter) affine(f *emit.Func) {
	p, q := f.LetV(f.Param(0).LoadSplat(4*unP)), f.LetV(f.Param(0).LoadSplat(4*unQ))
	chunkUnits(f, func(src, dst, n emit.Int) {
		rowVectors(f, n, func(at emit.Int, rest *emit.Int) { put(f, dst.Add(at), e.madd(src.Add(at).LoadV(0), p, q), rest) })
	})
}

// clamp: out = min(max(x, p), q); a NaN stays.
func (e *emitter) clamp(f *emit.Func) {
	p, q := f.LetV(f.Param(0).LoadSplat(4*unP)), f.LetV(f.Param(0).LoadSplat(4*unQ))
	chunkUnits(f, func(src, dst, n emit.Int) {
		rowVectors(f, n, func(at emit.Int, rest *emit.Int) { put(f, dst.Add(at), src.Add(at).LoadV(0).Pmax(p).Pmin(q), rest) })
	})
}

// geglu: a·GELU(gate) for the halves a, gate of each row of x.
func (e *emitter) geglu(f *emit.Func) {
	x, out, d := arg(f, unX), arg(f, unOut), arg(f, unChunk)
	src, dst, gate := f.Int(), f.Int(), f.Vector()
	units(f, func(u emit.Int) {
		f.Set(src, x.Add(u.Mul(d).Shl(3)))
		f.Set(dst, out.Add(u.Mul(d).Shl(2)))
		second := f.Let(src.Add(d.Shl(2)))
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			f.SetV(gate, second.Add(at).LoadV(0))
			put(f, dst.Add(at), src.Add(at).LoadV(0).Mul(e.gelu(f, gate)), rest)
		})
	})
}

func (c *compiler) unary(k kernelID, n *engine.Node, p, q any) {
	total := n.Elems()
	c.command(k, (total+chunk-1)/chunk, 20*float64(total), c.value(n.Inputs[0]), c.value(n), total, chunk, p, q)
}

func (c *compiler) geglu(n *engine.Node) {
	d := n.Shape.Dim(-1)
	c.command(kGEGLU, n.Elems()/d, 40*float64(n.Elems()), c.value(n.Inputs[0]), c.value(n), n.Elems(), d)
}

func (c *compiler) elementwise(n *engine.Node) {
	k := kAdd + kernelID(n.Op-engine.OpAdd)
	a, b := n.Inputs[0], n.Inputs[1]
	dims := collapse(n.Shape, a.Shape.Broadcast(n.Shape), b.Shape.Broadcast(n.Shape))
	if len(dims) == 0 {
		dims = []dim{{1, 1, 1}}
	}
	total := n.Elems()
	inner := dims[len(dims)-1]
	if len(dims) == 1 && inner.extent > chunk { // cut into units
		dims = []dim{{(total + chunk - 1) / chunk, chunk * inner.a, chunk * inner.b}, {chunk, inner.a, inner.b}}
		inner = dims[1]
	}
	mode := 0
	if inner.b == 0 {
		mode = 1
	} else if inner.a == 0 {
		mode = 2
	}
	args := append([]any{c.value(n), c.value(a), c.value(b), inner.extent, total, mode}, outerDims(dims)...)
	c.command(k, (total+inner.extent-1)/inner.extent, 2*float64(total), args...)
}
