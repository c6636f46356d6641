package quant

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// golden are the vectors of FORMAT.md.
var golden = []struct {
	name    string
	bits    int
	rows, k int
	in      []float32
	want    string // hex: scales, then weights
	decoded []float32
}{
	{"q8 two short rows", 8, 2, 3, []float32{127, -1, 0.5, -2, 1, 0.0078125},
		"003c" + "0824" + "7fff00" + "814000", []float32{127, -1, 0, -1.9998779, 1.0078125, 0}},
	{"q8 half to even", 8, 1, 4, []float32{127, 0.5, 1.5, -2.5}, "003c" + "7f0002fe", []float32{127, 0, 2, -2}},
	{"q8 zeros", 8, 1, 2, []float32{0, float32(math.Copysign(0, -1))}, "0000" + "0000", []float32{0, 0}},
	{"q4 two rows of three", 4, 2, 3, []float32{-8, 1, 7, 4, -2, 0},
		"003c" + "00b8" + "900f" + "c008", []float32{-8, 1, 7, 4, -2, 0}},
	{"q4 zeros", 4, 1, 3, []float32{0, 0, 0}, "0000" + "8808", []float32{0, 0, 0}},
	{"q2 ternary as it is", 2, 1, 5, []float32{0.5, 0, -0.5, 0.5, -0.5}, "0038" + "8600", []float32{0.5, 0, -0.5, 0.5, -0.5}},
	{"q2 the two largest", 2, 1, 4, []float32{3, -0.5, -2, 0.25}, "0041" + "46", []float32{2.5, 0, -2.5, 0}},
	{"q2 zeros", 2, 2, 1, []float32{0, 0}, "00000000" + "0101", []float32{0, 0}},
}

func TestGolden(t *testing.T) {
	for _, c := range golden {
		m := New(c.bits, c.rows, c.k)
		for r := range c.rows {
			if err := m.PutRow(r, c.in[r*c.k:(r+1)*c.k]); err != nil {
				t.Fatal(c.name, err)
			}
		}
		if got := hex.EncodeToString(m.Data); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		got := make([]float32, c.k)
		for r := range c.rows {
			m.Row(r, got)
			for i, v := range got {
				if v != c.decoded[r*c.k+i] {
					t.Errorf("%s: row %d: %v, want %v", c.name, r, got, c.decoded[r*c.k:(r+1)*c.k])
					break
				}
			}
		}
	}
}

// TestBounds: every error stays within half a step of its block, a step being
// peak/127 at 8 bits and peak/7 at 4, and f16's rounding of the scale.
func TestBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, bits := range []int{8, 4} {
		for _, k := range []int{1, 31, 32, 33, 64, 100} {
			m := New(bits, 50, k)
			row, back := make([]float32, k), make([]float32, k)
			for r := range m.Rows {
				scale := math.Exp(rng.NormFloat64() * 2)
				for i := range row {
					row[i] = float32(rng.NormFloat64() * scale)
				}
				if err := m.PutRow(r, row); err != nil {
					t.Fatal(err)
				}
				m.Row(r, back)
				for b := 0; b < k; b += Block {
					checkBlock(t, bits, row[b:min(k, b+Block)], back[b:min(k, b+Block)])
				}
			}
		}
	}
}

func checkBlock(t *testing.T, bits int, x, y []float32) {
	t.Helper()
	peak, _ := peakOf(x)
	step := float64(abs(peak)) / 127
	if bits == 4 {
		step = float64(abs(peak)) / 7
	}
	var sum float64
	for i := range x {
		e := math.Abs(float64(x[i] - y[i]))
		sum += e * e
		if limit := step * 0.51 * (1 + 1.0/256); bits == 8 && e > limit+1e-7 || bits == 4 && e > 2*limit {
			t.Fatalf("q%d: %g became %g, off by %g steps", bits, x[i], y[i], e/step)
		}
	}
	if rms := math.Sqrt(sum / float64(len(x))); bits == 4 && rms > step*0.5 {
		t.Fatalf("q4: the block's error is %g steps", rms/step)
	}
}

func TestRefusesWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		bits int
		v    float32
		want string
	}{
		{8, float32(math.NaN()), "cannot be quantised"},
		{8, float32(math.Inf(-1)), "cannot be quantised"},
		{4, float32(math.NaN()), "cannot be quantised"},
		{8, 1e7, "too large"},
		{4, -1e6, "too large"},
	} {
		err := New(c.bits, 2, 2).PutRow(1, []float32{1, c.v})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "row 1") {
			t.Errorf("q%d of %g: %v", c.bits, c.v, err)
		}
	}
}

// FuzzRoundTrip: any finite block quantises without a panic, decodes to finite
// values and, quantised again, stays what it is up to f16's rounding.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 0, 192}, true)
	f.Add([]byte{1, 0, 0, 0, 255, 255, 127, 127}, false)
	f.Fuzz(func(t *testing.T, b []byte, eight bool) {
		k := len(b) / 4
		if k == 0 || k > 1<<12 {
			return
		}
		v := make([]float32, k)
		for i := range v {
			v[i] = math.Float32frombits(uint32(b[4*i]) | uint32(b[4*i+1])<<8 | uint32(b[4*i+2])<<16 | uint32(b[4*i+3])<<24)
		}
		bits := 4
		if eight {
			bits = 8
		}
		m := New(bits, 1, k)
		if m.PutRow(0, v) != nil {
			return
		}
		m.Row(0, v)
		for i, x := range v {
			if x-x != 0 {
				t.Fatalf("q%d value %d decodes to %g", bits, i, x)
			}
		}
	})
}
