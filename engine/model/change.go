package model

import (
	"math"
	"slices"

	"wisp/engine"
)

// AdapterPart is a tensor of an adapter's file.
type AdapterPart struct {
	Key   string // its name in the file
	Shape engine.Shape
	Read  func() (engine.Tensor, error) // its values in F32, F16 or BF16
}

// Change is what an adapter changes about one weight.
type Change struct {
	weight  string
	shape   engine.Shape
	parts   map[string]AdapterPart
	form    form // what is added to the layer's result; nil for nothing
	in, out bool // channels of the input and of the result are scaled
	bias    bool // a vector is added to the result

	magnitude []float32 // DoRA's factors, of NeedsBase
}

// form is how a change of a matrix is written and computed.
type form interface {
	// delta is what is added to the layer's result, with the strength.
	delta(l adaptedLayer, a *Adapter) *engine.Node
	// parts names the weights that delta declares.
	parts(c *Change) []string
	// load makes them, by their part. Rows and
	// columns, each of which may be nil, multiply those of the matrix.
	load(c *Change, rows, columns []float32) (map[string]engine.Tensor, error)
	// dense is the change of the matrix, (out, in, taps) flat.
	dense(c *Change) ([]float32, error)
}

// NewChange validates the parts of a change of a weight: "down", "up", "mid"
// and "alpha" of a LoRA (Hu et al. 2021) or LoCon, "hada_…" and "lokr_…" of
// LyCORIS (Yeh et al. 2023), "diff" of a full matrix, "replace" for one in its
// place, "ia3" (Liu et al. 2022, with "on_input") or PEFT's "ia3_l", "dora_scale" (Liu et al.
// 2024) beside one of them, "up_bias".
func NewChange(weight string, t Target, parts map[string]AdapterPart) (*Change, error) {
	c := &Change{weight: weight, shape: t.Shape, parts: parts}
	var err error
	has := func(name string) bool { _, ok := parts[name]; return ok }
	switch {
	case !t.Layer && len(parts) == 1 && has("diff"):
		return c, c.like("diff", t.Shape)
	case !t.Layer && len(parts) == 1 && has("replace"):
		return c, c.like("replace", t.Shape)
	case !t.Layer:
		return nil, adapterError("%s changes %s by a form that fits matrices only", c.anyKey(), weight)
	case has("down") || has("up"):
		c.form, err = newLowRank(c)
	case has("hada_w1_a") || has("hada_w2_a"):
		c.form, err = newHadamard(c)
	case has("lokr_w1") || has("lokr_w1_a") || has("lokr_w2") || has("lokr_w2_a"):
		c.form, err = newKronecker(c)
	case has("diff"):
		c.form, err = full{"diff"}, c.like("diff", t.Shape)
	case has("replace"):
		c.form, c.out, err = full{"replace"}, true, c.like("replace", t.Shape)
	case has("ia3") || has("ia3_l"):
		err = c.newIA3()
	default:
		return nil, adapterError("%s stands alone: the tensors that it belongs to are missing", c.anyKey())
	}
	if err == nil && has("dora_scale") {
		err = c.newDoRA()
	}
	if c.bias = has("up_bias"); err == nil && c.bias {
		err = c.elems("up_bias", t.Shape[0])
	}
	return c, err
}

// Keys are the names of the change's tensors in its file, sorted.
func (c *Change) Keys() (keys []string) {
	for _, p := range c.parts {
		keys = append(keys, p.Key)
	}
	slices.Sort(keys)
	return keys
}

func (c *Change) anyKey() string { return c.Keys()[0] }

// rows and columns of the matrix, without the taps of a convolution.
func (c *Change) rows() int    { return c.shape[0] }
func (c *Change) columns() int { return c.shape[1] }

// taps is the number of a kernel's pixels, 1 for a linear layer.
func (c *Change) taps() int { return c.shape.Elems() / (c.shape[0] * c.shape[1]) }

// kernel is the shape of a kernel of the layer's size, a matrix where it has one
// tap.
func (c *Change) kernel(out, in int) engine.Shape {
	if c.taps() == 1 {
		return engine.Shape{out, in}
	}
	return append(engine.Shape{out, in}, c.shape[2:]...)
}

