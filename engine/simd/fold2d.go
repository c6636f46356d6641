package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

// Arguments of kFold2D.
const (
	fdX    = iota // (n, h, w, kh, kw, c)
	fdBias        // (c); zeros where there is none
	fdOut         // (n, outH, outW, c)
	fdH
	fdW
	fdC
	fdOutH
	fdOutW
	fdKH
	fdKW
	fdStride
	fdPad
	fdWords
)

// fold2d: out[n, y·s+i−pad, x·s+j−pad] = Σ in[n, y, x, i, j] + bias, gathered by
// output pixels so that threads may share them. A unit is an output line.
func (e *emitter) fold2d(f *emit.Func) {
	h, w, c, outH, outW := arg(f, fdH), arg(f, fdW), arg(f, fdC), arg(f, fdOutH), arg(f, fdOutW)
	kh, kw, stride, pad, bias := arg(f, fdKH), arg(f, fdKW), arg(f, fdStride), arg(f, fdPad), arg(f, fdBias)
	ld := f.Let(c.Shl(2))
	image, dst, y, ky, x, kx, src := f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int(), f.Int()
	// covering runs body for each patch k before whose start is i·stride, i
	// below n, and whose element k lies at place at.
	covering := func(at, i, k, n, kn emit.Int, body func()) {
		f.Set(i, at.Div(stride))
		f.Set(k, at.Rem(stride))
		f.While(k.Below(kn), func() {
			f.When(i.Below(n), body)
			f.Set(i, i.Plus(-1))
			f.Set(k, k.Add(stride))
		})
	}
	units(f, func(u emit.Int) {
		f.Set(image, u.Div(outH).Mul(h))
		f.Set(dst, f.Param(0).Load(4*fdOut).Add(u.Mul(outW).Mul(ld)))
		row := f.Let(u.Rem(outH).Add(pad))
		f.Each(emit.Num(0), outW, func(ox emit.Int) {
			rowVectors(f, c, func(at emit.Int, rest *emit.Int) { put(f, dst.Add(at), bias.Add(at).LoadV(0), rest) })
			column := f.Let(ox.Add(pad))
			covering(row, y, ky, h, kh, func() {
				covering(column, x, kx, w, kw, func() {
					f.Set(src, f.Param(0).Load(4*fdX).
						Add(image.Add(y).Mul(w).Add(x).Mul(kh).Add(ky).Mul(kw).Add(kx).Mul(ld)))
					rowVectors(f, c, func(at emit.Int, rest *emit.Int) {
						put(f, dst.Add(at), dst.Add(at).LoadV(0).Add(src.Add(at).LoadV(0)), rest)
					})
				})
			})
			f.Set(dst, dst.Add(ld))
		})
	})
}

func (c *compiler) fold2d(n *engine.Node) {
	a, x := n.Attrs.(engine.Fold2DAttrs), n.Inputs[0]
	bias := c.zeros(4 * n.Shape[3])
	if len(n.Inputs) > 1 {
		bias = c.value(n.Inputs[1])
	}
	c.command(kFold2D, n.Shape[0]*n.Shape[1], float64(4*x.Elems()), c.value(x), bias, c.value(n),
		x.Shape[1], x.Shape[2], n.Shape[3], n.Shape[1], n.Shape[2], a.KH, a.KW, a.Stride, a.Pad)
}
