package simd

import (
	"slices"

	"wisp/engine"
)

// upsampling is log2 of the factors by which a convolution enlarges its input.
type upsampling struct{ h, w int }

// fuseUpsample removes from g each nearest-neighbour upsampling by powers of
// two that only convolutions read: they find their pixels through pointers, so
// the larger image need not exist. It returns those convolutions.
func fuseUpsample(g *engine.Graph) map[*engine.Node]upsampling {
	readers := map[*engine.Node][]*engine.Node{}
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			readers[in] = append(readers[in], n)
		}
	}
	kept := map[*engine.Node]bool{}
	for _, o := range g.Outputs {
		kept[o.Node] = true
	}
	fused := map[*engine.Node]upsampling{}
	g.Nodes = slices.DeleteFunc(g.Nodes, func(u *engine.Node) bool {
		if u.Op != engine.OpUpsample2D || kept[u] || len(readers[u]) == 0 {
			return false
		}
		x := u.Inputs[0]
		h, okH := log2Factor(u.Shape[1], x.Shape[1])
		w, okW := log2Factor(u.Shape[2], x.Shape[2])
		if !okH || !okW || slices.ContainsFunc(readers[u], func(n *engine.Node) bool {
			return n.Op != engine.OpConv2D || slices.Contains(n.Inputs[1:], u)
		}) {
			return false
		}
		for _, n := range readers[u] {
			n.Inputs[0] = x
			fused[n] = upsampling{h, w}
		}
		return true
	})
	return fused
}

// log2Factor is the power of two that turns from into to.
func log2Factor(to, from int) (log int, ok bool) {
	for from<<log < to {
		log++
	}
	return log, from<<log == to
}

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
	c.panels(&p, w, packing{p.n, p.k * p.taps, p.taps, false})
	up := c.upsampled[n]
	if kh == 1 && kw == 1 && a.Stride == 1 && a.Pad == [4]int{} && up == (upsampling{}) {
		c.rows(p)
		return
	}
	p.extra = []any{x.Shape[1], x.Shape[2], n.Shape[1], n.Shape[2], kh, kw, a.Stride, a.Pad[0], a.Pad[1], up.h, up.w, c.zeros(4 * p.k)}
	c.product(kConv2D, p)
}

// winogradLimits bound the memory that Winograd's convolutions take, in bytes.
// Weights in that form are four times those in f32, so only a small network
// keeps them; a larger one has them transformed at every run, which costs
// little where there are many pixels. A convolution is done in chunks of tiles and groups
// of columns whose data stays in cache.
type winogradLimits struct {
	kept    int // all weights of a program in that form
	fused   int // kept weights of a convolution that does all steps a block of tiles at a time
	chunk   int // transformed pixels and products of a chunk, with kept weights
	pixels  int // and where each chunk has the weights transformed again
	weights int // transformed weights of a group
}

var defaultLimits = winogradLimits{kept: 256 << 20, fused: 640 << 10, chunk: 3 << 20, pixels: 24 << 20, weights: 8 << 20}

func (fl flavour) winogradBytes(rows, c int) int {
	return 4 * winoMats * fl.panels(rows) * fl.nr * c
}

// useWinograd decides by an estimate of both ways, in multiply-adds: products,
// transforms of pixels, and reading the weights once from outside the caches
// or transforming them.
func (c *compiler) useWinograd(n, w *engine.Node) bool {
	a := n.Attrs.(engine.Conv2DAttrs)
	out, in := w.Shape[0], w.Shape[1]
	if w.Shape[2] != 3 || w.Shape[3] != 3 || a.Stride != 1 || in%4 != 0 || out%4 != 0 {
		return false
	}
	const (
		pixel     = 220 // per channel of an input tile, 200 of an output tile: measured
		weight    = 11  // per f32 read
		transform = 500 // per filter of 3×3
	)
	tiles := float64(n.Shape[0] * winogradTiles(n.Shape[1]) * winogradTiles(n.Shape[2]))
	filters := float64(in * out)
	direct := filters * 9 * (float64(n.Elems()/out) + weight)
	fast := filters*winoMats*(tiles+weight) + tiles*pixel*float64(in+out)
	if !c.keeps(w) {
		fast += filters * transform
	}
	return fast < 0.85*direct
}

// decideWinograd keeps transformed weights if all that the program would use
// fit in the limit.
func (c *compiler) decideWinograd() {
	c.keepWinograd = true
	bytes, seen := 0, map[*engine.Node]bool{}
	for _, n := range c.graph.Nodes {
		if n.Op != engine.OpConv2D || seen[n.Inputs[1]] || !c.useWinograd(n, n.Inputs[1]) {
			continue
		}
		seen[n.Inputs[1]] = true
		bytes += c.b.fl.winogradBytes(n.Inputs[1].Shape[0], n.Inputs[1].Shape[1])
	}
	c.keepWinograd = bytes <= c.b.limits.kept
}

// keeps reports whether w is kept transformed.
func (c *compiler) keeps(w *engine.Node) bool { return c.keepWinograd && w.Op == engine.OpWeight }

