package simd

import (
	"context"
	"math"
	"testing"

	"wisp/engine"
)

// TestActivations compares each activation with f64 over its whole range, and
// checks what becomes of NaN and infinities.
func TestActivations(t *testing.T) {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	exact := map[engine.Op]func(x float64) float64{
		engine.OpSiLU: func(x float64) float64 { return x * sigmoid(x) },
		engine.OpGELU: func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) },
		engine.OpGELUTanh: func(x float64) float64 {
			return x * sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
		},
		engine.OpQuickGELU: func(x float64) float64 { return x * sigmoid(1.702*x) },
		engine.OpReLU:      func(x float64) float64 { return max(x, 0) },
		engine.OpTanh:      math.Tanh,
		engine.OpSigmoid:   sigmoid,
	}
	// The argument of an exponential is rounded, so the bound grows with it.
	// GELU by erf loses relative accuracy in its left tail, as it does everywhere.
	absolute := map[engine.Op]float64{engine.OpGELU: 2.5e-7}
	var xs []float32
	for x := -110.0; x < 110; x += 0.0137 {
		xs = append(xs, float32(x))
	}
	for e := -126; e < 7; e++ {
		xs = append(xs, float32(math.Ldexp(1.1, e)), -float32(math.Ldexp(1.3, e)))
	}
	xs = append(xs, 0, float32(math.NaN()), float32(math.Inf(1)))
	flavours(t, func(t *testing.T, b *backend) {
		for op, f := range exact {
			got := apply(t, b, op, xs)
			for i, x := range xs {
				want, y := f(float64(x)), float64(got[i])
				switch {
				case math.IsNaN(want) != math.IsNaN(y), math.IsInf(want, 0) != math.IsInf(y, 0):
					t.Errorf("%v(%v) = %v, want %v", op, x, y, want)
				case math.Abs(y-want) > (2e-6+2e-7*math.Abs(math.Log(math.Abs(want)+1e-38)))*math.Abs(want)+absolute[op]*math.Abs(float64(x))+1e-35 && !math.IsInf(want, 0):
					t.Errorf("%v(%v) = %v, want %v: relative error %.2g", op, x, y, want, (y-want)/want)
				}
			}
		}
	})
}

// apply runs one activation on a backend.
func apply(t *testing.T, b *backend, op engine.Op, xs []float32) []float32 {
	t.Helper()
	g, err := engine.Build(func(g *engine.Graph) {
		g.Output("y", engine.Activation(op, g.Input("x", engine.F32, len(xs))))
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Compile(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out := map[string]engine.Tensor{"y": engine.NewTensor(engine.F32, len(xs))}
	if err := p.Run(context.Background(), map[string]engine.Tensor{"x": engine.FromFloat32s(xs, len(xs))}, out); err != nil {
		t.Fatal(err)
	}
	return out["y"].Float32s()
}
