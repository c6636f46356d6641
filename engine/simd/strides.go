package simd

import (
	"wisp/engine"
)

// dim is an axis of a strided walk: its extent and the strides of two tensors
// in elements.
type dim struct{ extent, a, b int }

// collapse drops axes of one element and joins neighbours that both tensors
// walk as one.
func collapse(shape engine.Shape, a, b []int) []dim {
	var dims []dim
	for i, extent := range shape {
		d := dim{extent, a[i], b[i]}
		if extent == 1 {
			continue
		}
		if k := len(dims) - 1; k >= 0 && dims[k].a == d.a*extent && dims[k].b == d.b*extent {
			dims[k] = dim{dims[k].extent * extent, d.a, d.b}
			continue
		}
		dims = append(dims, d)
	}
	return dims
}

// outerDims encodes the axes but the last for a kernel: their number, then
// each, innermost first.
func outerDims(dims []dim) []any {
	args := []any{len(dims) - 1}
	for i := len(dims) - 2; i >= 0; i-- {
		args = append(args, dims[i].extent, 4*dims[i].a, 4*dims[i].b)
	}
	return args
}
