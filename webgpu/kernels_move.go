package webgpu

import (
	"fmt"

	"wisp/engine"
)

// axis is one loop of a strided kernel: its extent and its strides, in
// elements, in the two tensors beside the contiguous or written one.
type axis struct{ n, a, b int }

// maxAxes is the number of axes that strided kernels take.
const maxAxes = 8

// merge drops axes of one element and joins neighbours that can be walked as
// one, outermost first.
func merge(axes []axis) []axis {
	var out []axis
	for _, x := range axes {
		if x.n == 1 {
			continue
		}
		if last := len(out) - 1; last >= 0 && out[last].a == x.a*x.n && out[last].b == x.b*x.n {
			out[last] = axis{out[last].n * x.n, x.a, x.b}
			continue
		}
		out = append(out, x)
	}
	return out
}

// stridedDims encodes axes, given outermost first, as the kernels read them:
// extents and strides innermost first, in eights.
func stridedDims(head []uint32, axes []axis) []uint32 {
	at := len(head)
	dims := append(head, make([]uint32, 3*maxAxes)...)
	for i := range maxAxes {
		dims[at+i] = 1
	}
	for i, x := range axes {
		j := at + len(axes) - 1 - i
		dims[j], dims[j+maxAxes], dims[j+2*maxAxes] = uint32(x.n), uint32(x.a), uint32(x.b)
	}
	return dims
}

func elementwise(c *compiler, n *engine.Node) error {
	a, b, err := c.read2(n)
	if err != nil {
		return err
	}
	sa, sb := n.Inputs[0].Shape.Broadcast(n.Shape), n.Inputs[1].Shape.Broadcast(n.Shape)
	axes := make([]axis, len(n.Shape))
	for i, d := range n.Shape {
		axes[i] = axis{d, sa[i], sb[i]}
	}
	axes = merge(axes)
	if len(axes) > maxAxes {
		return fmt.Errorf("%d axes: %w", len(axes), engine.ErrUnsupported)
	}
	if len(axes) == 0 {
		axes = []axis{{1, 0, 0}}
	}
	// Runs of the outermost axis that can be bound.
	es := elemSize(c.elem)
	outer := axes[0]
	inner := n.Elems() / outer.n
	most, unit := c.bindable(inner*es, outer.a*es, outer.b*es)
	for _, r := range cut(outer.n, most, unit) {
		axes[0].n = r[1] - r[0]
		count := (r[1] - r[0]) * inner
		err := c.add(step{
			kernel: "elementwise",
			dims:   stridedDims(u(0, count, int(n.Op-engine.OpAdd), len(axes)), axes),
			reads:  []view{run(a, r, outer.n, outer.a*es), run(b, r, outer.n, outer.b*es)},
			out:    c.views[n].part(r[0]*inner*es, count*es),
			grid:   flat(count),
			flops:  float64(count),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// run is the part of v that a run of the outermost axis of n reads, whose
// stride in v is so many bytes.
func run(v view, r [2]int, n, stride int) view {
	if stride == 0 || r[1]-r[0] == n {
		return v
	}
	size := v.size - r[0]*stride
	if r[1] < n {
		size = (r[1] - r[0]) * stride
	}
	return v.part(r[0]*stride, size)
}

// within is what is bound of v for rows r of an axis of so many elements'
// stride, of which row 0 begins at element first: all of v where that can be.
// It returns where in it row r[0] begins.
func (c *compiler) within(v view, r [2]int, stride, first int) (part view, at int) {
	if v.size <= c.limits.Binding {
		return v, first + r[0]*stride
	}
	es := elemSize(c.elem)
	offset := (r[0] + first/stride) * stride * es
	skip := offset % bindAlign
	return v.part(offset-skip, min((r[1]-r[0])*stride*es, v.size-offset)+skip), first%stride + skip/es
}

// copy moves elements from x, from element x0 on, to out, from element out0
// on. The axes are outermost first: extent, stride in x, stride in out.
func (c *compiler) copy(x, out view, axes []axis, x0, out0 int) error {
	axes = merge(axes)
	if len(axes) > maxAxes {
		return fmt.Errorf("%d axes: %w", len(axes), engine.ErrUnsupported)
	}
	if len(axes) == 0 {
		axes = []axis{{1, 0, 0}}
	}
	es := elemSize(c.elem)
	outer, inner := axes[0], 1
	for _, a := range axes[1:] {
		inner *= a.n
	}
	most, unit := c.bindable(outer.a*es, outer.b*es)
	switch {
	case max(x.size, out.size) <= c.limits.Binding:
		most = outer.n
	case x0+out0 > 0:
		most = max(most-unit, 1) // parts may begin before their first element
	}
	if max(x.size, out.size) > c.limits.Binding && !outermost(axes) {
		return fmt.Errorf("a permutation of %d MiB exceeds the device's bindings: %w", x.size>>20, engine.ErrOutOfMemory)
	}
	for _, r := range cut(outer.n, most, unit) {
		axes[0].n = r[1] - r[0]
		count := axes[0].n * inner
		from, fromAt := c.within(x, r, outer.a, x0)
		to, toAt := c.within(out, r, outer.b, out0)
		err := c.add(step{
			kernel: "copy",
			dims:   stridedDims(u(0, count, fromAt, toAt, len(axes), 0, 0, 0), axes),
			reads:  []view{from},
			out:    to,
			grid:   flat(count),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// outermost reports whether the first axis has the largest strides in both
// tensors, so that a run of it is a run of bytes.
func outermost(axes []axis) bool {
	for _, x := range axes[1:] {
		if x.a > axes[0].a || x.b > axes[0].b {
			return false
		}
	}
	return true
}

func concat(c *compiler, n *engine.Node) error {
	ax := n.Attrs.(engine.AxisAttrs).Axis
	outer, inner := n.Shape[:ax].Elems(), n.Shape[ax+1:].Elems()
	at := 0
	for _, in := range n.Inputs {
		x, err := c.read(in)
		if err != nil {
			return err
		}
		length := in.Shape[ax] * inner
		if err := c.copy(x, c.views[n], []axis{{outer, length, n.Shape[ax] * inner}, {length, 1, 1}}, 0, at); err != nil {
			return err
		}
		at += length
	}
	return nil
}

func slice(c *compiler, n *engine.Node) error {
	x, err := c.read(n.Inputs[0])
	if err != nil {
		return err
	}
	a := n.Attrs.(engine.AxisAttrs)
	outer, inner := n.Shape[:a.Axis].Elems(), n.Shape[a.Axis+1:].Elems()
	length := n.Shape[a.Axis] * inner
	return c.copy(x, c.views[n], []axis{{outer, n.Inputs[0].Shape[a.Axis] * inner, length}, {length, 1, 1}}, a.Start*inner, 0)
}

func permute(c *compiler, n *engine.Node) error {
	x, err := c.read(n.Inputs[0])
	if err != nil {
		return err
	}
	from, to := n.Inputs[0].Shape.Strides(), n.Shape.Strides()
	axes := make([]axis, len(n.Shape))
	for i, a := range n.Attrs.(engine.PermuteAttrs).Axes {
		axes[i] = axis{n.Shape[i], from[a], to[i]}
	}
	return c.copy(x, c.views[n], axes, 0, 0)
}
