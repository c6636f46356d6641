package model

import "wisp/engine"

// The forms of LyCORIS, Yeh et al. 2023, that are no product of two matrices.

// hadamard is LoHa, Hyeon-Woo et al. 2021: two low-rank matrices multiplied
// element by element. The graph makes the matrix of them where it is one of a
// linear layer; that of a convolution is made when it is loaded.
type hadamard struct {
	ranks [2]int
	scale float32
	whole bool // the matrix is made at once
}

var hadamardParts = [2]struct{ a, b, t string }{{"hada_w1_a", "hada_w1_b", "hada_t1"}, {"hada_w2_a", "hada_w2_b", "hada_t2"}}

func newHadamard(c *Change) (form, error) {
	f := hadamard{whole: c.taps() > 1 || len(c.shape) > 2}
	for i, p := range hadamardParts {
		a, an, err := c.matrix(p.a)
		if err != nil {
			return nil, err
		}
		b, bn, err := c.matrix(p.b)
		if err != nil {
			return nil, err
		}
		t, tucked := c.parts[p.t]
		switch {
		case !tucked && (a != c.rows() || bn != c.columns()*c.taps()):
			return nil, adapterError("%s and %s make %d×%d, %s of this model takes %v", c.parts[p.a].Key, c.parts[p.b].Key, a, bn, c.weight, c.shape)
		case !tucked && an != b:
			return nil, adapterError("%s has rank %d, %s rank %d", c.parts[p.a].Key, an, c.parts[p.b].Key, b)
		case tucked && (an != c.rows() || bn != c.columns() || !t.Shape.Equal(append(engine.Shape{a, b}, c.shape[2:]...))):
			return nil, adapterError("%s is %v between %v and %v, %s of this model takes %v", t.Key, t.Shape, c.parts[p.a].Shape, c.parts[p.b].Shape, c.weight, c.shape)
		}
		f.ranks[i], f.whole = b, f.whole || tucked
	}
	var err error
	f.scale, err = c.alpha(f.ranks[0])
	return f, err
}

func (f hadamard) delta(l adaptedLayer, a *Adapter) *engine.Node {
	if f.whole {
		return full{"diff"}.delta(l, a)
	}
	rows, columns := l.n.Shape.Dim(-1), l.x.Shape.Dim(-1)
	factor := func(i int) (left, right *engine.Node) {
		p, r := hadamardParts[i], f.ranks[i]
		return l.weight(a, p.a, rows, r), l.weight(a, p.b, r, columns)
	}
	a1, b1 := factor(0)
	a2, b2 := factor(1)
	a1 = engine.Mul(a1, l.strength(l.n, a, l.name, f.scale))
	return engine.Linear(l.x, engine.Mul(engine.MatMul(a1, b1, false), engine.MatMul(a2, b2, false)), nil)
}

