package webgpu

import "wisp/engine"

// fused is a node that is computed together with one that nothing else reads.
type fused struct {
	inner *engine.Node
	emit  func(c *compiler, n *engine.Node) error
}

// fuse finds what is computed together.
func (c *compiler) fuse(g *engine.Graph) {
	c.fusions, c.inside = map[*engine.Node]fused{}, map[*engine.Node]bool{}
	c.addends, c.gated = map[*engine.Node]*engine.Node{}, map[*engine.Node]bool{}
	uses := usesOf(g)
	for _, n := range g.Nodes {
		for _, find := range []func(*compiler, *engine.Node) (fused, bool){modulated, gated, shifted} {
			if f, ok := find(c, n); ok && uses[f.inner] == 1 {
				c.fusions[n], c.inside[f.inner] = f, true
			}
		}
	}
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
func modulated(_ *compiler, n *engine.Node) (fused, bool) {
	if n.Op != engine.OpModulate {
		return fused{}, false
	}
	inner := n.Inputs[0]
	if inner.Op != engine.OpLayerNorm && inner.Op != engine.OpRMSNorm {
		return fused{}, false
	}
	return fused{inner: inner, emit: func(c *compiler, n *engine.Node) error {
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

// gated recognises GEGLU of a linear layer, whose values and gates are then
// made in one place, half as many bytes.
func gated(c *compiler, n *engine.Node) (fused, bool) {
	if n.Op != engine.OpGEGLU {
		return fused{}, false
	}
	inner := n.Inputs[0]
	if inner.Op != engine.OpLinear || fewRows(c, inner) {
		return fused{}, false
	}
	w, a := c.matrix(inner.Inputs[1]), inner.Attrs.(engine.LinearAttrs)
	if w == nil || len(w.parts) > 1 || a.Residual || a.Act != engine.OpNone {
		return fused{}, false
	}
	return fused{inner: inner, emit: func(c *compiler, n *engine.Node) error {
		c.gated[inner] = true
		return c.instead(inner, n)
	}}, true
}

// shifted recognises a convolution and what is added to each of its images, as
// a network adds what it makes of the time.
func shifted(c *compiler, n *engine.Node) (fused, bool) {
	if n.Op != engine.OpAdd {
		return fused{}, false
	}
	inner, row := n.Inputs[0], n.Inputs[1]
	if inner.Op != engine.OpConv2D {
		inner, row = row, inner
	}
	if inner.Op != engine.OpConv2D {
		return fused{}, false
	}
	s, a, in := inner.Shape, inner.Attrs.(engine.Conv2DAttrs), inner.Inputs[0].Shape
	whole := max(s.Elems(), in.Elems()/in.Dim(-1)*align(in.Dim(-1), 4))*elemSize(c.elem) <= c.limits.Binding
	if a.Residual || a.Act != engine.OpNone || !whole || !row.Shape.Equal(engine.Shape{s[0], 1, 1, s[3]}) || !n.Shape.Equal(s) {
		return fused{}, false
	}
	return fused{inner: inner, emit: func(c *compiler, n *engine.Node) error {
		c.addends[inner] = row
		return c.instead(inner, n)
	}}, true
}

// instead computes inner with n's result.
func (c *compiler) instead(inner, n *engine.Node) error {
	c.views[inner] = c.views[n]
	emit, err := c.kernel(inner)
	if err != nil {
		return err
	}
	return emit(c, inner)
}
