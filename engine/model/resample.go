package model

import (
	"slices"

	"wisp/engine"
)

// Changes of size without learned weights.

// fir is the separable filter of Score-SDE's networks, (1, 3, 3, 1), as one of
// 4×4 taps whose sum is gain.
func fir(gain float32) []float32 {
	taps := make([]float32, 16)
	line := []float32{1. / 8, 3. / 8, 3. / 8, 1. / 8}
	for i := range taps {
		taps[i] = gain * line[i/4] * line[i%4]
	}
	return taps
}

// firDownsample halves x (n,h,w,c) through the filter: diffusers' FirDownsample2D.
func firDownsample(g *engine.Graph, x *engine.Node) *engine.Node {
	return filter(g, x, fir(1), 4, [4]int{1, 1, 1, 1})
}

// average halves x (n,h,w,c) to the mean of each 2×2 pixels.
func average(g *engine.Graph, x *engine.Node) *engine.Node {
	return filter(g, x, slices.Repeat([]float32{0.25}, 4), 2, [4]int{})
}

// filter convolves every channel with the same k×k taps, two pixels apart.
func filter(g *engine.Graph, x *engine.Node, taps []float32, k int, pad [4]int) *engine.Node {
	c := x.Shape[3]
	weight := engine.FromFloat32s(slices.Repeat(taps, c), c, 1, k, k)
	return engine.DepthwiseConv2D(x, g.Const(weight), nil, 2, pad)
}

// firUpsample doubles x (n,h,w,c) through the filter, diffusers' FirUpsample2D:
// each pixel adds the 16 taps times itself to the result.
func firUpsample(g *engine.Graph, x *engine.Node) *engine.Node {
	n, h, w, c := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	taps := g.Const(engine.FromFloat32s(fir(4), 16, 1))
	patches := engine.Mul(engine.Reshape(x, n, h, w, 1, c), taps)
	return engine.Fold2D(engine.Reshape(patches, n, h, w, 16*c), nil, 4, 4, 2, 1, 2*h, 2*w)
}

// double doubles x (n,h,w,c) by nearest neighbour.
func double(x *engine.Node) *engine.Node {
	return engine.Upsample2D(x, 2*x.Shape[1], 2*x.Shape[2])
}
