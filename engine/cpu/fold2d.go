package cpu

import "wisp/engine"

// fold2d: out[n, y·s+i−pad, x·s+j−pad, c] = Σ in[n, y, x, i, j, c] + bias[c].
func fold2d(n *engine.Node, args []array, out []float32) {
	a, x := n.Attrs.(engine.Fold2DAttrs), args[0]
	h, w, c := x.shape[1], x.shape[2], n.Shape[3]
	if len(args) > 1 {
		for i := range out {
			out[i] = args[1].f[i%c]
		}
	}
	for i, v := range x.f {
		ch, kx, ky, pixel := i%c, i/c%a.KW, i/c/a.KW%a.KH, i/c/a.KW/a.KH
		oy, ox, b := pixel/w%h*a.Stride+ky-a.Pad, pixel%w*a.Stride+kx-a.Pad, pixel/w/h
		if oy >= 0 && oy < n.Shape[1] && ox >= 0 && ox < n.Shape[2] {
			out[((b*n.Shape[1]+oy)*n.Shape[2]+ox)*c+ch] += v
		}
	}
}
