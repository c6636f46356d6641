package cpu

import "wisp/engine"

// attention: for each head, out = softmax(scale·q·kᵀ + bias)·v, one query at a
// time; bias is empty where there is none.
func attention(attrs engine.AttentionAttrs, q, k, v, bias array, out []float32) {
	b, tq, tk, d := q.shape[0], q.shape[1], k.shape[1], q.shape[2]
	hd := d / attrs.Heads
	for i := range b * tq * attrs.Heads {
		batch, query, head := i/(tq*attrs.Heads), i/attrs.Heads%tq, i%attrs.Heads
		at := (batch*tq+query)*d + head*hd
		keys := tk
		if attrs.Causal {
			keys = query + 1
		}
		scores := make([]float32, keys)
		for j := range scores {
			scores[j] = attrs.Scale * dot(q.f[at:at+hd], k.f[(batch*tk+j)*d+head*hd:])
			if attrs.Bias {
				scores[j] += bias.f[batch*tk+j]
			}
		}
		softmaxRow(scores, scores)
		for j, p := range scores {
			value := v.f[(batch*tk+j)*d+head*hd:]
			for l := range hd {
				out[at+l] += p * value[l]
			}
		}
	}
}
