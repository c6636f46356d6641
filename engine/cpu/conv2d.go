package cpu

import "wisp/engine"

// conv2d: out[n,y,x,o] = act(Σ w[o,c,i,j]·x[n, y·s+i−top, x·s+j−left, c] + bias[o] + residual).
func conv2d(n *engine.Node, args []array, out []float32) {
	attrs, x, w := n.Attrs.(engine.Conv2DAttrs), args[0], args[1]
	h, wd, c := x.shape[1], x.shape[2], x.shape[3]
	oc, kh, kw := w.shape[0], w.shape[2], w.shape[3]
	finish := epilogue(attrs.Epilogue, args[2:], oc)
	// Channels innermost, as the image has them.
	wt := make([]float32, len(w.f)) // (o, kh, kw, c)
	reorder(engine.Shape{oc, kh, kw, c}, []int{0, 2, 3, 1}, w, wt)
	i := 0
	for b := range n.Shape[0] {
		for oy := range n.Shape[1] {
			for ox := range n.Shape[2] {
				for o := range oc {
					var sum float32
					for ky := range kh {
						y := oy*attrs.Stride + ky - attrs.Pad[0]
						if y < 0 || y >= h {
							continue
						}
						for kx := range kw {
							xx := ox*attrs.Stride + kx - attrs.Pad[1]
							if xx < 0 || xx >= wd {
								continue
							}
							at := ((b*h+y)*wd + xx) * c
							sum += dot(x.f[at:at+c], wt[((o*kh+ky)*kw+kx)*c:])
						}
					}
					out[i] = finish(i, sum)
					i++
				}
			}
		}
	}
}

// epilogue returns act(sum + bias + residual) for element i of the result.
func epilogue(e engine.Epilogue, rest []array, out int) func(i int, sum float32) float32 {
	var bias, residual []float32
	if e.Bias {
		bias, rest = rest[0].f, rest[1:]
	}
	if e.Residual {
		residual = rest[0].f
	}
	act := activation(e.Act)
	return func(i int, sum float32) float32 {
		if bias != nil {
			sum += bias[i%out]
		}
		if residual != nil {
			sum += residual[i]
		}
		return act(sum)
	}
}

func dot(a, b []float32) (sum float32) {
	b = b[:len(a)]
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
