package engine

import (
	"math"
	"slices"
)

// Optimize rewrites a graph for a backend: it drops what no output needs,
// folds activations and residual additions into the op before them where
// supports takes the fused form, and expands the composite ops that it
// declines. The given graph is left as it is.
func Optimize(g *Graph, supports func(*Node) bool) *Graph {
	return fuse(Lower(g, supports), supports)
}

// Lower expands each composite op that supports declines into primitives, and
// drops what no output needs.
func Lower(g *Graph, supports func(*Node) bool) *Graph {
	return rewrite(g, func(_, n *Node) *Node {
		if n.Op < opFirstComposite || supports(n) {
			return n
		}
		switch n.Op {
		case OpAttention:
			return lowerAttention(n)
		default: // OpGEGLU
			x, d := n.Inputs[0], n.Shape.Dim(-1)
			return Mul(Slice(x, -1, 0, d), GELU(Slice(x, -1, d, 2*d)))
		}
	})
}

func lowerAttention(n *Node) *Node {
	attrs := n.Attrs.(AttentionAttrs)
	heads := func(x *Node) *Node { // (b, t, d) to (b, heads, t, hd)
		b, t, d := x.Shape[0], x.Shape[1], x.Shape[2]
		return Permute(Reshape(x, b, t, attrs.Heads, d/attrs.Heads), 0, 2, 1, 3)
	}
	q, k, v := heads(n.Inputs[0]), heads(n.Inputs[1]), heads(n.Inputs[2])
	scores := Affine(MatMul(q, k, true), attrs.Scale, 0) // (b, heads, tq, tk)
	if attrs.Causal {
		scores = Add(scores, q.g.Const(causalMask(n.Shape[1])))
	}
	if attrs.Bias {
		scores = Add(scores, Reshape(n.Inputs[3], k.Shape[0], 1, 1, k.Shape[2]))
	}
	out := Permute(MatMul(Softmax(scores), v, false), 0, 2, 1, 3)
	return Reshape(out, n.Shape...)
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

// fuse folds the activation or residual addition that alone uses a
// convolution, linear layer or group norm into that op's epilogue.
func fuse(g *Graph, supports func(*Node) bool) *Graph {
	uses := countUses(g)
	return rewrite(g, func(old, n *Node) *Node {
		for i, p := range n.Inputs {
			if uses[old.Inputs[i]] != 1 {
				continue
			}
			if fused := fold(n, i, p); fused != nil && supports(fused) {
				return n.g.add(fused)
			}
		}
		return n
	})
}

// fold returns producer p, input i of n, with n's work in its epilogue; or
// nil where the two do not fit.
func fold(n *Node, i int, p *Node) *Node {
	fused := *p
	switch {
	case n.Op.IsActivation():
		fused.Attrs = withActivation(p, n.Op)
	case n.Op == OpAdd && n.Inputs[0] != n.Inputs[1] && n.Inputs[0].Shape.Equal(n.Inputs[1].Shape):
		fused.Attrs = withResidual(p)
		fused.Inputs = append(slices.Clone(p.Inputs), n.Inputs[1-i])
	default:
		return nil
	}
	if fused.Attrs == nil {
		return nil
	}
	return &fused
}

func withActivation(p *Node, act Op) any {
	switch a := p.Attrs.(type) {
	case Conv2DAttrs:
		if a.Act == OpNone {
			a.Act = act
			return a
		}
	case LinearAttrs:
		if a.Act == OpNone {
			a.Act = act
			return a
		}
	case NormAttrs:
		if p.Op == OpGroupNorm && a.Act == OpNone {
			a.Act = act
			return a
		}
	}
	return nil
}

func withResidual(p *Node) any {
	switch a := p.Attrs.(type) {
	case Conv2DAttrs:
		if a.Act == OpNone && !a.Residual {
			a.Residual = true
			return a
		}
	case LinearAttrs:
		if a.Act == OpNone && !a.Residual {
			a.Residual = true
			return a
		}
	}
	return nil
}

// rewrite copies g, replacing each node by what f makes of it. f gets the old
// node and its copy, whose inputs are already replaced; it returns the copy or
// a node that it added to the copy's graph.
func rewrite(g *Graph, f func(old, n *Node) *Node) *Graph {
	out := &Graph{named: map[string]*Node{}}
	to := map[*Node]*Node{}
	for _, old := range g.Nodes {
		n := *old
		n.g = out
		n.Inputs = make([]*Node, len(old.Inputs))
		for i, in := range old.Inputs {
			n.Inputs[i] = to[in]
		}
		to[old] = f(old, &n)
		if to[old] == &n {
			out.add(&n)
		}
	}
	for _, o := range g.Outputs {
		out.Output(o.Name, to[o.Node])
	}
	out.prune()
	return out
}

// prune drops nodes that no output needs; inputs stay, since Run is given them.
func (g *Graph) prune() {
	live := map[*Node]bool{}
	var mark func(n *Node)
	mark = func(n *Node) {
		if live[n] {
			return
		}
		live[n] = true
		for _, in := range n.Inputs {
			mark(in)
		}
	}
	for _, o := range g.Outputs {
		mark(o.Node)
	}
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *Node) bool { return !live[n] && n.Op != OpInput })
}

// countUses counts how often each node is an input or an output.
func countUses(g *Graph) map[*Node]int {
	uses := map[*Node]int{}
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			uses[in]++
		}
	}
	for _, o := range g.Outputs {
		uses[o.Node]++
	}
	return uses
}
