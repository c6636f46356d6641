package webgpu

import (
	"slices"

	"wisp/engine"
)

// fused is a node that is computed together with those it is made of, which
// nothing else reads.
type fused struct {
	emit  func(c *compiler, n *engine.Node) error
	parts []*engine.Node
}

// fusedNorms finds the norms that diffusion transformers spell out in several
// ops: the root-mean-square norm and the modulation of a norm.
func fusedNorms(g *engine.Graph) map[*engine.Node]fused {
	uses := usesOf(g)
	found := map[*engine.Node]fused{}
	for _, n := range g.Nodes {
		f, ok := rmsNorm(n)
		if !ok {
			f, ok = modulated(n)
		}
		if ok && !slices.ContainsFunc(f.parts, func(p *engine.Node) bool { return uses[p] != 1 }) {
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

// constantly reports whether all elements of a constant are v.
func constantly(n *engine.Node, v float32) bool {
	a, ok := n.Attrs.(engine.ConstAttrs)
	return ok && !slices.ContainsFunc(a.Value.Float32s(), func(x float32) bool { return x != v })
}

// rmsNorm recognises engine/model's root-mean-square norm: the first half of
// the layer norm of x and −x side by side, times a weight.
func rmsNorm(n *engine.Node) (fused, bool) {
	if n.Op != engine.OpMul || n.Inputs[0].Op != engine.OpSlice {
		return fused{}, false
	}
	half, weight := n.Inputs[0], n.Inputs[1]
	both := half.Inputs[0]
	if both.Op != engine.OpLayerNorm || both.Inputs[0].Op != engine.OpConcat || !constantly(both.Inputs[1], 1) || !constantly(both.Inputs[2], 0) {
		return fused{}, false
	}
	pair := both.Inputs[0]
	x, minus := pair.Inputs[0], pair.Inputs[1]
	last, d := len(x.Shape)-1, x.Shape.Dim(-1)
	at := half.Attrs.(engine.AxisAttrs)
	if len(pair.Inputs) != 2 || pair.Attrs.(engine.AxisAttrs).Axis != last || at.Axis != last || at.Start != 0 || at.Stop != d ||
		minus.Op != engine.OpAffine || minus.Inputs[0] != x || minus.Attrs.(engine.AffineAttrs) != (engine.AffineAttrs{Mul: -1}) ||
		!weight.Shape.Equal(engine.Shape{d}) {
		return fused{}, false
	}
	return fused{parts: []*engine.Node{half, both, pair, minus}, emit: func(c *compiler, n *engine.Node) (err error) {
		k := norm{eps: both.Attrs.(engine.NormAttrs).Eps, rms: true}
		if k.x, err = c.read(x); err != nil {
			return err
		}
		if k.gamma, err = c.vector(weight); err != nil {
			return err
		}
		k.beta = k.gamma
		return c.normRows(n, k)
	}}, true
}

// modulated recognises norm(x)·(1 + scale) + shift for x (b, t, d), scale and
// shift (b, 1, d).
func modulated(n *engine.Node) (fused, bool) {
	if n.Op != engine.OpAdd || n.Inputs[0].Op != engine.OpMul {
		return fused{}, false
	}
	product, shift := n.Inputs[0], n.Inputs[1]
	norm1, plus := product.Inputs[0], product.Inputs[1]
	if norm1.Op != engine.OpLayerNorm || plus.Op != engine.OpAffine || plus.Attrs.(engine.AffineAttrs) != (engine.AffineAttrs{Mul: 1, Add: 1}) {
		return fused{}, false
	}
	scale := plus.Inputs[0]
	if len(n.Shape) != 3 || !scale.Shape.Equal(engine.Shape{n.Shape[0], 1, n.Shape[2]}) || !shift.Shape.Equal(scale.Shape) {
		return fused{}, false
	}
	return fused{parts: []*engine.Node{product, norm1, plus}, emit: func(c *compiler, n *engine.Node) error {
		k := norm{eps: norm1.Attrs.(engine.NormAttrs).Eps, per: n.Shape[1]}
		var err error
		if k.x, k.gamma, k.beta, err = c.normOperands(norm1); err != nil {
			return err
		}
		if k.scale, err = c.read(scale); err != nil {
			return err
		}
		if k.shift, err = c.read(shift); err != nil {
			return err
		}
		return c.normRows(n, k)
	}}, true
}