func (f hadamard) parts(*Change) []string {
	if f.whole {
		return []string{"diff"}
	}
	return []string{"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}
}

func (f hadamard) load(c *Change, rows, columns []float32) (map[string]engine.Tensor, error) {
	if f.whole {
		return loadDense("diff", f, c, rows, columns)
	}
	out := map[string]engine.Tensor{}
	for _, p := range hadamardParts {
		for _, part := range []string{p.a, p.b} {
			t, err := c.tensor(part)
			if err != nil {
				return nil, err
			}
			out[part] = t
		}
	}
	if rows != nil || columns != nil {
		for part, scale := range map[string]func([]float32){
			"hada_w1_a": func(v []float32) { scaleRows(v, rows) },
			"hada_w1_b": func(v []float32) { scaleColumns(v, columns, 1) },
		} {
			v := out[part].Float32s()
			scale(v)
			out[part] = engine.FromFloat32s(v, out[part].Shape...)
		}
	}
	return out, nil
}

func (f hadamard) dense(c *Change) ([]float32, error) {
	var sides [2][]float32
	for i, p := range hadamardParts {
		a, err := c.read(p.a)
		if err != nil {
			return nil, err
		}
		b, err := c.read(p.b)
		if err != nil {
			return nil, err
		}
		if _, ok := c.parts[p.t]; ok {
			t, err := c.read(p.t)
			if err != nil {
				return nil, err
			}
			outer := len(a) / c.rows()
			inner := len(b) / c.columns()
			a, b = transpose(a, outer, c.rows()), tucker(t, b, outer, inner, c.columns())
			sides[i] = product(a, b, c.rows(), outer)
			continue
		}
		sides[i] = product(a, b, c.rows(), f.ranks[i])
	}
	for i, v := range sides[1] {
		sides[0][i] *= v * f.scale
	}
	return sides[0], nil
}

// transpose is the transpose of m (rows, columns).
func transpose(m []float32, rows, columns int) []float32 {
	out := make([]float32, len(m))
	for i, v := range m {
		out[i%columns*rows+i/columns] = v
	}
	return out
}

// kronecker is LoKr: the Kronecker product of a small matrix and a larger one,
// which is the taller in a convolution; each may be a product itself.
type kronecker struct {
	o1, i1, o2, i2 int
	scale          float32
	whole          bool // the matrix is made at once, since its magnitude is given
}

func newKronecker(c *Change) (form, error) {
	f := kronecker{scale: 1}
	_, f.whole = c.parts["dora_scale"]
	rank := 0
	side := func(w string) (rows, columns int, err error) {
		if _, ok := c.parts[w]; ok {
			p := c.parts[w]
			if len(p.Shape) < 2 || p.Shape.Elems() == 0 {
				return 0, 0, adapterError("%s is %v, not a matrix", p.Key, p.Shape)
			}
			return p.Shape[0], p.Shape[1], nil
		}
		rows, r, err := c.matrix(w + "_a")
		if err != nil {
			return 0, 0, err
		}
		b, err := c.need(w + "_b")
		if err != nil {
			return 0, 0, err
		}
		if len(b.Shape) < 2 || b.Shape[0] < 1 {
			return 0, 0, adapterError("%s is %v, not a matrix", b.Key, b.Shape)
		}
		columns = b.Shape.Elems() / b.Shape[0]
		if t, ok := c.parts["lokr_t2"]; ok && w == "lokr_w2" {
			if !t.Shape.Equal(append(engine.Shape{rows, b.Shape[0]}, c.shape[2:]...)) {
				return 0, 0, adapterError("%s is %v between %v and %v", t.Key, t.Shape, c.parts[w+"_a"].Shape, b.Shape)
			}
			rank = b.Shape[0]
			return r, columns, nil
		}
		if r != b.Shape[0] {
			return 0, 0, adapterError("%s has rank %d, %s rank %d", c.parts[w+"_a"].Key, r, b.Key, b.Shape[0])
		}
		rank = r
		if w == "lokr_w2" {
			columns /= c.taps()
		}
		return rows, columns, nil
	}
	var err error
	if f.o1, f.i1, err = side("lokr_w1"); err != nil {
		return nil, err
	}
	if f.o2, f.i2, err = side("lokr_w2"); err != nil {
		return nil, err
	}
	if w2, ok := c.parts["lokr_w2"]; f.o1*f.o2 != c.rows() || f.i1*f.i2 != c.columns() || ok && w2.Shape.Elems() != f.o2*f.i2*c.taps() {
		return nil, adapterError("%s is for a matrix of %d×%d, %s of this model takes %v", c.anyKey(), f.o1*f.o2, f.i1*f.i2, c.weight, c.shape)
	}
	if rank > 0 {
		f.scale, err = c.alpha(rank)
	}
	return f, err
}

func (f kronecker) delta(l adaptedLayer, a *Adapter) *engine.Node {
	if f.whole {
		return full{"diff"}.delta(l, a)
	}
	w1 := engine.Mul(l.weight(a, "w1", f.o1, f.i1), l.strength(l.n, a, l.name, f.scale))
	if l.pointwise() {
		t := l.x.Elems() / (f.i1 * f.i2)
		h := engine.Linear(engine.Reshape(l.x, t, f.i1, f.i2), l.weight(a, "w2", f.o2, f.i2), nil)
		h = engine.Linear(engine.Permute(h, 0, 2, 1), w1, nil) // (t, o2, o1)
		return engine.Reshape(engine.Permute(h, 0, 2, 1), l.n.Shape...)
	}
	s := l.x.Shape
	h := engine.Permute(engine.Reshape(l.x, s[0], s[1], s[2], f.i1, f.i2), 0, 3, 1, 2, 4)
	h = l.again(engine.Reshape(h, s[0]*f.i1, s[1], s[2], f.i2), l.kernel(a, "w2", f.o2, f.i2), nil)
	o := h.Shape
	h = engine.Permute(engine.Reshape(h, s[0], f.i1, o[1], o[2], f.o2), 0, 2, 3, 4, 1)
	h = engine.Linear(h, w1, nil) // (n, h, w, o2, o1)
	return engine.Reshape(engine.Permute(h, 0, 1, 2, 4, 3), l.n.Shape...)
}

// sides are both matrices: (o1, i1), and (o2, i2) with its taps.
func (f kronecker) sides(c *Change) (w1, w2 []float32, err error) {
	side := func(w string, rows int) ([]float32, error) {
		if _, ok := c.parts[w]; ok {
			return c.read(w)
		}
		a, err := c.read(w + "_a")
		if err != nil {
			return nil, err
		}
		b, err := c.read(w + "_b")
		if err != nil {
			return nil, err
		}
		if t, ok := c.parts["lokr_t2"]; ok && w == "lokr_w2" {
			core, err := c.read("lokr_t2")
			if err != nil {
				return nil, err
			}
			return product(transpose(a, t.Shape[0], rows), tucker(core, b, t.Shape[0], t.Shape[1], f.i2), rows, t.Shape[0]), nil
		}
		return product(a, b, rows, len(a)/rows), nil
	}
	if w1, err = side("lokr_w1", f.o1); err == nil {
		w2, err = side("lokr_w2", f.o2)
	}
	return w1, w2, err
}

func (f kronecker) parts(*Change) []string {
	if f.whole {
		return []string{"diff"}
	}
	return []string{"w1", "w2"}
}

func (f kronecker) load(c *Change, rows, columns []float32) (map[string]engine.Tensor, error) {
	if f.whole {
		return loadDense("diff", f, c, rows, columns)
	}
	w1, w2, err := f.sides(c)
	if err != nil {
		return nil, err
	}
	return map[string]engine.Tensor{"w1": engine.FromFloat32s(w1, f.o1, f.i1), "w2": engine.FromFloat32s(w2, c.kernel(f.o2, f.i2)...)}, nil
}

func (f kronecker) dense(c *Change) ([]float32, error) {
	w1, w2, err := f.sides(c)
	if err != nil {
		return nil, err
	}
	taps, columns := c.taps(), c.columns()
	out := make([]float32, c.rows()*columns*taps)
	for i := range out {
		t, column, row := i%taps, i/taps%columns, i/taps/columns
		a := w1[row/f.o2*f.i1+column/f.i2]
		out[i] = f.scale * a * w2[(row%f.o2*f.i2+column%f.i2)*taps+t]
	}
	return out, nil
}
