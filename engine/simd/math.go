package simd

import "wisp/engine"

// Polynomials fitted for this package by weighted least squares towards the
// smallest maximal error; the error beside each is that of the exact polynomial.
var (
	expPoly  = []float32{0.5, 0.16666518, 0.041666206, 0.008368918, 0.0013950539}                                                                // (eʳ − 1 − r)/r² on |r| ≤ ln2/2: 3e-9
	tanhPoly = []float32{-0.33333278, 0.13331328, -0.05372923, 0.020602008, -0.005660789}                                                        // (tanh(x)/x − 1)/x² in x² ≤ 0.4: 5e-9
	erfcPoly = []float32{-1.2654202, 0.9980718, 0.39142838, 0.011855064, 0.06776835, -0.20474765, -0.5465977, 1.0449071, -0.63356173, 0.1362967} // ln(erfc(z)/t) + z² in t = 1/(1 + z/2), z ≥ 0: 4e-8
)

// poly evaluates Σ c[i]·xⁱ by Horner's rule into a new variable.
func (e *emitter) poly(f *fn, c []float32, x vec) vec {
	p := f.letV(all(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		f.setV(p, e.madd(p, x, all(c[i])))
	}
	return p
}

// exp is eˣ in each lane, within 2e-7 relative: Cody-Waite reduction to
// |r| ≤ ln2/2, a polynomial, and 2ⁿ added to the exponent bits. Below 2⁻¹²⁶ it
// is 0, above 88.3 it stays at 2.2e38; a NaN stays.
func (e *emitter) exp(f *fn, x vec) vec {
	x = f.letV(x)
	c := f.letV(x.pmin(all(88.3)).pmax(all(-87.33)))
	n := f.letV(c.mul(all(1.44269504)).nearest())
	r := f.letV(e.madd(n, all(-0.693359375), c))
	f.setV(r, e.madd(n, all(2.12194440e-4), r))
	p := e.poly(f, expPoly, r)
	f.setV(p, e.madd(p, r.mul(r), r).add(all(1)))
	f.setV(p, p.mul(n.toInt().addI(bits(127)).shlI(23)).andNot(x.lt(all(-87.33))))
	return p
}

// sigmoid is 1/(1 + e⁻ˣ).
func (e *emitter) sigmoid(f *fn, x vec) vec {
	return f.letV(all(1).div(e.exp(f, x.neg()).add(all(1))))
}

// tanh is x + x³·P(x²) near zero, else 1 − 2/(e²ˣ + 1) by symmetry.
func (e *emitter) tanh(f *fn, x vec) vec {
	a := f.letV(x.abs())
	far := f.letV(all(1).sub(all(2).div(e.exp(f, a.add(a)).add(all(1)))))
	square := f.letV(x.mul(x))
	near := e.poly(f, tanhPoly, square)
	f.setV(near, e.madd(near.mul(square), a, a))
	return f.letV(choose(a.lt(all(0.625)), near, far).or(x.and(bits(1 << 31))))
}

// phi is the normal distribution function Φ(x) = erfc(−x/√2)/2, to about 1e-6
// relative in both tails.
func (e *emitter) phi(f *fn, x vec) vec {
	z := f.letV(x.abs().mul(all(0.70710678)))
	t := f.letV(all(1).div(e.madd(z, all(0.5), all(1))))
	p := e.poly(f, erfcPoly, t)
	tail := f.letV(e.exp(f, p.sub(z.mul(z))).mul(t).mul(all(0.5)))
	return f.letV(choose(x.lt(all(0)), tail, all(1).sub(tail)))
}

// activations has the function of one element that each activation op names.
var activations = [...]struct {
	op   engine.Op
	emit func(e *emitter, f *fn, x vec) vec
}{
	{engine.OpSiLU, func(e *emitter, f *fn, x vec) vec { return x.mul(e.sigmoid(f, x)) }},
	{engine.OpGELU, func(e *emitter, f *fn, x vec) vec { return x.mul(e.phi(f, x)) }},
	{engine.OpGELUTanh, func(e *emitter, f *fn, x vec) vec {
		// (1 + tanh(u))/2 = sigmoid(2u), u = √(2/π)·(x + 0.044715x³).
		u := e.madd(x.mul(x).mul(x), all(2*0.7978845608*0.044715), x.mul(all(2*0.7978845608)))
		return x.mul(e.sigmoid(f, f.letV(u)))
	}},
	{engine.OpQuickGELU, func(e *emitter, f *fn, x vec) vec { return x.mul(e.sigmoid(f, x.mul(all(1.702)))) }},
	{engine.OpReLU, func(e *emitter, f *fn, x vec) vec { return x.max(all(0)) }},
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
// n elements. src and dst are the same or disjoint.
func (e *emitter) emitActivations() *fn {
	f := e.m.newFunc([]valType{i32, i32, i32, i32})
	src, dst, n := f.param(0), f.param(1), f.param(2)
	var cases []func()
	for _, a := range activations {
		cases = append(cases, func() {
			f.rowVectors(n, func(at i32v, rest *i32v) {
				x := f.letV(src.add(at).loadV(0))
				f.put(dst.add(at), a.emit(e, f, x), rest)
			})
		})
	}
	f.choice(f.param(3).plus(-1), cases...)
	return f
}
