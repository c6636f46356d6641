package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

// Arguments of kRotateHalf and kRotatePairs.
const (
	roX      = iota // (b·t, heads·hd)
	roOut           //
	roD             // elements of a row
	roCos           // (places, hd/2)
	roSin           //
	roHD            // size of a head
	roPlaces        // rows of the angles: row i of x has those of row i modulo places
	roWords
)

// rotations runs head with the source, destination, cosines and sines of each
// head of each row. A unit is a row.
func rotations(f *emit.Func, head func(src, dst, cos, sin emit.Int)) {
	x, out, d, hd, places := arg(f, roX), arg(f, roOut), arg(f, roD), arg(f, roHD), arg(f, roPlaces)
	src, dst, end := f.Int(), f.Int(), f.Int()
	units(f, func(u emit.Int) {
		f.Set(src, x.Add(u.Mul(d).Shl(2)))
		f.Set(dst, out.Add(u.Mul(d).Shl(2)))
		f.Set(end, src.Add(d.Shl(2)))
		at := f.Let(u.Rem(places).Mul(hd).Shl(1)) // bytes: a row of angles is half a head
		cos, sin := f.Let(f.Param(0).Load(4*roCos).Add(at)), f.Let(f.Param(0).Load(4*roSin).Add(at))
		f.While(src.Below(end), func() {
			head(src, dst, cos, sin)
			f.Set(src, src.Add(hd.Shl(2)))
			f.Set(dst, dst.Add(hd.Shl(2)))
		})
	})
}

// rotateHalf turns element i of the first half of a head with that of the second.
func (e *emitter) rotateHalf(f *emit.Func) {
	half := f.Let(f.Param(0).Load(4 * roHD).Shr(1))
	p, q, c, s := f.Vector(), f.Vector(), f.Vector(), f.Vector()
	rotations(f, func(src, dst, cos, sin emit.Int) {
		srcQ, dstQ := f.Let(src.Add(half.Shl(2))), f.Let(dst.Add(half.Shl(2)))
		rowVectors(f, half, func(at emit.Int, rest *emit.Int) {
			f.SetV(p, src.Add(at).LoadV(0))
			f.SetV(q, srcQ.Add(at).LoadV(0))
			f.SetV(c, cos.Add(at).LoadV(0))
			f.SetV(s, sin.Add(at).LoadV(0))
			put(f, dst.Add(at), p.Mul(c).Sub(q.Mul(s)), rest)
			put(f, dstQ.Add(at), e.madd(q, c, p.Mul(s)), rest)
		})
	})
}

// rotatePairs turns neighbours, two pairs a vector.
func (e *emitter) rotatePairs(f *emit.Func) {
	hd := arg(f, roHD)
	x, c, s := f.Vector(), f.Vector(), f.Vector()
	twice := [16]byte{0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7}
	swap := [16]byte{4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11}
	minus := f.LetV(emit.Lanes(1<<31, 0, 1<<31, 0))
	rotations(f, func(src, dst, cos, sin emit.Int) {
		rowVectors(f, hd, func(at emit.Int, rest *emit.Int) {
			f.SetV(x, src.Add(at).LoadV(0))
			f.SetV(c, cos.Add(at.Shr(1)).LoadV(0))
			f.SetV(s, sin.Add(at.Shr(1)).LoadV(0))
			f.SetV(s, emit.Shuffle(s, s, twice).Xor(minus))
			put(f, dst.Add(at), e.madd(x, emit.Shuffle(c, c, twice), emit.Shuffle(x, x, swap).Mul(s)), rest)
		})
	})
}

func (c *compiler) rotaryEmbedding(n *engine.Node) {
	a, cos := n.Attrs.(engine.RotaryAttrs), n.Inputs[1]
	kernel := kRotateHalf
	if a.Interleaved {
		kernel = kRotatePairs
	}
	c.eachRow(kernel, n, 4, c.value(cos), c.value(n.Inputs[2]), n.Shape[2]/a.Heads, cos.Shape[0]*cos.Shape[1])
}
