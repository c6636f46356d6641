package webgpu

import (
	"fmt"

	"wisp/engine"
)

// normOperands are x and the vectors of a norm.
func (c *compiler) normOperands(n *engine.Node) (x, gamma, beta view, err error) {
	if x, err = c.read(n.Inputs[0]); err != nil {
		return
	}
	if gamma, err = c.vector(n.Inputs[1]); err != nil {
		return
	}
	beta, err = c.vector(n.Inputs[2])
	return
}

// groups describes a group norm: images of places of c channels, in groups of
// per channels.
type groups struct{ images, places, c, per, groups int }

func groupsOf(n *engine.Node) groups {
	a, c := n.Attrs.(engine.NormAttrs), n.Shape.Dim(-1)
	return groups{n.Shape[0], n.Elems() / n.Shape[0] / c, c, c / a.Groups, a.Groups}
}

// smallImage: one workgroup a group is enough, alone or together with others.
func smallImage(_ *compiler, n *engine.Node) bool {
	g := groupsOf(n)
	return g.places*g.per <= 8192 || g.places*g.per <= 40960 && g.groups*g.images >= 32
}

func groupNorm(c *compiler, n *engine.Node) error {
	x, gamma, beta, err := c.normOperands(n)
	if err != nil {
		return err
	}
	a, g := n.Attrs.(engine.NormAttrs), groupsOf(n)
	return c.add(step{
		kernel: c.summing("group_norm"),
		dims:   f(u(0, g.places, g.c, g.per, actCode(a.Act)), a.Eps),
		reads:  []view{x, gamma, beta},
		out:    c.views[n],
		grid:   [3]int{g.groups, g.images, 1},
		flops:  8 * float64(n.Elems()),
	})
}

