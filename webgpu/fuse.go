package webgpu

import "wisp/engine"

// fused is a node that is computed together with those it is made of, which
// nothing else reads.
type fused struct {
	emit  func(c *compiler, n *engine.Node) error
	parts []*engine.Node
}

// fusedNorms finds the modulations of a norm that nothing else reads.
func fusedNorms(g *engine.Graph) map[*engine.Node]fused {
	uses := usesOf(g)
	found := map[*engine.Node]fused{}
	for _, n := range g.Nodes {
		if f, ok := modulated(n); ok && uses[n.Inputs[0]] == 1 {
			found[n] = f
		}
	}
	return found
}

// usesOf counts the readers of each node's result.
func usesOf(g *engine.Graph) map[*engine.Node]int {
	uses := map[*engine.Node]int{}
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

// modulated recognises the modulation of a norm.
func modulated(n *engine.Node) (fused, bool) {
	if n.Op != engine.OpModulate {
		return fused{}, false
	}
	inner := n.Inputs[0]
	if inner.Op != engine.OpLayerNorm && inner.Op != engine.OpRMSNorm {
		return fused{}, false
	}
	return fused{parts: []*engine.Node{inner}, emit: func(c *compiler, n *engine.Node) error {
		k, err := c.norm(inner)
		if err != nil {
			return err
		}
		k.per = n.Elems() / n.Shape[0] / n.Shape.Dim(-1)
		if k.shift, err = c.read(n.Inputs[1]); err != nil {
			return err
		}
		if k.scale, err = c.read(n.Inputs[2]); err != nil {
			return err
		}
		return c.normRows(n, k)
	}}, true
}
