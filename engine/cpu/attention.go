package cpu

import "wisp/engine"

// attention: for each head, out = softmax(scale·q·kᵀ + bias)·v, one query at a
// time.
func attention(n *engine.Node, args []array, out []float32) {
	a, q, k, v := n.Attrs.(engine.AttentionAttrs), args[0], args[1], args[2]
	b, tq, tk, d := q.shape[0], q.shape[1], k.shape[1], q.shape[2]
	hd, kd := d/a.Heads, k.shape[2]
	for i := range b * tq * a.Heads {
		batch, query, head := i/(tq*a.Heads), i/a.Heads%tq, i%a.Heads
		at := (batch*tq+query)*d + head*hd
		key := func(j int) int { return (batch*tk+j)*kd + head/(a.Heads/a.KVHeads)*hd }
		keys := tk
		if a.Causal {
			keys = query + 1
		}
		scores := make([]float32, keys)
		for j := range scores {
			scores[j] = a.Scale * dot(q.f[at:at+hd], k.f[key(j):])
			if a.Bias {
				scores[j] += args[3].f[batch*tk+j]
			}
		}
		softmaxRow(scores, scores)
		for j, p := range scores {
			value := v.f[key(j):]
			for l := range hd {
				out[at+l] += p * value[l]
			}
		}
	}
}
