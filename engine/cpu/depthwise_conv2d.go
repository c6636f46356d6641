package cpu

import "wisp/engine"

// depthwiseConv2D: out[n,y,x,c] = act(Σ w[c,0,i,j]·x[n, y·s+i−top, x·s+j−left, c] + bias[c] + residual).
func depthwiseConv2D(n *engine.Node, args []array, out []float32) {
	attrs, x, w := n.Attrs.(engine.Conv2DAttrs), args[0], args[1]
	h, wd, c := x.shape[1], x.shape[2], x.shape[3]
	kh, kw := w.shape[2], w.shape[3]
	finish := epilogue(attrs.Epilogue, args[2:], c)
	for i := range out {
		ch, ox, oy, b := i%c, i/c%n.Shape[2], i/c/n.Shape[2]%n.Shape[1], i/c/n.Shape[2]/n.Shape[1]
		var sum float32
		for ky := range kh {
			for kx := range kw {
				y, xx := oy*attrs.Stride+ky-attrs.Pad[0], ox*attrs.Stride+kx-attrs.Pad[1]
				if y >= 0 && y < h && xx >= 0 && xx < wd {
					sum += w.f[(ch*kh+ky)*kw+kx] * x.f[((b*h+y)*wd+xx)*c+ch]
				}
			}
		}
		out[i] = finish(i, sum)
	}
}