// need requires a part.
func (c *Change) need(name string) (AdapterPart, error) {
	p, ok := c.parts[name]
	if !ok {
		return p, adapterError("%s has no counterpart: the %s for %s is missing", c.anyKey(), name, c.weight)
	}
	return p, nil
}

// like requires a part of as many elements as a shape, which may be written
// with further dimensions of 1, or without.
func (c *Change) like(name string, want engine.Shape) error {
	p, err := c.need(name)
	if err == nil && !squeezed(p.Shape).Equal(squeezed(want)) {
		err = adapterError("%s is %v, %s of this model takes %v", p.Key, p.Shape, c.weight, want)
	}
	return err
}

func (c *Change) elems(name string, n int) error { return c.like(name, engine.Shape{n}) }

// squeezed is a shape without its dimensions of 1.
func squeezed(s engine.Shape) engine.Shape {
	return slices.DeleteFunc(slices.Clone(s), func(d int) bool { return d == 1 })
}

// matrix is the rows and columns of a part, which may have further dimensions
// of 1 behind.
func (c *Change) matrix(name string) (rows, columns int, err error) {
	p, err := c.need(name)
	if err != nil {
		return 0, 0, err
	}
	if len(p.Shape) < 2 || p.Shape[0] < 1 || p.Shape.Elems() != p.Shape[0]*p.Shape[1] || p.Shape.Elems() == 0 {
		return 0, 0, adapterError("%s is %v, not a matrix", p.Key, p.Shape)
	}
	return p.Shape[0], p.Shape[1], nil
}

// read is a part's values as f32.
func (c *Change) read(name string) ([]float32, error) {
	t, err := c.tensor(name)
	if err != nil {
		return nil, err
	}
	return t.Float32s(), nil
}

// tensor is a part, as it is stored, under a shape of as many elements.
func (c *Change) tensor(name string, shape ...int) (engine.Tensor, error) {
	p := c.parts[name]
	t, err := p.Read()
	if err != nil {
		return t, err
	}
	if shape != nil {
		t.Shape = shape
	}
	return t, nil
}

// alpha is alpha/rank, or 1 where the file has no alpha.
func (c *Change) alpha(rank int) (float32, error) {
	p, ok := c.parts["alpha"]
	if !ok {
		return 1, nil
	}
	if p.Shape.Elems() != 1 {
		return 0, adapterError("%s is %v, not one number", p.Key, p.Shape)
	}
	v, err := c.read("alpha")
	if err != nil {
		return 0, err
	}
	return v[0] / float32(rank), nil
}

// newIA3 is a factor for each channel of the result or of the input: 1 + ia3 or
// ia3_l.
func (c *Change) newIA3() error {
	if p, ok := c.parts["ia3_l"]; ok {
		if c.in = len(p.Shape) == 2 && p.Shape[0] == 1 && p.Shape[1] == c.columns(); c.in {
			return nil
		}
		c.out = true
		return c.elems("ia3_l", c.rows())
	}
	if p, ok := c.parts["on_input"]; ok {
		v, err := c.read("on_input")
		if err != nil {
			return err
		}
		if len(v) != 1 {
			return adapterError("%s is %v, not one number", p.Key, p.Shape)
		}
		c.in = v[0] != 0
	}
	n := c.rows()
	if c.in {
		n = c.columns()
	}
	c.out = !c.in
	return c.elems("ia3", n)
}

// newDoRA takes the magnitudes of the changed matrix's rows or columns.
func (c *Change) newDoRA() error {
	if c.form == nil || c.out {
		return adapterError("%s stands beside a form that has no magnitude", c.parts["dora_scale"].Key)
	}
	p := c.parts["dora_scale"]
	rows, columns := c.rows(), c.columns()
	switch s := p.Shape; {
	case len(s) >= 2 && s[0] == 1 && s[1] == columns && s.Elems() == columns && columns != 1:
		c.in = true
	case s.Elems() == rows:
		c.out = true
	default:
		return adapterError("%s is %v, %s of this model takes %d magnitudes", p.Key, s, c.weight, rows)
	}
	return nil
}

