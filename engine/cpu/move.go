package cpu

import (
	"fmt"

	"wisp/engine"
)

// embedding: out[i] = table[ids[i]].
func embedding(table, ids array) (array, error) {
	rows, d := table.shape[0], table.shape[1]
	out := make([]float32, 0, len(ids.i)*d)
	for _, id := range ids.i {
		if id < 0 || int(id) >= rows {
			return array{}, fmt.Errorf("id %d is outside the table of %d rows", id, rows)
		}
		out = append(out, table.f[int(id)*d:int(id+1)*d]...)
	}
	return array{f: out}, nil
}

// upsample2d: out[n,y,x] = in[n, ⌊y·h/h'⌋, ⌊x·w/w'⌋].
func upsample2d(n *engine.Node, args []array, out []float32) {
	to, x := n.Shape, args[0]
	h, w, c := x.shape[1], x.shape[2], x.shape[3]
	for i := range to[0] * to[1] * to[2] {
		b, y, xx := i/(to[1]*to[2]), i/to[2]%to[1], i%to[2]
		src := ((b*h+y*h/to[1])*w + xx*w/to[2]) * c
		copy(out[i*c:(i+1)*c], x.f[src:])
	}
}

// concat joins args along axis.
func concat(n *engine.Node, args []array, out []float32) {
	outer := n.Shape[:n.Attrs.(engine.AxisAttrs).Axis].Elems()
	at := 0
	for o := range outer {
		for _, x := range args {
			run := len(x.f) / outer
			at += copy(out[at:], x.f[o*run:(o+1)*run])
		}
	}
}

// slice keeps start ≤ i < stop of an axis.
func slice(node *engine.Node, args []array, out []float32) {
	attrs, x := node.Attrs.(engine.AxisAttrs), args[0]
	inner := x.shape[attrs.Axis+1:].Elems()
	n := x.shape[attrs.Axis]
	at := 0
	for o := range x.shape[:attrs.Axis].Elems() {
		at += copy(out[at:], x.f[(o*n+attrs.Start)*inner:(o*n+attrs.Stop)*inner])
	}
}

// permute: axis i of the result is axis axes[i] of x.
func permute(n *engine.Node, args []array, out []float32) {
	reorder(n.Shape, n.Attrs.(engine.PermuteAttrs).Axes, args[0], out)
}

// reorder writes x with its axes in another order, as shape to.
func reorder(to engine.Shape, axes []int, x array, out []float32) {
	strides := make([]int, len(x.shape))
	step := 1
	for a := len(x.shape) - 1; a >= 0; a-- {
		strides[a] = step
		step *= x.shape[a]
	}
	permuted := make([]int, len(axes))
	for i, a := range axes {
		permuted[i] = strides[a]
	}
	for i := range out {
		out[i] = x.f[offset(i, to, permuted)]
	}
}
