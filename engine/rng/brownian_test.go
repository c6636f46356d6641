package rng

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

func TestBrownianMatchesTorchsde(t *testing.T) {
	data, err := os.ReadFile("../../tests/golden/rng/brownian.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Levels []float64
		Cases  []struct {
			Seed       uint64 `json:",string"`
			N          int
			Increments [][]float32
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil || len(golden.Cases) == 0 {
		t.Fatal(err, len(golden.Cases))
	}
	for _, c := range golden.Cases {
		b := NewBrownian(c.Seed, golden.Levels[len(golden.Levels)-1], golden.Levels[0])
		out := make([]float32, c.N)
		for i, want := range c.Increments {
			b.Increment(float64(float32(golden.Levels[i])), float64(float32(golden.Levels[i+1])), out)
			for j, w := range want {
				if d := math.Abs(float64(out[j] - w)); !(d <= 1e-5) {
					t.Errorf("seed %d, increment %d [%d]: got %v want %v", c.Seed, i, j, out[j], w)
				}
			}
		}
	}
}

// The path does not depend on where it was asked for.
func TestBrownianRefines(t *testing.T) {
	const n = 5
	coarse, fine := NewBrownian(3, 0.03, 14.6), NewBrownian(3, 0.03, 14.6)
	whole, part, sum := make([]float32, n), make([]float32, n), make([]float64, n)
	coarse.Increment(14.6, 0.03, whole)
	for _, step := range [][2]float64{{14.6, 6}, {6, 0.5}, {0.5, 0.03}} {
		fine.Increment(step[0], step[1], part)
		for j, v := range part {
			sum[j] += float64(v) * math.Sqrt(step[0]-step[1])
		}
	}
	for j, v := range whole {
		if d := math.Abs(sum[j] - float64(v)*math.Sqrt(14.57)); !(d < 1e-5) {
			t.Errorf("[%d]: the parts make %v, the whole is %v", j, sum[j], float64(v)*math.Sqrt(14.57))
		}
	}
}
