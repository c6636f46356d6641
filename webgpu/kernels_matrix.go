package webgpu

import (
	"fmt"

	"wisp/engine"
)

// operands are the views of a convolution or linear layer beside x and w.
type operands struct {
	engine.Epilogue
	bias, residual view
	shared         int // rows that have the same row of the residual
}

func (c *compiler) operands(n *engine.Node, e engine.Epilogue) (o operands, err error) {
	_, _, bias, residual := e.Operands(n)
	o.Epilogue, o.shared = e, 1
	if add := c.addends[n]; add != nil {
		o.Residual, o.shared = true, n.Shape[1]*n.Shape[2]
		o.residual, err = c.read(add)
		if err != nil {
			return o, err
		}
	}
	if bias != nil {
		if o.bias, err = c.vector(bias); err != nil {
			return o, err
		}
	}
	if residual != nil {
		if o.residual, err = c.read(residual); err != nil {
			return o, err
		}
	}
	return o, nil
}

// epilogue splits the attributes of a convolution or linear layer.
func epilogue(n *engine.Node) engine.Epilogue {
	switch a := n.Attrs.(type) {
	case engine.Conv2DAttrs:
		return a.Epilogue
	case engine.LinearAttrs:
		return a.Epilogue
	}
	panic("webgpu: no epilogue: " + n.String())
}

// packed is a part of a weight as a kernel reads it.
type packed struct {
	data, scales view
	code         float64
	rows, row0   int
	stride       int // bytes of a row
	blocks       int // scales of a row
}

// parts lists what the weight operand of n is made of.
func (c *compiler) parts(n *engine.Node) ([]packed, error) {
	if w := c.matrix(n); w != nil {
		var out []packed
		for _, p := range w.parts {
			out = append(out, packed{
				data: fixed(span{p.data, 0, p.dataSize}), scales: fixed(span{p.scales, 0, p.scalesSize}),
				code: code[w.dtype], rows: p.rows, row0: p.row0, stride: w.stride, blocks: w.blocks(),
			})
		}
		return out, nil
	}
	rows, k := n.Shape.Rows()
	if len(n.Shape) == 4 && n.Shape[2]*n.Shape[3] > 1 {
		return nil, fmt.Errorf("the kernel of a convolution must be a weight: %w", engine.ErrUnsupported)
	}
	v, err := c.read(n)
	if err != nil {
		return nil, err
	}
	if v, err = c.pad(v, rows, k); err != nil {
		return nil, err
	}
	return []packed{{data: v, scales: v, code: code[c.elem], rows: rows, stride: align(k, 4) * elemSize(c.elem)}}, nil
}

// fewRows: reading the weights is all the work.
func fewRows(_ *compiler, n *engine.Node) bool { return n.Elems()/n.Shape.Dim(-1) <= 4 }

// pointwise: the convolution is a linear layer on pixels.
func pointwise(_ *compiler, n *engine.Node) bool {
	a, w := n.Attrs.(engine.Conv2DAttrs), n.Inputs[1].Shape
	return w[2] == 1 && w[3] == 1 && a.Stride == 1 && a.Pad == [4]int{} && n.Inputs[0].Op != engine.OpUpsample2D
}

func linearVec(c *compiler, n *engine.Node) error {
	return c.eachLinear(n, func(rows int, p packed, s step) error {
		s.kernel = c.summing("linear_vec")
		s.grid = rowsOf((p.rows + 3) / 4)
		return c.add(s)
	})
}

// wide: the device is one on which workgroup memory costs most.
func wide(c *compiler, _ *engine.Node) bool { return c.backend.wide }

func linearWide(c *compiler, n *engine.Node) error {
	return c.eachLinear(n, func(rows int, p packed, s step) error {
		s.kernel = "linear_wide"
		s.grid = [3]int{(p.rows + 63) / 64, (rows + 63) / 64, 1}
		return c.add(s)
	})
}

