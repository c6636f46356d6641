package diffusion

import (
	"fmt"
	"math"
	"math/rand"
	"testing"
)

// The way is the cheapest of all, tried one by one.
func TestShortest(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	const n = 7
	cost := make([][]float64, n)
	for i := range cost {
		for range n - i {
			cost[i] = append(cost[i], random.Float64())
		}
	}
	for steps := 1; steps <= n; steps++ {
		best, want := math.Inf(1), []int(nil)
		for set := range 1 << n {
			var way []int
			for i := range n {
				if set>>i&1 != 0 {
					way = append(way, i)
				}
			}
			if len(way) != steps || way[0] != 0 {
				continue
			}
			sum := 0.0
			for k, i := range way {
				j := n
				if k+1 < len(way) {
					j = way[k+1]
				}
				sum += cost[i][j-i-1]
			}
			if sum < best {
				best, want = sum, way
			}
		}
		if got := shortest(cost, steps); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d steps: %v, want %v", steps, got, want)
		}
	}
}
