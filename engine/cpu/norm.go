package cpu

import (
	"math"

	"wisp/engine"
)

// groupNorm: (x − mean)/√(var + eps)·gamma + beta over each image's group of channels.
func groupNorm(n *engine.Node, args []array, out []float32) {
	attrs, x, gamma, beta := n.Attrs.(engine.NormAttrs), args[0], args[1].f, args[2].f
	c := x.shape.Dim(-1)
	spatial := x.shape.Elems() / x.shape[0] / c
	per := c / attrs.Groups
	act := activation(attrs.Act)
	for i := range x.shape[0] * attrs.Groups {
		image, group := i/attrs.Groups, i%attrs.Groups
		at := func(s, j int) int { return (image*spatial+s)*c + group*per + j }
		mean, scale := moments(spatial*per, attrs.Eps, func(e int) float32 { return x.f[at(e/per, e%per)] })
		for e := range spatial * per {
			p, ch := at(e/per, e%per), group*per+e%per
			out[p] = act((x.f[p]-mean)*scale*gamma[ch] + beta[ch])
		}
	}
}

// layerNorm: (x − mean)/√(var + eps)·gamma + beta over the last dimension.
func layerNorm(n *engine.Node, args []array, out []float32) {
	attrs, x, gamma, beta := n.Attrs.(engine.NormAttrs), args[0], args[1].f, args[2].f
	d := x.shape.Dim(-1)
	for at := 0; at < len(out); at += d {
		row := x.f[at : at+d]
		mean, scale := moments(d, attrs.Eps, func(e int) float32 { return row[e] })
		for i, v := range row {
			out[at+i] = (v-mean)*scale*gamma[i] + beta[i]
		}
	}
}

// rmsNorm: x/√(mean(x²) + eps)·gamma over the last dimension.
func rmsNorm(n *engine.Node, args []array, out []float32) {
	x, gamma, d := args[0].f, args[1].f, n.Shape.Dim(-1)
	for at := 0; at < len(out); at += d {
		var squares float64
		for _, v := range x[at : at+d] {
			squares += float64(v) * float64(v)
		}
		scale := float32(1 / math.Sqrt(squares/float64(d)+float64(n.Attrs.(engine.NormAttrs).Eps)))
		for i, v := range x[at : at+d] {
			out[at+i] = v * scale * gamma[i]
		}
	}
}

// moments gives the mean and 1/√(variance + eps) of n values.
func moments(n int, eps float32, value func(i int) float32) (mean, scale float32) {
	var sum, squares float64
	for i := range n {
		sum += float64(value(i))
	}
	m := sum / float64(n)
	for i := range n {
		d := float64(value(i)) - m
		squares += d * d
	}
	return float32(m), float32(1 / math.Sqrt(squares/float64(n)+float64(eps)))
}

// softmax: exp(x − max)/Σ over the last dimension.
func softmax(_ *engine.Node, args []array, out []float32) {
	x, d := args[0], args[0].shape.Dim(-1)
	for at := 0; at < len(out); at += d {
		softmaxRow(x.f[at:at+d], out[at:at+d])
	}
}

func softmaxRow(x, out []float32) {
	top := float32(math.Inf(-1))
	for _, v := range x {
		top = max(top, v)
	}
	var sum float64
	for i, v := range x {
		e := math.Exp(float64(v - top))
		out[i] = float32(e)
		sum += e
	}
	for i := range out {
		out[i] = float32(float64(out[i]) / sum)
	}
}
