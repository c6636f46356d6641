package rng

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"
)

type goldenCall struct {
	N          int      `json:"n"`
	Head, Tail []string // float32 bits, hexadecimal
	Mean, Std  float64
}

func TestRandnMatchesTorch(t *testing.T) {
	data, err := os.ReadFile("../../tests/golden/rng/randn.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []struct {
			Seed  uint64 `json:",string"`
			Calls []goldenCall
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range golden.Cases {
		t.Run(strconv.FormatUint(c.Seed, 10), func(t *testing.T) {
			g := New(c.Seed)
			for _, call := range c.Calls {
				out := make([]float32, call.N)
				g.Randn(out)
				compare(t, out[:len(call.Head)], call.Head, call.N)
				compare(t, out[call.N-len(call.Tail):], call.Tail, call.N)
				mean, std := moments(out)
				if math.Abs(mean-call.Mean) > 1e-7 || math.Abs(std-call.Std) > 1e-7 {
					t.Errorf("n=%d: mean %v std %v, torch %v %v", call.N, mean, std, call.Mean, call.Std)
				}
			}
		})
	}
}

// compare allows 1 ulp in the short path and 1e-6 in the block path (see Randn).
func compare(t *testing.T, got []float32, want []string, n int) {
	t.Helper()
	for i, h := range want {
		bits, err := strconv.ParseUint(h, 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		w := math.Float32frombits(uint32(bits))
		tolerance := 1e-6
		if n < 16 {
			tolerance = math.Abs(float64(w)) * 0x1p-23
		}
		if d := math.Abs(float64(got[i]) - float64(w)); !(d <= tolerance) {
			t.Errorf("n=%d [%d]: got %v want %v (off by %.3g)", n, i, got[i], w, d)
		}
	}
}

func moments(x []float32) (mean, std float64) {
	for _, v := range x {
		mean += float64(v)
		std += float64(v) * float64(v)
	}
	n := float64(len(x))
	return mean / n, math.Sqrt(std / n)
}

// The published known answers of Random123 (kat_vectors, philox4x32 with ten rounds).
func TestPhiloxKnownAnswers(t *testing.T) {
	const ones = 0xffffffff
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{ones, ones, ones, ones}, [2]uint32{ones, ones},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox4x32(c.counter, c.key); got != c.want {
			t.Errorf("%08x key %08x: got %08x want %08x", c.counter, c.key, got, c.want)
		}
	}
}

// The twelve numbers AUTOMATIC1111's rng_philox.py documents for torch.randn((3, 4), device="cuda") at seed 0.
func TestPhiloxRandn(t *testing.T) {
	want := []float64{-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122,
		-0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497}
	got := make([]float32, len(want))
	g := NewPhilox(0)
	g.Randn(got)
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= 1e-6) {
			t.Errorf("[%d]: got %v want %v", i, got[i], w)
		}
	}
	again := make([]float32, len(want))
	g.Randn(again)
	if again[0] == got[0] {
		t.Error("a second call repeats the first")
	}
}

func TestPhiloxUsesTheWholeSeed(t *testing.T) {
	var a, b [4]float32
	NewPhilox(1).Randn(a[:])
	NewPhilox(1 | 1<<40).Randn(b[:])
	if a == b {
		t.Error("seeds that differ above bit 32 give the same noise")
	}
}

func TestRandnEmpty(t *testing.T) {
	New(1).Randn(nil)
	NewPhilox(1).Randn(nil)
}

func BenchmarkRandn(b *testing.B) {
	out := make([]float32, 4*64*64)
	for name, g := range map[string]Generator{"mt19937": New(1), "philox": NewPhilox(1)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(4 * len(out)))
			for b.Loop() {
				g.Randn(out)
			}
		})
	}
}
