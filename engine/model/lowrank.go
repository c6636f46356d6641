package model

import "wisp/engine"

// lowRank is a LoRA: the product of two narrow matrices. Of a convolution the
// first is one itself, and LoCon's Tucker form has a third between them.
type lowRank struct {
	rank, mid int // columns of up; of mid's input, 0 without
	scale     float32
	shape     engine.Shape // of down
}

func newLowRank(c *Change) (form, error) {
	up, rank, err := c.matrix("up")
	if err != nil {
		return nil, err
	}
	down, err := c.need("down")
	if err != nil {
		return nil, err
	}
	f := lowRank{rank: rank}
	want := append(engine.Shape{rank}, c.shape[1:]...)
	if p, ok := c.parts["mid"]; ok {
		if len(p.Shape) != 4 || p.Shape[0] != rank || len(down.Shape) < 2 || p.Shape[1] != down.Shape[0] || !engine.Shape(p.Shape[2:]).Equal(c.shape[2:]) {
			return nil, adapterError("%s is %v, between %s of %v and %s of %v", p.Key, p.Shape, down.Key, down.Shape, c.parts["up"].Key, c.parts["up"].Shape)
		}
		f.mid = p.Shape[1]
		want = engine.Shape{f.mid, c.columns(), 1, 1}
	}
	switch {
	case up != c.rows():
		return nil, adapterError("%s is %v, %s of this model takes %v", c.parts["up"].Key, c.parts["up"].Shape, c.weight, c.shape)
	case len(down.Shape) < 2 || down.Shape[0] != want[0] && f.mid == 0:
		return nil, adapterError("%s has rank %v, %s rank %d", down.Key, down.Shape, c.parts["up"].Key, rank)
	}
	f.shape = want
	if f.scale, err = c.alpha(rank); err != nil {
		return nil, err
	}
	return f, c.like("down", want)
}

func (f lowRank) delta(l adaptedLayer, a *Adapter) *engine.Node {
	var h *engine.Node
	in := f.shape[1]
	switch {
	case f.mid > 0:
		h = engine.Linear(l.x, l.weight(a, "down", f.mid, in), nil)
		h = l.again(h, l.kernel(a, "mid", f.rank, f.mid), nil)
	case l.pointwise():
		h = engine.Linear(l.x, l.weight(a, "down", f.rank, in), nil)
	default:
		h = l.again(l.x, l.kernel(a, "down", f.rank, in), nil)
	}
	h = engine.Mul(h, l.strength(l.n, a, l.name, f.scale))
	return engine.Linear(h, l.weight(a, "up", l.n.Shape.Dim(-1), f.rank), nil)
}

func (f lowRank) parts(*Change) []string {
	if f.mid > 0 {
		return []string{"down", "mid", "up"}
	}
	return []string{"down", "up"}
}

func (f lowRank) load(c *Change, rows, columns []float32) (map[string]engine.Tensor, error) {
	out := map[string]engine.Tensor{}
	shapes := map[string]engine.Shape{"up": {c.rows(), f.rank}, "down": f.shape}
	if f.mid > 0 {
		shapes["mid"], shapes["down"] = c.kernel(f.rank, f.mid), engine.Shape{f.mid, c.columns()}
	} else if c.taps() == 1 {
		shapes["down"] = engine.Shape{f.rank, c.columns()}
	}
	for part, shape := range shapes {
		t, err := c.tensor(part, shape...)
		if err != nil {
			return nil, err
		}
		if scale := part == "up" && rows != nil || part == "down" && columns != nil; scale {
			v := t.Float32s()
			if part == "up" {
				scaleRows(v, rows)
			} else {
				scaleColumns(v, columns, len(v)/(shape[0]*shape[1]))
			}
			t = engine.FromFloat32s(v, shape...)
		}
		out[part] = t
	}
	return out, nil
}

func (f lowRank) dense(c *Change) ([]float32, error) {
	up, err := c.read("up")
	if err != nil {
		return nil, err
	}
	down, err := c.read("down")
	if err != nil {
		return nil, err
	}
	for i := range up {
		up[i] *= f.scale
	}
	if f.mid == 0 {
		return product(up, down, c.rows(), f.rank), nil
	}
	mid, err := c.read("mid")
	if err != nil {
		return nil, err
	}
	return product(up, tucker(mid, down, f.rank, f.mid, c.columns()), c.rows(), f.rank), nil
}

// product is a (rows, inner) times b (inner, ·), row by row.
func product(a, b []float32, rows, inner int) []float32 {
	n := len(b) / inner
	out := make([]float32, rows*n)
	for i := range rows {
		row := out[i*n:][:n]
		for k := range inner {
			if f := a[i*inner+k]; f != 0 {
				for j, v := range b[k*n:][:n] {
					row[j] += f * v
				}
			}
		}
	}
	return out
}

// tucker is a core (p, q, taps) times b (q, n): (p, n, taps).
func tucker(core, b []float32, p, q, n int) []float32 {
	taps := len(core) / (p * q)
	out := make([]float32, p*n*taps)
	for i := range p {
		for j := range q {
			kernel := core[(i*q+j)*taps:][:taps]
			for k, f := range b[j*n:][:n] {
				to := out[(i*n+k)*taps:][:taps]
				for t, v := range kernel {
					to[t] += f * v
				}
			}
		}
	}
	return out
}

// full is a change as large as the matrix itself.
type full struct{ part string }

func (f full) delta(l adaptedLayer, a *Adapter) *engine.Node {
	diff := l.weight(a, f.part, l.n.Inputs[1].Shape...)
	return l.again(engine.Mul(l.x, l.strength(l.n, a, l.name, 1)), diff, nil)
}

func (f full) parts(*Change) []string { return []string{f.part} }

func (f full) load(c *Change, rows, columns []float32) (map[string]engine.Tensor, error) {
	if rows == nil && columns == nil {
		t, err := c.tensor(f.part, c.shape...)
		return map[string]engine.Tensor{f.part: t}, err
	}
	return loadDense(f.part, f, c, rows, columns)
}

// loadDense makes the whole matrix of a form.
func loadDense(part string, f form, c *Change, rows, columns []float32) (map[string]engine.Tensor, error) {
	v, err := f.dense(c)
	if err != nil {
		return nil, err
	}
	scaleRows(v, rows)
	scaleColumns(v, columns, c.taps())
	return map[string]engine.Tensor{part: engine.FromFloat32s(v, c.shape...)}, nil
}

func (f full) dense(c *Change) ([]float32, error) { return c.read(f.part) }
