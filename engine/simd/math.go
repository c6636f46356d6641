package simd

import "wisp/engine"

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
func (e *emitter) poly(f *fn, c []float32, x vec) vec {
	p := f.letV(f.splat(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		f.setV(p, e.madd(p, x, f.splat(c[i])))
	}
	return p
}

// Adding roundBias to a small x rounds it to an integer n, which the low bits
// then hold as n + 127: shifted into place they are the float 2ⁿ.
const roundBias = 3<<22 + 127

// exp is eˣ in each lane, within 2e-7 relative: Cody-Waite reduction to
// |r| ≤ ln2/2 and a polynomial. It stays at 1e-38 below −87.3 and at 2.2e38
// above 88.3; a NaN stays.
func (e *emitter) exp(f *fn, x vec) vec {
	c := f.letV(x.pmin(f.splat(88.3)).pmax(f.splat(-87.3)))
	t := f.letV(e.madd(c, f.splat(1.44269504), f.splat(roundBias)))
	n := f.letV(t.sub(f.splat(roundBias)))
	r := f.letV(e.madd(n, f.splat(-0.693359375), c))
	f.setV(r, e.madd(n, f.splat(2.12194440e-4), r))
	p := e.poly(f, expPoly, r)
	f.setV(p, e.madd(p, r.mul(r), r).add(f.splat(1)).mul(t.shlI(23)))
	return p
}

// exp2 is 2ˣ for x ≤ 0, within 2e-7 relative; it stays at 1e-38 below −126.
func (e *emitter) exp2(f *fn, x vec) vec {
	c := f.letV(x.pmax(f.splat(-126)))
	t := f.letV(c.add(f.splat(roundBias)))
	r := f.letV(c.sub(t.sub(f.splat(roundBias))))
	p := e.poly(f, exp2Poly, r)
	f.setV(p, e.madd(p, r, f.splat(1)).mul(t.shlI(23)))
	return p
}

// sigmoid is 1/(1 + e⁻ˣ).
func (e *emitter) sigmoid(f *fn, x vec) vec {
	return f.letV(f.splat(1).div(e.exp(f, f.splat(0).sub(x)).add(f.splat(1))))
}

// tanh is x + x³·P(x²) near zero, else 1 − 2/(e²ˣ + 1) by symmetry.
func (e *emitter) tanh(f *fn, x vec) vec {
	a := f.letV(x.abs())
	far := f.letV(f.splat(1).sub(f.splat(2).div(e.exp(f, a.add(a)).add(f.splat(1)))))
	square := f.letV(x.mul(x))
	near := e.poly(f, tanhPoly, square)
	f.setV(near, e.madd(near.mul(square), a, a))
	return f.letV(choose(a.lt(f.splat(0.625)), near, far).or(x.and(f.splatBits(1 << 31))))
}

// gelu is x·Φ(x) = x/2·(1 + erf(x/√2)), within 2e-7·max(x, 1): the left tail,
// where 1 + erf is all rounding, stays next to 0 however far it goes.
func (e *emitter) gelu(f *fn, x vec) vec {
	z := f.letV(x.mul(f.splat(0.70710678)).pmin(f.splat(3.95)).pmax(f.splat(-3.95)))
	u := f.letV(z.mul(z))
	p, q := e.poly(f, erfP, u), e.poly(f, erfQ, u)
	half := f.letV(x.pmax(f.splat(-5.6)).mul(f.splat(0.5)))
	return f.letV(e.madd(half, z.mul(p).div(q), half))
}

// activations has the function of one element that each activation op names.
var activations = [...]struct {
	op   engine.Op
	emit func(e *emitter, f *fn, x vec) vec
}{
	{engine.OpSiLU, func(e *emitter, f *fn, x vec) vec { return x.mul(e.sigmoid(f, x)) }},
	{engine.OpGELU, (*emitter).gelu},
	{engine.OpGELUTanh, func(e *emitter, f *fn, x vec) vec {
		// (1 + tanh(u))/2 = sigmoid(2u), u = √(2/π)·(x + 0.044715x³).
		u := e.madd(x.mul(x).mul(x), f.splat(2*0.7978845608*0.044715), x.mul(f.splat(2*0.7978845608)))
		return x.mul(e.sigmoid(f, f.letV(u)))
	}},
	{engine.OpQuickGELU, func(e *emitter, f *fn, x vec) vec { return x.mul(e.sigmoid(f, x.mul(f.splat(1.702)))) }},
	{engine.OpReLU, func(e *emitter, f *fn, x vec) vec { return x.pmax(f.splat(0)) }},
	{engine.OpTanh, (*emitter).tanh},
	{engine.OpSigmoid, (*emitter).sigmoid},
}

// activationCode is the argument word for an activation: 0 for none.
func activationCode(op engine.Op) uint32 {
	for i, a := range activations {
		if a.op == op {
			return uint32(i + 1)
		}
	}
	return 0
}

// emitActivations adds act(src, dst, n, code): dst[i] = activation(src[i]) for
// n elements. src and dst are the same or disjoint. Each activation is a
// function of its own, which sets up no constants but its own.
func (e *emitter) emitActivations() *fn {
	var cases []func()
	f := e.m.newFunc(params(4))
	for _, a := range activations {
		g := e.m.newFunc(params(3))
		src, dst, n := g.param(0), g.param(1), g.param(2)
		g.rowVectors(n, func(at i32v, rest *i32v) {
			x := g.letV(src.add(at).loadV(0))
			g.put(dst.add(at), a.emit(e, g, x), rest)
		})
		cases = append(cases, func() { f.call(g, src, dst, n) })
	}
	f.choice(f.param(3).plus(-1), cases...)
	return f
}