// groupNormSplit cuts images into runs of pixels: their moments first, then
// the norm.
func groupNormSplit(c *compiler, n *engine.Node) error {
	x, gamma, beta, err := c.normOperands(n)
	if err != nil {
		return err
	}
	a, g := n.Attrs.(engine.NormAttrs), groupsOf(n)
	es := elemSize(c.elem)
	most, unit := c.bindable(g.c * es)
	run := align(max(8192/g.per, (g.places+31)/32, 1), unit) // at most 32 runs, which group_norm_apply adds up
	runs := (g.places + run - 1) / run
	images := [][2]int{{0, g.images}}
	if g.images*g.places > most {
		images = cut(g.images, 1, 1)
	}
	for _, im := range images {
		count := im[1] - im[0]
		stats := c.scratch(8 * count * g.groups * runs)
		pieces := cut(g.places, most/count, run)
		for _, p := range pieces {
			at, size := (im[0]*g.places+p[0])*g.c*es, count*(p[1]-p[0])*g.c*es
			err := c.add(step{
				kernel: c.summing("group_norm_stats"),
				dims:   u(0, p[1]-p[0], g.c, g.per, run, runs, p[0]/run),
				reads:  []view{x.part(at, size)},
				out:    stats,
				grid:   [3]int{g.groups, (p[1] - p[0] + run - 1) / run, count},
				flops:  4 * float64(size/es),
			})
			if err != nil {
				return err
			}
		}
		for _, p := range pieces {
			at, size := (im[0]*g.places+p[0])*g.c*es, count*(p[1]-p[0])*g.c*es
			err := c.add(step{
				kernel: "group_norm_apply",
				dims:   f(u(0, p[1]-p[0], g.c, g.per, run, runs, g.places, actCode(a.Act)), a.Eps),
				reads:  []view{x.part(at, size), stats, gamma, beta},
				out:    c.views[n].part(at, size),
				grid:   [3]int{g.groups, (p[1] - p[0] + run - 1) / run, count},
				flops:  4 * float64(size/es),
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func layerNorm(c *compiler, n *engine.Node) error { return c.normOf(n) }

func rmsNorm(c *compiler, n *engine.Node) error { return c.normOf(n) }

func (c *compiler) normOf(n *engine.Node) error {
	k, err := c.norm(n)
	if err != nil {
		return err
	}
	return c.normRows(n, k)
}

// norm is a layer norm or root-mean-square norm as layer_norm takes it.
func (c *compiler) norm(n *engine.Node) (k norm, err error) {
	k.eps, k.rms = n.Attrs.(engine.NormAttrs).Eps, n.Op == engine.OpRMSNorm
	if !k.rms {
		k.x, k.gamma, k.beta, err = c.normOperands(n)
		return k, err
	}
	if k.x, err = c.read(n.Inputs[0]); err != nil {
		return k, err
	}
	k.gamma, err = c.vector(n.Inputs[1])
	k.beta = k.gamma
	return k, err
}

func modulate(c *compiler, n *engine.Node) error {
	x, shift, err := c.read2(n)
	if err != nil {
		return err
	}
	scale, err := c.read(n.Inputs[2])
	if err != nil {
		return err
	}
	d := n.Shape.Dim(-1)
	row := d * elemSize(c.elem)
	return c.eachRow(n, func(rows, at, size int) step {
		return step{
			kernel: "modulate",
			dims:   u(0, rows*d, d, n.Elems()/n.Shape[0]/d, at/row),
			reads:  []view{x.part(at, size), shift, scale},
			out:    c.views[n].part(at, size),
			grid:   flat(rows * d),
		}
	})
}

func rotaryEmbedding(c *compiler, n *engine.Node) error {
	a, table := n.Attrs.(engine.RotaryAttrs), n.Inputs[1].Shape
	x, cos, err := c.read2(n)
	if err != nil {
		return err
	}
	sin, err := c.read(n.Inputs[2])
	if err != nil {
		return err
	}
	d := n.Shape[2]
	row := d * elemSize(c.elem)
	return c.eachRow(n, func(rows, at, size int) step {
		return step{
			kernel: "rotary_embedding",
			dims:   u(0, rows*d/2, d/2, d/(2*a.Heads), flag(a.Interleaved), table[0]*table[1], at/row),
			reads:  []view{x.part(at, size), cos, sin},
			out:    c.views[n].part(at, size),
			grid:   flat(rows * d / 2),
		}
	})
}

// norm is what layer_norm computes: of its results, n's rows are made.
type norm struct {
	x, gamma, beta view
	eps            float32
	rms            bool
	scale, shift   view // of the modulation
	per            int  // rows that share them; 0 without
}

func (c *compiler) normRows(n *engine.Node, k norm) error {
	row := n.Shape.Dim(-1) * elemSize(c.elem)
	return c.eachRow(n, func(rows int, at, size int) step {
		s := step{
			kernel: c.summing("layer_norm"),
			dims:   append(f(u(0, rows, n.Shape.Dim(-1)), k.eps), u(flag(k.rms), k.per, at/row)...),
			reads:  []view{k.x.part(at, size), k.gamma, k.beta, k.scale, k.shift},
			out:    c.views[n].part(at, size),
		}
		if k.per == 0 {
			s.reads[3], s.reads[4] = s.reads[0], s.reads[0]
		}
		return s
	})
}

func softmax(c *compiler, n *engine.Node) error {
	x, err := c.read(n.Inputs[0])
	if err != nil {
		return err
	}
	return c.eachRow(n, func(rows int, at, size int) step {
		return step{
			kernel: c.summing("softmax"),
			dims:   u(0, rows, n.Shape.Dim(-1)),
			reads:  []view{x.part(at, size)},
			out:    c.views[n].part(at, size),
		}
	})
}

// eachRow adds a step for each run of rows of n that can be bound, of one
// workgroup a row unless make gives it a grid.
func (c *compiler) eachRow(n *engine.Node, make func(rows, at, size int) step) error {
	row := n.Shape.Dim(-1) * elemSize(c.elem)
	most, unit := c.bindable(row)
	for _, r := range cut(n.Elems()/n.Shape.Dim(-1), most, unit) {
		s := make(r[1]-r[0], r[0]*row, (r[1]-r[0])*row)
		if s.grid == [3]int{} {
			s.grid = rowsOf(r[1] - r[0])
		}
		s.flops = 8 * float64((r[1]-r[0])*n.Shape.Dim(-1))
		if err := c.add(s); err != nil {
			return err
		}
	}
	return nil
}

func embedding(c *compiler, n *engine.Node) error {
	table, ids := n.Inputs[0], n.Inputs[1]
	root := engine.Root(ids)
	switch root.Op {
	case engine.OpInput:
		c.checks = append(c.checks, check{root.Name, table.Shape[0]})
	case engine.OpConst:
		if err := inRange(root.Attrs.(engine.ConstAttrs).Value, table.Shape[0]); err != nil {
			return err
		}
	}
	parts, err := c.parts(table)
	if err != nil {
		return err
	}
	for _, p := range parts {
		err := c.add(step{
			kernel:    "embedding",
			constants: constants{"weights": p.code},
			dims:      u(0, n.Elems(), n.Shape.Dim(-1), p.stride/4, p.blocks, p.row0, p.rows),
			reads:     []view{c.views[ids], p.data, p.scales},
			out:       c.views[n],
			grid:      flat(n.Elems()),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inRange checks indices against a table's rows.
func inRange(ids engine.Tensor, rows int) error {
	for _, id := range ids.Int32s() {
		if id < 0 || int(id) >= rows {
			return fmt.Errorf("id %d is outside the table of %d rows", id, rows)
		}
	}
	return nil
}

// eachRun adds a step for each run of elements of n, an op on one operand of
// n's size, that can be bound.
func (c *compiler) eachRun(n *engine.Node, kernel string, params ...uint32) error {
	x, err := c.read(n.Inputs[0])
	if err != nil {
		return err
	}
	es := elemSize(c.elem)
	most, unit := c.bindable(es)
	for _, r := range cut(n.Elems(), most, unit) {
		count := r[1] - r[0]
		err := c.add(step{
			kernel: kernel,
			dims:   append(u(0, count), params...),
			reads:  []view{x.part(r[0]*es, count*es)},
			out:    c.views[n].part(r[0]*es, count*es),
			grid:   flat(count),
			flops:  4 * float64(count),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func activation(c *compiler, n *engine.Node) error {
	return c.eachRun(n, "activation", u(actCode(n.Op))...)
}

func affine(c *compiler, n *engine.Node) error {
	a := n.Attrs.(engine.AffineAttrs)
	return c.eachRun(n, "affine", f(nil, a.Mul, a.Add)...)
}

func clamp(c *compiler, n *engine.Node) error {
	a := n.Attrs.(engine.ClampAttrs)
	return c.eachRun(n, "clamp", f(nil, a.Min, a.Max)...)
}

func geglu(c *compiler, n *engine.Node) error {
	x, err := c.read(n.Inputs[0])
	if err != nil {
		return err
	}
	d, es := n.Shape.Dim(-1), elemSize(c.elem)
	most, unit := c.bindable(2 * d * es)
	for _, r := range cut(n.Elems()/d, most, unit) {
		count := (r[1] - r[0]) * d
		err := c.add(step{
			kernel: "geglu",
			dims:   u(0, count, d),
			reads:  []view{x.part(2*r[0]*d*es, 2*count*es)},
			out:    c.views[n].part(r[0]*d*es, count*es),
			grid:   flat(count),
			flops:  16 * float64(count),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func upsample2d(c *compiler, n *engine.Node) error {
	x, err := c.read(n.Inputs[0])
	if err != nil {
		return err
	}
	in := n.Inputs[0].Shape
	return c.add(step{
		kernel: "upsample2d",
		dims:   u(0, n.Elems(), in[1], in[2], n.Shape[1], n.Shape[2], in[3]),
		reads:  []view{x},
		out:    c.views[n],
		grid:   flat(n.Elems()),
	})
}
