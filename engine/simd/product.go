package simd

import (
	"wisp/engine"
)

// product is what a linear layer, a convolution and a matrix product share.
type product struct {
	a, w, bias, out, res  place
	dtype                 engine.DType // of the panels
	bytes                 int          // of a panel
	act                   engine.Op
	m, n, k, taps         int // k is that of one tap
	batch                 int
	ldo                   int // bytes between rows of out and res; 0 for those of n
	stepA, stepW, stepOut int // bytes
	extra                 []any
}

// product emits the product, choosing its units: blocks of some tiles of rows,
// cut across the columns too while there are few of them.
func (c *compiler) product(kernel kernelID, p product) {
	fl := c.b.fl
	if p.dtype != engine.F32 && kernel != kLinear8 && p.m > 32*fl.mr {
		c.unpackedProduct(kernel, p)
		return
	}
	if p.ldo == 0 {
		p.ldo = 4 * p.n
	}
	most := 8 * fl.mr
	if p.m <= 2*most && 4*p.m*p.k*p.taps <= rowsInCache { // one block, so that the weights are read once
		most *= 2
	}
	if p.dtype != engine.F32 { // each unit unpacks its weights
		most = 32 * fl.mr
	}
	if kernel == kLinear8 { // whose rows are half as long
		most = 64 * fl.mr
	}
	blocks := (p.m + most - 1) / most
	block := roundUp((p.m+blocks-1)/blocks, fl.mr)
	blocks = (p.m + block - 1) / block
	panels := fl.panels(p.n)
	columns := min(panels, max(1, (minUnits+blocks*p.batch-1)/(blocks*p.batch)))
	perColumn := (panels + columns - 1) / columns
	columns = (panels + perColumn - 1) / perColumn
	unpacked := roundUp(4*block*p.taps, 16)
	c.scratch = max(c.scratch, unpacked)
	if p.dtype != engine.F32 {
		c.scratch = max(c.scratch, unpacked+fl.unpackedBytes(p.k*p.taps))
	}
	flops := 2 * float64(p.m) * float64(p.n) * float64(p.k) * float64(p.taps) * float64(p.batch)
	args := []any{p.a, p.w, int(p.dtype), p.bytes, unpacked, p.bias, p.out, p.res, int(activationCode(p.act)), p.m, p.n, p.ldo, 4 * p.k, p.taps,
		block, perColumn, columns, blocks * columns, p.stepA, p.stepW, p.stepOut}
	c.command(kernel, p.batch*blocks*columns, flops, append(args, p.extra...)...)
}

// rowsInCache bounds the left side of a product in one block: half a
// second-level cache.
const rowsInCache = 512 << 10

// minUnits is the least number of units that a product is cut into, so that a
// few threads can share it.
const minUnits = 8

// unpackedProduct is a product of more rows than a unit takes, which would
// have every unit unpack the weights: here they are unpacked once, a group of
// columns at a time.
func (c *compiler) unpackedProduct(kernel kernelID, p product) {
	fl := c.b.fl
	bytes := fl.unpackedBytes(p.k * p.taps)
	group := min(fl.panels(p.n), max(1, c.b.limits.weights/bytes))
	w := c.workspace(group * bytes)
	for first := 0; first < fl.panels(p.n); first += group {
		count, col := min(group, fl.panels(p.n)-first), first*fl.nr
		c.command(kUnpack, count, float64(4*count*fl.nr*p.k*p.taps), p.w.plus(first*p.bytes), w, p.k*p.taps, p.taps, int(p.dtype), p.bytes, bytes)
		q := p
		q.w, q.dtype, q.bytes, q.ldo = w, engine.F32, bytes, 4*p.n
		q.n = min(count*fl.nr, p.n-col)
		q.bias, q.out = p.bias.plus(4*col), p.out.plus(4*col)
		if p.res != (place{}) {
			q.res = p.res.plus(4 * col)
		}
		c.product(kernel, q)
	}
}

// epilogue fills in the product's bias, residual and activation.
func (c *compiler) epilogue(p *product, e engine.Epilogue, bias, residual *engine.Node) {
	p.act = e.Act
	p.bias = c.zeros(4 * roundUp(p.n, c.b.fl.nr))
	if bias != nil {
		p.bias = c.value(bias)
	}
	if residual != nil {
		p.res = c.value(residual)
	}
}

// panels sets the right side of p: w, seen as (rows, k), packed: a weight once
// at compilation, anything else at every run.
func (c *compiler) panels(p *product, w *engine.Node, as packing) {
	p.bytes = c.b.fl.panelBytes(engine.F32, as.k)
	if r := engine.Root(w); r.Op == engine.OpWeight {
		s, err := c.weights[r.Name].panels(as)
		if err != nil {
			c.fail(err)
			return
		}
		p.w, p.dtype, p.bytes = place{addr: s.addr}, s.dtype, s.bytes
		return
	}
	n := c.b.fl.panels(as.rows)
	p.w = c.workspace(n * p.bytes)
	c.command(kPackWeights, n, float64(as.rows*as.k), c.value(w), p.w, as.rows, as.k, as.taps, int(engine.F32), p.bytes)
}

func (c *compiler) linear(n *engine.Node) {
	e := n.Attrs.(engine.LinearAttrs).Epilogue
	x, w, bias, residual := e.Operands(n)
	p := product{n: w.Shape[0], k: w.Shape[1], taps: 1, batch: 1}
	p.m = n.Elems() / p.n
	p.a, p.out = c.value(x), c.value(n)
	c.panels(&p, w, packing{p.n, p.k, 1, false})
	c.epilogue(&p, e, bias, residual)
	c.rows(p)
}

func (c *compiler) matmul(n *engine.Node) {
	a, b := n.Inputs[0], n.Inputs[1]
	p := product{m: n.Shape.Dim(-2), n: n.Shape.Dim(-1), k: a.Shape.Dim(-1), taps: 1}
	p.batch = n.Elems() / (p.m * p.n)
	panels := c.b.fl.panels(p.n)
	p.bytes = c.b.fl.panelBytes(engine.F32, p.k)
	p.stepA, p.stepW, p.stepOut = 4*p.m*p.k, panels*p.bytes, 4*p.m*p.n
	p.w = c.workspace(p.batch * p.stepW)
	kernel, stride := kPack, 4*p.n
	if n.Attrs.(engine.MatMulAttrs).TransB {
		kernel, stride = kPackT, 4*p.k
	}
	c.command(kernel, p.batch*panels, float64(p.batch*p.n*p.k), c.value(b), stride, p.w, p.n, p.k, p.batch, 0, 4*p.n*p.k, panels)
	p.a, p.out = c.value(a), c.value(n)
	c.epilogue(&p, engine.Epilogue{}, nil, nil)
	c.rows(p)
}
