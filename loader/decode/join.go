package decode

import "wisp/wasm/emit"

// emitJoin adds join(src, dst, n, width); see [Module].
func (e *emitter) emitJoin(simd bool) *emit.Func {
	f := e.m.NewFunc(params(4))
	src, dst, n, width := f.Param(0), f.Param(1), f.Param(2), f.Param(3)
	f.IfElse(width.Eq(emit.Num(2)), func() { join(f, simd, 2, src, dst, n) }, func() { join(f, simd, 4, src, dst, n) })
	return f
}

// join interleaves the planes, 16 elements at a time where there is SIMD.
func join(f *emit.Func, simd bool, width int, src, dst, n emit.Int) {
	plane := make([]emit.Int, width)
	for i := range plane {
		plane[i] = f.Let(src.Add(n.Times(i)))
	}
	step := func(k int) {
		for _, p := range plane {
			f.Set(p, p.Plus(k))
		}
		f.Set(dst, dst.Plus(k*width))
		f.Set(n, n.Plus(-k))
	}
	vectors := func() {
		v := make([]emit.Vec, width)
		for i, p := range plane {
			v[i] = f.LetV(p.LoadV(0))
		}
		for i, x := range interleave(f, v) {
			f.StoreV(dst, 16*i, x)
		}
		step(16)
	}
	if simd {
		f.While(n.Above(emit.Num(15)), vectors)
	}
	f.While(n, func() {
		for i, p := range plane {
			f.Store8(dst, i, p.LoadU8(0))
		}
		step(1)
	})
}

// interleave turns vectors of byte i of 16 elements into vectors of elements:
// two at a time, first each with the one half of them away.
func interleave(f *emit.Func, v []emit.Vec) []emit.Vec {
	var low, high [16]byte
	for i := range byte(8) {
		low[2*i], low[2*i+1] = i, 16+i
		high[2*i], high[2*i+1] = 8+i, 24+i
	}
	pair := func(a, b emit.Vec) []emit.Vec {
		return []emit.Vec{f.LetV(emit.Shuffle(a, b, low)), f.LetV(emit.Shuffle(a, b, high))}
	}
	if len(v) == 2 {
		return pair(v[0], v[1])
	}
	even, odd := pair(v[0], v[2]), pair(v[1], v[3])
	return append(pair(even[0], odd[0]), pair(even[1], odd[1])...)
}
