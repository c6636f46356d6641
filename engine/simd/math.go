package simd

import (
	"wisp/engine"
	"wisp/wasm/emit"
)

// Polynomials fitted for this package by weighted least squares towards the
// smallest maximal error; the error beside each is that of the exact polynomial.
var (
	// (eʳ − 1 − r)/r² on |r| ≤ ln2/2: 3e-9 of eʳ.
	expPoly = []float32{0.5, 0.16666518, 0.041666206, 0.008368918, 0.0013950539}
	// (2ʳ − 1)/r on |r| ≤ 1/2: 9e-8 of 2ʳ.
	exp2Poly = []float32{0.69314724, 0.24022235, 0.055503085, 0.009671861, 0.0013407237}
	// (tanh(x)/x − 1)/x² in x² ≤ 0.4: 5e-9.
	tanhPoly = []float32{-0.33333278, 0.13331328, -0.05372923, 0.020602008, -0.005660789}
	// erf(z) = z·P(z²)/Q(z²) on |z| ≤ 3.95: 2e-8.
	erfP = []float32{1.128379, 0.19403633, 0.053207133, 0.0039173416, 0.00028760053, 2.0117293e-06}
	erfQ = []float32{1, 0.5052917, 0.115591005, 0.01527075, 0.0011982054, 3.7839567e-05}
)

// poly evaluates Σ c[i]·xⁱ by Horner's rule into a new variable.
func (e *emitter) poly(f *emit.Func, c []float32, x emit.Vec) emit.Vec {
	p := f.LetV(f.Splat(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		f.SetV(p, e.madd(p, x, f.Splat(c[i])))
	}
	return p
}

// Adding roundBias to a small x rounds it to an integer n, which the low bits
// then hold as n + 127: shifted into place they are the float 2ⁿ.
const roundBias = 3<<22 + 127

// exp is eˣ in each lane, within 2e-7 relative: Cody-Waite reduction to
// |r| ≤ ln2/2 and a polynomial. It stays at 1e-38 below −87.3 and at 2.2e38
// above 88.3; a NaN stays.
func (e *emitter) exp(f *emit.Func, x emit.Vec) emit.Vec {
	c := f.LetV(x.Pmin(f.Splat(88.3)).Pmax(f.Splat(-87.3)))
	t := f.LetV(e.madd(c, f.Splat(1.44269504), f.Splat(roundBias)))
	n := f.LetV(t.Sub(f.Splat(roundBias)))
	r := f.LetV(e.madd(n, f.Splat(-0.693359375), c))
	f.SetV(r, e.madd(n, f.Splat(2.12194440e-4), r))
	p := e.poly(f, expPoly, r)
	f.SetV(p, e.madd(p, r.Mul(r), r).Add(f.Splat(1)).Mul(t.ShlI(23)))
	return p
}

// exp2 is 2ˣ for x ≤ 0, within 2e-7 relative; it stays at 1e-38 below −126.
func (e *emitter) exp2(f *emit.Func, x emit.Vec) emit.Vec {
	c := f.LetV(x.Pmax(f.Splat(-126)))
	t := f.LetV(c.Add(f.Splat(roundBias)))
	r := f.LetV(c.Sub(t.Sub(f.Splat(roundBias))))
	p := e.poly(f, exp2Poly, r)
	f.SetV(p, e.madd(p, r, f.Splat(1)).Mul(t.ShlI(23)))
	return p
}

// sigmoid is 1/(1 + e⁻ˣ).
func (e *emitter) sigmoid(f *emit.Func, x emit.Vec) emit.Vec {
	return f.LetV(f.Splat(1).Div(e.exp(f, f.Splat(0).Sub(x)).Add(f.Splat(1))))
}

// tanh is x + x³·P(x²) near zero, else 1 − 2/(e²ˣ + 1) by symmetry.
func (e *emitter) tanh(f *emit.Func, x emit.Vec) emit.Vec {
	a := f.LetV(x.Abs())
	far := f.LetV(f.Splat(1).Sub(f.Splat(2).Div(e.exp(f, a.Add(a)).Add(f.Splat(1)))))
	square := f.LetV(x.Mul(x))
	near := e.poly(f, tanhPoly, square)
	f.SetV(near, e.madd(near.Mul(square), a, a))
	return f.LetV(emit.Choose(a.Lt(f.Splat(0.625)), near, far).Or(x.And(f.SplatBits(1 << 31))))
}

// gelu is x·Φ(x) = x/2·(1 + erf(x/√2)), within 2e-7·max(x, 1): the left tail,
// where 1 + erf is all rounding, stays next to 0 however far it goes.
func (e *emitter) gelu(f *emit.Func, x emit.Vec) emit.Vec {
	z := f.LetV(x.Mul(f.Splat(0.70710678)).Pmin(f.Splat(3.95)).Pmax(f.Splat(-3.95)))
	u := f.LetV(z.Mul(z))
	p, q := e.poly(f, erfP, u), e.poly(f, erfQ, u)
	half := f.LetV(x.Pmax(f.Splat(-5.6)).Mul(f.Splat(0.5)))
	return f.LetV(e.madd(half, z.Mul(p).Div(q), half))
}

// activations are the ops that [emitter.emitActivations] has functions of one
// element for, in their order.
var activations = [...]engine.Op{engine.OpSiLU, engine.OpGELU, engine.OpGELUTanh, engine.OpQuickGELU, engine.OpReLU, engine.OpTanh, engine.OpSigmoid}

// activationCode is the argument word for an activation: 0 for none.
func activationCode(op engine.Op) uint32 {
	for i, a := range activations {
		if a == op {
			return uint32(i + 1)
		}
	}
	return 0
}

// emitActivations adds act(src, dst, n, code): dst[i] = activation(src[i]) for
// n elements. src and dst are the same or disjoint. Each activation is a
// function of its own, which sets up no constants but its own.
func (e *emitter) emitActivations() *emit.Func {
	var cases []func()
	f := e.m.NewFunc(params(4))
	one := [len(activations)]func(f *emit.Func, x emit.Vec) emit.Vec{
		func(f *emit.Func, x emit.Vec) emit.Vec { return x.Mul(e.sigmoid(f, x)) },
		e.gelu,
		func(f *emit.Func, x emit.Vec) emit.Vec {
			// (1 + tanh(u))/2 = sigmoid(2u), u = √(2/π)·(x + 0.044715x³).
			u := e.madd(x.Mul(x).Mul(x), f.Splat(2*0.7978845608*0.044715), x.Mul(f.Splat(2*0.7978845608)))
			return x.Mul(e.sigmoid(f, f.LetV(u)))
		},
		func(f *emit.Func, x emit.Vec) emit.Vec { return x.Mul(e.sigmoid(f, x.Mul(f.Splat(1.702)))) },
		func(f *emit.Func, x emit.Vec) emit.Vec { return x.Pmax(f.Splat(0)) },
		e.tanh,
		e.sigmoid,
	}
	for _, of := range one {
		g := e.m.NewFunc(params(3))
		src, dst, n := g.Param(0), g.Param(1), g.Param(2)
		rowVectors(g, n, func(at emit.Int, rest *emit.Int) {
			x := g.LetV(src.Add(at).LoadV(0))
			put(g, dst.Add(at), of(g, x), rest)
		})
		cases = append(cases, func() { f.Call(g, src, dst, n) })
	}
	f.Choice(f.Param(3).Plus(-1), cases...)
	return f
}
