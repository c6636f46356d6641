package simd

import "wisp/engine"

func (c *compiler) conv2d(n *engine.Node) {
	a := n.Attrs.(engine.Conv2DAttrs)
	x, w, bias, residual := a.Operands(n)
	kh, kw := w.Shape[2], w.Shape[3]
	p := product{n: w.Shape[0], k: w.Shape[1], taps: kh * kw, batch: 1}
	p.m = n.Elems() / p.n
	p.a, p.out = c.value(x), c.value(n)
	c.epilogue(&p, a.Epilogue, bias, residual)
	if c.useWinograd(n, w) {
		c.winograd(n, a, w, p)
		return
	}
	p.w = c.panels(w, packing{p.n, p.k * p.taps, p.taps, false})
	if kh == 1 && kw == 1 && a.Stride == 1 && a.Pad == [4]int{} {
		p.extra = []any{4 * p.k}
		c.product(kLinear, p)
		return
	}
	p.extra = []any{x.Shape[1], x.Shape[2], n.Shape[1], n.Shape[2], kh, kw, a.Stride, a.Pad[0], a.Pad[1], 0, 0, c.zeros(4 * p.k)}
	c.product(kConv2D, p)
}

// winogradBudget bounds the bytes of weights that a program holds in
// Winograd's form, four times those of f32.
const winogradBudget = 512 << 20

func (fl flavour) winogradBytes(rows, c int) int {
	return 4 * winoMats * fl.panels(rows) * fl.nr * c
}

// useWinograd decides by an estimate of both ways, in multiply-adds: products,
// transforms of pixels, and reading the weights once from outside the caches.
func (c *compiler) useWinograd(n, w *engine.Node) bool {
	a := n.Attrs.(engine.Conv2DAttrs)
	out, in := w.Shape[0], w.Shape[1]
	if w.Shape[2] != 3 || w.Shape[3] != 3 || a.Stride != 1 || in%4 != 0 || out%4 != 0 || w.Op != engine.OpWeight {
		return false
	}
	const (
		pixel  = 220 // per channel of an input tile, 200 of an output tile: measured
		weight = 11  // per f32
	)
	tiles := float64(n.Shape[0] * winogradTiles(n.Shape[1]) * winogradTiles(n.Shape[2]))
	filters := float64(in * out)
	direct := filters * 9 * (float64(n.Elems()/out) + weight)
	fast := filters*winoMats*(tiles+weight) + tiles*pixel*float64(in+out)
	bytes := c.b.fl.winogradBytes(out, in)
	if fast > 0.85*direct || c.winogradBytes+bytes > winogradBudget {
		return false
	}
	c.winogradBytes += bytes
	return true
}

func winogradTiles(pixels int) int { return (pixels + winoTile - 1) / winoTile }

// winogradCache bounds the transformed pixels that are under way at a time, in
// bytes: a convolution is done in chunks of tiles whose data stays in cache.
const winogradCache = 3 << 20

// winograd convolves by transforms: for each chunk of tiles the input, 36
// products as one batch, and the output.
func (c *compiler) winograd(n *engine.Node, a engine.Conv2DAttrs, w *engine.Node, p product) {
	h, wd := n.Shape[1], n.Shape[2]
	x := n.Inputs[0]
	across, perImage := winogradTiles(wd), winogradTiles(h)*winogradTiles(wd)
	tiles := n.Shape[0] * perImage
	most := max(8*c.b.fl.mr, winogradCache/(4*winoMats*(p.k+p.n)))
	chunks := (tiles + most - 1) / most
	most = (tiles + chunks - 1) / chunks
	v := c.workspace(4 * winoMats * most * (p.k + p.n))
	m := v.plus(4 * winoMats * most * p.k)
	c.scratch = max(c.scratch, 4*winoMats)
	weights := c.panels(w, packing{p.n, p.k * p.taps, p.taps, true})
	for first := 0; first < tiles; first += most {
		count := min(most, tiles-first)
		c.command(kWinogradInput, count, float64(500*count*p.k), p.a, v, x.Shape[1], x.Shape[2], 4*p.k, across, perImage,
			a.Pad[0], a.Pad[1], 0, 0, c.zeros(4*p.k), first, 4*count*p.k)
		c.product(kLinear, product{a: v, w: weights, out: m, bias: c.zeros(4 * roundUp(p.n, c.b.fl.nr)),
			m: count, n: p.n, k: p.k, taps: 1, batch: winoMats, extra: []any{4 * p.k},
			stepA: 4 * count * p.k, stepW: 4 * c.b.fl.panels(p.n) * c.b.fl.nr * p.k, stepOut: 4 * count * p.n})
		c.command(kWinogradOutput, count, float64(400*count*p.n), m, p.out, p.res, p.bias, int(activationCode(p.act)),
			h, wd, 4*p.n, across, perImage, first, 4*count*p.n)
	}
}
