package engine

import "slices"

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
		if !n.Op.IsComposite() || supports(n) {
			return n
		}
		return expansions[n.Op](n)
	})
}

// Primitive reports whether n is one that every backend takes: neither
// composite nor fused.
func Primitive(n *Node) bool {
	switch a := n.Attrs.(type) {
	case Conv2DAttrs:
		return a.Act == OpNone && !a.Residual
	case LinearAttrs:
		return a.Act == OpNone && !a.Residual
	case NormAttrs:
		return a.Act == OpNone && !n.Op.IsComposite()
	}
	return !n.Op.IsComposite()
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