func linear(c *compiler, n *engine.Node) error {
	return c.eachLinear(n, func(rows int, p packed, s step) error {
		s.kernel = "linear"
		tile := c.tileRows(rows, p.rows)
		s.constants["rows_per_thread"] = float64(tile)
		s.grid = [3]int{(p.rows + 63) / 64, (rows + 8*tile - 1) / (8 * tile), 1}
		return c.add(s)
	})
}

// busy is the number of workgroups of 128 invocations that a large device
// needs to be busy.
const busy = 192

// tileRows chooses the rows of a matrix tile for each invocation: eight where
// that leaves the device busy, as a CPU is with little.
func (c *compiler) tileRows(rows, cols int) int {
	if (rows+63)/64*((cols+63)/64) >= busy || rows > 32 && c.backend.wide {
		return 8
	}
	return 4
}

// eachLinear prepares the steps of a linear layer, one for each part of its
// weight and each run of rows that can be bound, and hands them to add.
func (c *compiler) eachLinear(n *engine.Node, add func(rows int, p packed, s step) error) error {
	o, err := c.operands(n, epilogue(n))
	if err != nil {
		return err
	}
	x, err := c.read(n.Inputs[0])
	if err != nil {
		return err
	}
	width, k := n.Shape.Dim(-1), n.Inputs[0].Shape.Dim(-1)
	rows := n.Elems() / width
	if c.gated[n] {
		width /= 2
	}
	if x, err = c.pad(x, rows, k); err != nil {
		return err
	}
	parts, err := c.parts(n.Inputs[1])
	if err != nil {
		return err
	}
	es := elemSize(c.elem)
	k4 := align(k, 4) / 4
	most, unit := c.bindable(4*k4*es, width*es)
	for _, r := range cut(rows, most, unit) {
		count := r[1] - r[0]
		out := c.views[n].part(r[0]*width*es, count*width*es)
		for _, p := range parts {
			s := o.step(p, r[0]*width*es, count*width*es)
			s.reads[0] = x.part(r[0]*4*k4*es, count*4*k4*es)
			s.out = out
			s.dims = o.dims(p, count, k4, width)
			if c.gated[n] {
				s.constants["gated"] = 1
			}
			s.flops = 2 * float64(count) * float64(p.rows) * float64(k)
			if err := add(count, p, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// step starts a step on a part of a weight: reads 1 to 4 and constants.
// residual is the range of bytes of the residual.
func (o operands) step(p packed, residual, size int) step {
	s := step{
		reads:     []view{{}, p.data, p.scales, p.data, p.data},
		constants: constants{"weights": p.code},
	}
	if o.Bias {
		s.reads[3] = o.bias
	}
	if o.Residual {
		s.reads[4] = o.residual
		if o.shared == 1 {
			s.reads[4] = o.residual.part(residual, size)
		}
	}
	return s
}

// dims are the counts that all matrix kernels begin with.
func (o operands) dims(p packed, rows, k4, width int) []uint32 {
	return u(0, rows, p.rows, k4, p.stride/8, p.blocks, p.row0, width, actCode(o.Act), flag(o.Bias), flag(o.Residual), o.shared)
}

func matmul(c *compiler, n *engine.Node) error {
	a, b, err := c.read2(n)
	if err != nil {
		return err
	}
	m, cols, k := n.Shape.Dim(-2), n.Shape.Dim(-1), n.Inputs[0].Shape.Dim(-1)
	es := elemSize(c.elem)
	most, unit := c.bindable(m*k*es, k*cols*es, m*cols*es)
	for _, r := range cut(n.Elems()/(m*cols), most, unit) {
		part := func(v view, size int) view { return v.part(r[0]*size*es, (r[1]-r[0])*size*es) }
		err := c.add(step{
			kernel: "matmul",
			dims:   u(0, m, cols, k, flag(n.Attrs.(engine.MatMulAttrs).TransB)),
			reads:  []view{part(a, m*k), part(b, k*cols)},
			out:    part(c.views[n], m*cols),
			grid:   [3]int{(cols + 15) / 16, (m + 15) / 16, r[1] - r[0]},
			flops:  2 * float64((r[1]-r[0])*m*cols) * float64(k),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) read2(n *engine.Node) (a, b view, err error) {
	if a, err = c.read(n.Inputs[0]); err != nil {
		return a, b, err
	}
	b, err = c.read(n.Inputs[1])
	return a, b, err
}

func attention(c *compiler, n *engine.Node) error {
	a := n.Attrs.(engine.AttentionAttrs)
	b, tq, tk, d := n.Shape[0], n.Shape[1], n.Inputs[1].Shape[1], n.Shape[2]
	hd := d / a.Heads
	var in [4]view // q, k, v and the bias
	for i, x := range n.Inputs {
		v, err := c.read(x)
		if err != nil {
			return err
		}
		if in[i] = v; i < 3 {
			if in[i], err = c.pad(v, x.Elems()/hd, hd); err != nil {
				return err
			}
		}
	}
	out := c.views[n]
	if hd%4 != 0 {
		out = c.scratch(b * tq * a.Heads * align(hd, 4) * elemSize(c.elem))
	}
	wide, es := align(hd, 4), elemSize(c.elem)
	t := attentionTiles(wide/4, c.limits.WorkgroupStorage)
	query, key, bias := tq*a.Heads*wide*es, tk*a.KVHeads*wide*es, tk*es // bytes of a sequence
	most, unit := c.bindable(query, key)
	if a.Bias {
		most, unit = c.bindable(query, key, bias)
	}
	for _, r := range cut(b, most, unit) {
		count := r[1] - r[0]
		s := step{
			kernel: "attention",
			constants: constants{
				"rows": float64(t.rows), "keys": float64(t.keys), "cols": float64(t.cols), "depth": float64(t.depth),
			},
			dims:  f(u(0, tq, tk, a.Heads, wide/4, t.piece, flag(a.Causal), a.Heads/a.KVHeads, flag(a.Bias)), a.Scale),
			reads: []view{in[0].part(r[0]*query, count*query), in[1].part(r[0]*key, count*key), in[2].part(r[0]*key, count*key), {}},
			out:   out.part(r[0]*query, count*query),
			grid:  [3]int{(wide/4 + 8*t.cols - 1) / (8 * t.cols), (tq + 8*t.rows - 1) / (8 * t.rows), count * a.Heads},
			flops: 4 * float64(count*tq) * float64(tk) * float64(d),
		}
		if s.reads[3] = s.reads[0]; a.Bias {
			s.reads[3] = in[3].part(r[0]*bias, count*bias)
		}
		if err := c.add(s); err != nil {
			return err
		}
	}
	if hd%4 == 0 {
		return nil
	}
	rows := b * tq * a.Heads
	return c.copy(out, c.views[n], []axis{{rows, wide, hd}, {hd, 1, 1}}, 0, 0)
}

// attentionTile holds the overrides of attention.wgsl and the vectors of a
// head, piece, that go through its tiles at a time.
type attentionTile struct{ rows, keys, cols, depth, piece int }

// attentionTiles fits the tiles of attention.wgsl for heads of hd4 vectors into
// storage bytes of workgroup memory: wide heads are cut into column blocks and
// pieces, and what room there is goes to rows, then to keys. There are few
// depths, so that head sizes share pipelines.
func attentionTiles(hd4, storage int) attentionTile {
	blocks := (hd4 + 39) / 40
	pieces := (hd4 + 19) / 20
	t := attentionTile{cols: (hd4 + 8*blocks - 1) / (8 * blocks), piece: (hd4 + pieces - 1) / pieces}
	for _, t.depth = range []int{8, 16, 20} {
		if t.depth >= t.piece {
			break
		}
	}
	bytes := func(rows, keys int) int {
		kv := max(8*keys*(t.depth+1), 8*keys*8*t.cols)
		return 16*(8*rows*t.depth+kv) + 4*(8*rows*8*keys+8*rows*8)
	}
	for t.rows = 4; t.rows > 1 && bytes(t.rows, 1) > storage; {
		t.rows /= 2
	}
	for t.keys = 4; t.keys > 1 && bytes(t.rows, t.keys) > storage; {
		t.keys /= 2
	}
	return t
}
