package engine

import (
	"math"
	"slices"
)

// The composite ops, and what each of them is in primitives.

// expansions has the primitives that each composite op stands for: a node of
// the same shape, made of n's inputs.
var expansions = map[Op]func(n *Node) *Node{
	OpAttention:       expandAttention,
	OpGEGLU:           expandGEGLU,
	OpRMSNorm:         expandRMSNorm,
	OpModulate:        expandModulate,
	OpRotaryEmbedding: expandRotaryEmbedding,
}

// AttentionAttrs are the parameters of OpAttention.
type AttentionAttrs struct {
	Heads   int     // of the queries
	KVHeads int     // of the keys and values; divides Heads, and [Attend] takes 0 for as many
	Scale   float32 // of q·k, usually 1/√(head size)
	Causal  bool    // query i sees keys 0..i only
	Bias    bool    // a fourth input (b, tk) is added to the scores of each key
}

// Attention is softmax(scale·q·kᵀ)·v for each head: q (b, tq, heads·hd),
// k and v (b, tk, heads·hd), result as q. Dao et al. 2022 compute it without
// ever writing the (tq, tk) scores.
func Attention(q, k, v *Node, heads int, scale float32, causal bool) *Node {
	return Attend(q, k, v, nil, AttentionAttrs{Heads: heads, Scale: scale, Causal: causal})
}

// BiasedAttention is Attention whose scores have bias (b, tk) added after the
// scale, the same for every head and query: 0 for a key that counts, a large
// negative number for padding.
func BiasedAttention(q, k, v, bias *Node, heads int, scale float32) *Node {
	return Attend(q, k, v, bias, AttentionAttrs{Heads: heads, Scale: scale})
}

// Attend is Attention with all that there is: k and v (b, tk, KVHeads·hd) whose
// heads each serve Heads/KVHeads heads of the queries in turn (Ainslie et al.
// 2023), and a bias as in [BiasedAttention], or nil, beside the causal mask.
func Attend(q, k, v, bias *Node, a AttentionAttrs) *Node {
	in := []*Node{q, k, v}
	if a.KVHeads == 0 {
		a.KVHeads = a.Heads
	}
	if len(q.Shape) != 3 || len(k.Shape) != 3 || !k.Shape.Equal(v.Shape) || q.Shape[0] != k.Shape[0] ||
		a.Heads < 1 || a.KVHeads < 1 || a.Heads%a.KVHeads != 0 || q.Shape[2]%a.Heads != 0 || k.Shape[2] != q.Shape[2]/a.Heads*a.KVHeads {
		failOp(OpAttention, in, "want q (b,tq,%d·hd), k and v (b,tk,%d·hd)", a.Heads, a.KVHeads)
	}
	if a.Causal && q.Shape[1] != k.Shape[1] {
		failOp(OpAttention, in, "causal attention needs as many keys as queries")
	}
	if a.Bias = bias != nil; a.Bias {
		in = append(in, bias)
		if !bias.Shape.Equal(Shape{k.Shape[0], k.Shape[1]}) {
			failOp(OpAttention, in, "bias is %v, want (%d,%d)", bias.Shape, k.Shape[0], k.Shape[1])
		}
	}
	return record(OpAttention, q.Shape, a, in...)
}

func expandAttention(n *Node) *Node {
	a := n.Attrs.(AttentionAttrs)
	heads := func(x *Node, heads int) *Node { // (b, t, heads·hd) to (b, heads, t, hd)
		b, t, d := x.Shape[0], x.Shape[1], x.Shape[2]
		return Permute(Reshape(x, b, t, heads, d/heads), 0, 2, 1, 3)
	}
	q, k, v := heads(n.Inputs[0], a.Heads), repeatHeads(heads(n.Inputs[1], a.KVHeads), a), repeatHeads(heads(n.Inputs[2], a.KVHeads), a)
	scores := Affine(MatMul(q, k, true), a.Scale, 0) // (b, heads, tq, tk)
	if a.Causal {
		scores = Add(scores, q.g.Const(causalMask(n.Shape[1])))
	}
	if a.Bias {
		scores = Add(scores, Reshape(n.Inputs[3], k.Shape[0], 1, 1, k.Shape[2]))
	}
	out := Permute(MatMul(Softmax(scores), v, false), 0, 2, 1, 3)
	return Reshape(out, n.Shape...)
}

// repeatHeads gives each head of x (b, kvheads, t, hd) to those of the queries
// that it serves.
func repeatHeads(x *Node, a AttentionAttrs) *Node {
	group := a.Heads / a.KVHeads
	if group == 1 {
		return x
	}
	b, t, hd := x.Shape[0], x.Shape[2], x.Shape[3]
	copies := slices.Repeat([]*Node{Reshape(x, b, a.KVHeads, 1, t, hd)}, group)
	return Reshape(Concat(2, copies...), b, a.Heads, t, hd)
}

// causalMask is (t, t): zero where key ≤ query, else a number so low that the
// softmax gives it nothing, yet finite so that no NaN can arise.
func causalMask(t int) Tensor {
	v := make([]float32, t*t)
	for q := range t {
		for k := q + 1; k < t; k++ {
			v[q*t+k] = -math.MaxFloat32 / 2
		}
	}
	return FromFloat32s(v, t, t)
}