// apart is the distance of matrices of some bytes at which the same element of
// each lies on another line of the cache: an odd number of lines. At a multiple
// of 4 KiB all 36 would share a set of the first level.
func apart(bytes int) int { return roundUp(bytes, 64) | 64 }

func winogradTiles(pixels int) int { return (pixels + winoTile - 1) / winoTile }

// winograd convolves by transforms: for each chunk of tiles the input, then for
// each group of columns the weights, 36 products as one batch, and the output.
func (c *compiler) winograd(n *engine.Node, a engine.Conv2DAttrs, w *engine.Node, p product) {
	fl := c.b.fl
	x, h, wd := n.Inputs[0], n.Shape[1], n.Shape[2]
	across, perImage := winogradTiles(wd), winogradTiles(h)*winogradTiles(wd)
	tiles := n.Shape[0] * perImage
	keep, up := c.keeps(w), c.upsampled[n]
	if keep && fl.winogradBytes(p.n, p.k) <= c.b.limits.fused && tiles >= 2*fusedBlock {
		c.winogradFused(n, a, w, p)
		return
	}
	group, bound := p.n, c.b.limits.chunk
	if !keep {
		group = min(roundUp(p.n, fl.nr), max(1, c.b.limits.weights/fl.winogradBytes(fl.nr, p.k))*fl.nr)
		bound = c.b.limits.pixels
	}
	most := max(8*fl.mr, bound/(4*winoMats*(p.k+group)))
	chunks := (tiles + most - 1) / most
	most = (tiles + chunks - 1) / chunks

	sizeV, sizeM := winoMats*apart(4*most*p.k), winoMats*apart(4*most*group)
	v := c.workspace(sizeV + sizeM + fl.winogradBytes(group, p.k))
	m := v.plus(sizeV)
	u := m.plus(sizeM)
	direct := product{n: p.n, k: p.k}
	if keep {
		c.panels(&direct, w, packing{p.n, p.k * p.taps, p.taps, true})
		u = direct.w
	} else {
		c.panels(&direct, w, packing{p.n, p.k * p.taps, p.taps, false})
		c.scratch = max(c.scratch, fl.unpackedBytes(p.k*p.taps))
	}
	c.scratch = max(c.scratch, 4*winoMats)
	for first := 0; first < tiles; first += most {
		count := min(most, tiles-first)
		stepV := apart(4 * count * p.k)
		c.command(kWinogradInput, count, float64(500*count*p.k), p.a, v, x.Shape[1], x.Shape[2], 4*p.k, across, perImage,
			a.Pad[0], a.Pad[1], up.h, up.w, c.zeros(4*p.k), first, stepV)
		for col := 0; col < p.n; col += group {
			cols := min(group, p.n-col)
			stepM := apart(4 * count * cols)
			if !keep {
				c.command(kWinogradWeights, fl.panels(cols), float64(500*cols*p.k), direct.w.plus(col/fl.nr*direct.bytes), int(direct.dtype), direct.bytes,
					u, p.k, fl.panels(cols))
			}
			c.product(kLinear, product{a: v, w: u, bytes: fl.panelBytes(engine.F32, p.k), out: m, bias: c.zeros(4 * roundUp(p.n, fl.nr)),
				m: count, n: cols, k: p.k, taps: 1, batch: winoMats, extra: []any{4 * p.k},
				stepA: stepV, stepW: fl.panels(cols) * fl.panelBytes(engine.F32, p.k), stepOut: stepM})
			res := p.res
			if res != (place{}) {
				res = res.plus(4 * col)
			}
			c.command(kWinogradOutput, count, float64(400*count*cols), m, p.out.plus(4*col), res, p.bias.plus(4*col), int(activationCode(p.act)),
				h, wd, 4*p.n, 4*cols, across, perImage, first, stepM)
		}
	}
}

// winogradFused is winograd in one command, for few channels.
func (c *compiler) winogradFused(n *engine.Node, a engine.Conv2DAttrs, w *engine.Node, p product) {
	fl := c.b.fl
	x, h, wd := n.Inputs[0], n.Shape[1], n.Shape[2]
	across, perImage := winogradTiles(wd), winogradTiles(h)*winogradTiles(wd)
	tiles, up := n.Shape[0]*perImage, c.upsampled[n]
	block := min(fusedBlock, roundUp(tiles/minUnits, fl.mr))
	stepV, stepM := apart(4*block*p.k), apart(4*block*p.n)
	c.panels(&p, w, packing{p.n, p.k * p.taps, p.taps, true})
	c.scratch = max(c.scratch, fusedHead+winoMats*(stepV+stepM))
	units := (tiles + block - 1) / block
	c.command(kWinograd, units, float64(tiles)*float64(2*winoMats*p.k*p.n+500*p.k+400*p.n),
		p.a, 0, x.Shape[1], x.Shape[2], 4*p.k, across, perImage, a.Pad[0], a.Pad[1], up.h, up.w, c.zeros(4*p.k), 0, stepV,
		0, p.out, p.res, p.bias, int(activationCode(p.act)), h, wd, 4*p.n, 4*p.n, across, perImage, 0, stepM,
		p.w, p.n, c.zeros(4*fl.nr), tiles, block)
}
