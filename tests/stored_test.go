package tests

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/x448/float16"

	"wisp/engine"
	"wisp/loader/quant"
)

// storedBounds are the squared error over the squared signal that networks may
// have against torch's f32 where their weights are packed.
var storedBounds = map[string]float64{"f16": 3e-5, "q8": 5e-3}

// stored packs weights as [pack.Policy] does: of q8 the matrices whose rows have
// a block or more, all else in f16.
func stored(t *testing.T, weights map[string]engine.Tensor, as string) map[string]engine.Tensor {
	t.Helper()
	out := map[string]engine.Tensor{}
	for name, w := range weights {
		values, rows := w.Float32s(), w.Shape[0]
		if k := len(values) / rows; as == "q8" && len(w.Shape) > 1 && k >= quant.Block {
			m := quant.New(8, rows, k)
			for r := range rows {
				if err := m.PutRow(r, values[r*k:][:k]); err != nil {
					t.Fatal(name, err)
				}
			}
			out[name] = engine.Tensor{DType: engine.Q8, Shape: w.Shape, Data: m.Data}
			continue
		}
		half := engine.NewTensor(engine.F16, w.Shape...)
		for i, v := range values {
			binary.LittleEndian.PutUint16(half.Data[2*i:], float16.Fromfloat32(v).Bits())
		}
		out[name] = half
	}
	return out
}

// checkStored runs a network with packed weights on the last backend.
func checkStored(t *testing.T, g *engine.Graph, weights map[string]engine.Tensor, want golden) {
	t.Helper()
	b := fastest(t)
	for as, bound := range storedBounds {
		b.weights = as
		checkNMSE(t, b, g, stored(t, weights, as), want, bound)
	}
}

// checkNMSE bounds the squared error over the squared signal.
func checkNMSE(t *testing.T, b labelled, g *engine.Graph, weights map[string]engine.Tensor, want golden, bound float64) {
	t.Helper()
	got, err := run(b, g, weights, want.in)
	if err != nil {
		t.Errorf("%s: %v", b.weights, err)
		return
	}
	for name := range want.out {
		d, err := compare(got[name], want.out[name])
		if err != nil {
			t.Errorf("%s: output %q: %v", b.weights, name, err)
			continue
		}
		parityOf(t, d).log(t, b)
		if d.nmse > bound || math.IsNaN(d.nmse) {
			t.Errorf("%s: output %q is off by %.2g of its square, want %g", b.weights, name, d.nmse, bound)
		}
	}
}
