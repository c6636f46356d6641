package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

// Arguments of kModulate.
const (
	mdX     = iota // (b, per, d)
	mdOut          //
	mdD            // elements of a row
	mdShift        // (b, d)
	mdScale        // (b, d)
	mdPer          // rows of a batch
	mdWords
)

// modulate: x·(1 + scale) + shift for each row. A unit is a row.
func (e *emitter) modulate(f *emit.Func) {
	x, out, d, shift, scale, per := arg(f, mdX), arg(f, mdOut), arg(f, mdD), arg(f, mdShift), arg(f, mdScale), arg(f, mdPer)
	src, dst, batch := f.Int(), f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(src, x.Add(u.Mul(d).Shl(2)))
		f.Set(dst, out.Add(u.Mul(d).Shl(2)))
		f.Set(batch, u.Div(per).Mul(d).Shl(2))
		add, mul := f.Let(shift.Add(batch)), f.Let(scale.Add(batch))
		rowVectors(f, d, func(at emit.Int, rest *emit.Int) {
			put(f, dst.Add(at), e.madd(src.Add(at).LoadV(0), mul.Add(at).LoadV(0).Add(f.Splat(1)), add.Add(at).LoadV(0)), rest)
		})
	})
}

func (c *compiler) modulate(n *engine.Node) {
	per := n.Elems() / n.Shape[0] / n.Shape.Dim(-1)
	c.eachRow(kModulate, n, 3, c.value(n.Inputs[1]), c.value(n.Inputs[2]), per)
}
