package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

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

func (c *compiler) embedding(n *engine.Node) {
	table, ids := n.Inputs[0], n.Inputs[1]
	rows, d := table.Shape[0], table.Shape[1]
	switch r := engine.Root(ids); r.Op {
	case engine.OpInput:
		c.ids = append(c.ids, idCheck{r.Name, rows})
	case engine.OpConst:
		if err := checkIDs(r.Attrs.(engine.ConstAttrs).Value, rows); err != nil {
			c.fail(err)
		}
	}
	var src place
	dtype := engine.F32
	if w := c.weights[engine.Root(table).Name]; w != nil && (table.Op == engine.OpWeight || w.rowsAnyway(d)) { // gathered in its stored form
		var err error
		if src.addr, dtype, err = w.raw(); err != nil {
			c.fail(err)
		}
	} else {
		src = c.value(table)
	}
	c.command(kEmbedding, ids.Elems(), float64(n.Elems()), src, c.value(ids), c.value(n), rows, d, int(dtype))
}

// move copies a tensor of some shape between strided places.
func (c *compiler) move(src, dst place, shape engine.Shape, from, to []int) {
	dims := collapse(shape, from, to)
	if len(dims) == 0 || dims[len(dims)-1].b != 1 { // the last axis kept is not contiguous in dst
		dims = append(dims, dim{1, 1, 1})
	}
	inner := dims[len(dims)-1]
	units := shape.Elems() / inner.extent
	args := append([]any{src, dst, inner.extent, 4 * inner.a}, outerDims(dims)...)
	c.command(kMove, units, 4*float64(shape.Elems()), args...)
}

func (c *compiler) concat(n *engine.Node) {
	axis := n.Attrs.(engine.AxisAttrs).Axis
	strides := n.Shape.Strides()
	dst := c.value(n)
	for _, x := range n.Inputs {
		c.move(c.value(x), dst, x.Shape, x.Shape.Strides(), strides)
		dst = dst.plus(4 * x.Shape[axis] * strides[axis])
	}
}

func (c *compiler) slice(n *engine.Node) {
	a := n.Attrs.(engine.AxisAttrs)
	strides := n.Inputs[0].Shape.Strides()
	c.move(c.value(n.Inputs[0]).plus(4*a.Start*strides[a.Axis]), c.value(n), n.Shape, strides, n.Shape.Strides())
}

func (c *compiler) permute(n *engine.Node) {
	from := n.Inputs[0].Shape.Strides()
	strides := make([]int, len(from))
	for i, a := range n.Attrs.(engine.PermuteAttrs).Axes {
		strides[i] = from[a]
	}
	c.move(c.value(n.Inputs[0]), c.value(n), n.Shape, strides, n.Shape.Strides())
}

func (c *compiler) upsample2d(n *engine.Node) {
	x := n.Inputs[0]
	c.command(kUpsample2D, n.Shape[0]*n.Shape[1], 4*float64(n.Elems()), c.value(x), c.value(n),
		x.Shape[1], x.Shape[2], n.Shape[1], n.Shape[2], n.Shape[3])
}