// NeedsBase reports whether the change depends on the network's own weight:
// then Measure comes before Load.
func (c *Change) NeedsBase() bool { _, ok := c.parts["dora_scale"]; return ok }

// Measure takes the network's own weight: DoRA's factors are what its
// magnitudes are of the changed rows' or columns' norms. At another strength
// than 1 the result lies between the network's own weight and the changed one.
func (c *Change) Measure(base engine.Tensor) error {
	m, err := c.read("dora_scale")
	if err != nil {
		return err
	}
	delta, err := c.form.dense(c)
	if err != nil {
		return err
	}
	sums := make([]float64, len(m))
	taps, columns := c.taps(), c.columns()
	for i, w := range base.Float32s() {
		at := i / (taps * columns)
		if c.in {
			at = i / taps % columns
		}
		v := float64(w + delta[i])
		sums[at] += v * v
	}
	for i := range m {
		m[i] = float32(float64(m[i]) / max(math.Sqrt(sums[i]), 1e-12))
	}
	c.magnitude = m
	return nil
}

// Parts names the weights that Load makes.
func (c *Change) Parts() (parts []string) {
	if c.form != nil {
		parts = c.form.parts(c)
	}
	for part, has := range map[string]bool{"in": c.in, "out": c.out, "bias": c.bias, "diff": c.form == nil && !c.in && !c.out && !c.replaces(), "replace": c.replaces()} {
		if has {
			parts = append(parts, part)
		}
	}
	return parts
}

// replaces reports whether another vector takes the place of one.
func (c *Change) replaces() bool {
	_, ok := c.parts["replace"]
	return ok && c.form == nil
}

// Load makes the weights that a graph wearing the change declares, by their
// part.
func (c *Change) Load() (map[string]engine.Tensor, error) {
	out := map[string]engine.Tensor{}
	if c.form == nil && !c.in && !c.out {
		part := c.Parts()[0]
		t, err := c.tensor(part, c.shape...)
		return map[string]engine.Tensor{part: t}, err
	}
	var rows, columns []float32
	if c.out {
		rows = c.magnitude
	} else {
		columns = c.magnitude
	}
	var err error
	if c.form != nil {
		if out, err = c.form.load(c, rows, columns); err != nil {
			return nil, err
		}
	}
	if c.in || c.out {
		v, err := c.factors()
		if err != nil {
			return nil, err
		}
		out[map[bool]string{true: "in", false: "out"}[c.in]] = engine.FromFloat32s(v, len(v))
	}
	if c.bias {
		v, err := c.read("up_bias")
		if err != nil {
			return nil, err
		}
		scale, err := c.alpha(c.parts["up"].Shape[1])
		if err != nil {
			return nil, err
		}
		for i := range v {
			v[i] *= scale
		}
		out["bias"] = engine.FromFloat32s(v, len(v))
	}
	return out, nil
}

// factors are what channels are multiplied by, less 1.
func (c *Change) factors() ([]float32, error) {
	switch {
	case c.magnitude != nil:
		v := slices.Clone(c.magnitude)
		for i := range v {
			v[i]--
		}
		return v, nil
	case c.parts["ia3"].Read != nil:
		return c.read("ia3")
	case c.parts["ia3_l"].Read != nil:
		v, err := c.read("ia3_l")
		for i := range v {
			v[i]--
		}
		return v, err
	}
	return slices.Repeat([]float32{-1}, c.rows()), nil // the network's own matrix is replaced
}

// scaleRows multiplies row i of a matrix by factors[i], or leaves it.
func scaleRows(m []float32, factors []float32) {
	for i := range factors {
		row := m[i*(len(m)/len(factors)):][:len(m)/len(factors)]
		for j := range row {
			row[j] *= factors[i]
		}
	}
}

// scaleColumns multiplies column j of a matrix, of so many taps each, by
// factors[j], or leaves it.
func scaleColumns(m []float32, factors []float32, taps int) {
	if len(factors) > 0 {
		for i := range m {
			m[i] *= factors[i/taps%len(factors)]
		}
	}
}
