package model

import "wisp/engine"

// Merge makes of a weight's values, as its checkpoint has them, those that it
// has where the change is worn at a strength: a program that has merged it draws
// the same without it.
func (c *Change) Merge(values []float32, strength float32) error {
	if c.bias {
		return adapterError("%s is added to a bias, which cannot be merged", c.parts["up_bias"].Key)
	}
	if c.NeedsBase() {
		if err := c.Measure(engine.FromFloat32s(values, c.shape...)); err != nil {
			return err
		}
	}
	if c.in || c.out {
		if err := c.rescale(values, strength); err != nil {
			return err
		}
	}
	added, err := c.added(values)
	for i, v := range added {
		values[i] += strength * v
	}
	return err
}

// Scales reports whether the change multiplies the weight, so that another
// merged before it would count, too.
func (c *Change) Scales() bool { return c.in || c.out || c.replaces() }

// rescale multiplies rows or columns by 1 and so many times their factors.
func (c *Change) rescale(values []float32, strength float32) error {
	f, err := c.factors()
	if err != nil {
		return err
	}
	for i := range f {
		f[i] = 1 + strength*f[i]
	}
	if c.out {
		scaleRows(values, f)
	} else {
		scaleColumns(values, f, c.taps())
	}
	return nil
}

// added is what is added at a strength of 1; nil for nothing.
func (c *Change) added(values []float32) ([]float32, error) {
	switch {
	case c.form != nil:
		d, err := c.form.dense(c)
		if err == nil && c.out {
			scaleRows(d, c.magnitude)
		} else if err == nil {
			scaleColumns(d, c.magnitude, c.taps())
		}
		return d, err
	case c.in || c.out:
		return nil, nil
	case c.replaces():
		d, err := c.read("replace")
		for i := range d {
			d[i] -= values[i]
		}
		return d, err
	}
	return c.read("diff")
}
