package model

import (
	"math"

	"wisp/engine"
)

// rotary holds the angles by which the heads of a sequence are turned.
type rotary struct {
	cos, sin    *engine.Node // (1 or b, t, head/2)
	interleaved bool
}

// apply turns x (b, t, heads·head).
func (r rotary) apply(x *engine.Node, heads int) *engine.Node {
	return engine.RotaryEmbedding(x, r.cos, r.sin, heads, r.interleaved)
}

// rotaryTable makes the angles of places, each with a coordinate an axis, of
// which axis i takes axes[i]/2 of a head's pairs: coordinate·theta^(−2k/axes[i]).
func rotaryTable(g *engine.Graph, places [][]float64, theta float64, axes []int, interleaved bool) rotary {
	var cos, sin []float32
	for _, place := range places {
		for i, dim := range axes {
			for k := range dim / 2 {
				angle := place[i] * math.Pow(theta, -float64(2*k)/float64(dim))
				cos, sin = append(cos, float32(math.Cos(angle))), append(sin, float32(math.Sin(angle)))
			}
		}
	}
	shape := []int{1, len(places), len(cos) / len(places)}
	return rotary{g.Const(engine.FromFloat32s(cos, shape...)), g.Const(engine.FromFloat32s(sin, shape...)), interleaved}
}

// axes requires even parts of a head that together make it.
func (c *checker) axes(field string, axes []int, count, head int) {
	c.within("length of "+field, len(axes), count, count)
	sum := 0
	for _, a := range axes {
		c.within(field, a, 0, maxWidth)
		c.divides("halves of "+field+": 2", 2, a)
		sum += a
	}
	if sum != head {
		c.fail(field, "add up to %d, want attention_head_dim %d", sum, head)
	}
}
