package cpu

import "wisp/engine"

// rotaryEmbedding: each pair (p, q) of a head becomes (p·cos − q·sin,
// q·cos + p·sin) by the place's angles.
func rotaryEmbedding(n *engine.Node, args []array, out []float32) {
	a, x, cos, sin := n.Attrs.(engine.RotaryAttrs), args[0].f, args[1], args[2]
	t, half := n.Shape[1], n.Shape[2]/(2*a.Heads)
	for i := range len(x) / 2 { // pair j of a head of a place
		j, head, place := i%half, i/half%a.Heads, i/half/a.Heads
		first, second := (place*a.Heads+head)*2*half+j, (place*a.Heads+head)*2*half+half+j
		if a.Interleaved {
			first, second = (place*a.Heads+head)*2*half+2*j, (place*a.Heads+head)*2*half+2*j+1
		}
		at := place*half + j
		if cos.shape[0] == 1 {
			at = place%t*half + j
		}
		c, s := cos.f[at], sin.f[at]
		out[first], out[second] = x[first]*c-x[second]*s, x[second]*c+x[first]*s
	}
}