// GEGLU halves the last dimension of x (…, 2d) into a and gate: a·GELU(gate).
// Shazeer 2020, in the order that diffusers stores it.
func GEGLU(x *Node) *Node {
	d := x.Shape.Dim(-1)
	if d%2 != 0 {
		failOp(OpGEGLU, []*Node{x}, "odd last dimension")
	}
	shape := slices.Clone(x.Shape)
	shape[len(shape)-1] = d / 2
	return record(OpGEGLU, shape, nil, x)
}

func expandGEGLU(n *Node) *Node {
	x, d := n.Inputs[0], n.Shape.Dim(-1)
	return Mul(Slice(x, -1, 0, d), GELU(Slice(x, -1, d, 2*d)))
}

// RMSNorm divides the last dimension of x (…, d) by its root mean square,
// x/√(mean(x²) + eps), and multiplies by gamma (d). Zhang & Sennrich 2019.
func RMSNorm(x, gamma *Node, eps float32) *Node {
	in := []*Node{x, gamma}
	if len(x.Shape) == 0 || !gamma.Shape.Equal(Shape{x.Shape.Dim(-1)}) {
		failOp(OpRMSNorm, in, "want x (…,d) and gamma (d)")
	}
	return record(OpRMSNorm, x.Shape, NormAttrs{Eps: eps}, in...)
}

// expandRMSNorm takes the layer norm of x and −x side by side: their mean is
// zero, their variance the mean square.
func expandRMSNorm(n *Node) *Node {
	x, d := n.Inputs[0], n.Shape.Dim(-1)
	ones := x.g.Const(FromFloat32s(slices.Repeat([]float32{1}, 2*d), 2*d))
	both := Concat(-1, x, Affine(x, -1, 0))
	both = LayerNorm(both, ones, x.g.Const(NewTensor(F32, 2*d)), n.Attrs.(NormAttrs).Eps)
	return Mul(Slice(both, -1, 0, d), n.Inputs[1])
}

// Modulate is x·(1 + scale) + shift for x (b, …, d), the same shift and scale
// (b, 1, …, 1, d) at every place of a batch: adaptive norms, Peebles & Xie 2022.
func Modulate(x, shift, scale *Node) *Node {
	in := []*Node{x, shift, scale}
	want := slices.Clone(x.Shape)
	for i := 1; i < len(want)-1; i++ {
		want[i] = 1
	}
	if len(want) < 2 || !shift.Shape.Equal(want) || !scale.Shape.Equal(want) {
		failOp(OpModulate, in, "want x (b,…,d), shift and scale %v", want)
	}
	return record(OpModulate, x.Shape, nil, in...)
}

func expandModulate(n *Node) *Node {
	return Add(Mul(n.Inputs[0], Affine(n.Inputs[2], 1, 1)), n.Inputs[1])
}

// RotaryAttrs are the parameters of OpRotaryEmbedding.
type RotaryAttrs struct {
	Heads       int
	Interleaved bool // element 2i turns with 2i + 1, not element i with hd/2 + i
}

// RotaryEmbedding turns pairs of elements of each head of x (b, t, heads·hd) by
// an angle for each place, given as its cosine and sine, cos and sin
// (1 or b, t, hd/2): (p, q) becomes (p·cos − q·sin, q·cos + p·sin). Su et al. 2021.
// Pairs are neighbours where interleaved, as Flux has them, else element i of
// the first half of a head and of the second, as Llama has them.
func RotaryEmbedding(x, cos, sin *Node, heads int, interleaved bool) *Node {
	in := []*Node{x, cos, sin}
	if len(x.Shape) != 3 || heads < 1 || x.Shape[2]%(2*heads) != 0 || len(cos.Shape) != 3 || !cos.Shape.Equal(sin.Shape) ||
		cos.Shape[0] != 1 && cos.Shape[0] != x.Shape[0] || cos.Shape[1] != x.Shape[1] || cos.Shape[2] != x.Shape[2]/(2*heads) {
		failOp(OpRotaryEmbedding, in, "want x (b,t,%d·hd), cos and sin (1 or b,t,hd/2)", heads)
	}
	return record(OpRotaryEmbedding, x.Shape, RotaryAttrs{heads, interleaved}, in...)
}

func expandRotaryEmbedding(n *Node) *Node {
	a, x := n.Attrs.(RotaryAttrs), n.Inputs[0]
	b, t, half := x.Shape[0], x.Shape[1], x.Shape[2]/(2*a.Heads)
	split, axis, one := Shape{b, t, a.Heads, 2, half}, 3, Shape{1, half}
	if a.Interleaved {
		split, axis, one = Shape{b, t, a.Heads, half, 2}, 4, Shape{half, 1}
	}
	x = Reshape(x, split...)
	p, q := Slice(x, axis, 0, 1), Slice(x, axis, 1, 2)
	table := func(v *Node) *Node { return Reshape(v, v.Shape[0], t, 1, one[0], one[1]) }
	cos, sin := table(n.Inputs[1]), table(n.Inputs[2])
	turned := Concat(axis, Sub(Mul(p, cos), Mul(q, sin)), Add(Mul(q, cos), Mul(p, sin)))
	return Reshape(turned, n.Shape...)
}
