package pack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"wisp/loader/quant"
	"wisp/loader/safetensors"
)

// levels are the types that "auto" chooses among, smallest first.
var levels = []string{"q2", "q4", "q8"}

// layer is a tensor that may be quantised, with the type chosen so far.
type layer struct {
	name  string // component/name
	bytes [3]int64
	noise [3]float64 // power of the error over that of the values
	level int
}

// choose fills the budget of "auto": every layer begins at the smallest type
// that it may have, and the step up that saves the most noise a byte is taken
// for as long as there is room. The noise is measured: a layer's share of
// error comes out of its product as it went in, relative to the result.
func (p *packer) choose(ctx context.Context, parts []part) error {
	if _, once := p.in.(sequential); once {
		return errors.New("auto reads every layer twice, and these files are read once: choose another quantisation, or pack them by the command")
	}
	left := p.opts.Size
	for _, f := range p.man.Files {
		left -= f.Length
	}
	var layers []*layer
	for _, c := range parts {
		set, err := p.open(c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		for _, t := range c.tensors(set) {
			if t.Elems() == 0 {
				continue
			}
			if !quantisable(t) || Policy("q8", false, t) == "i32" {
				left -= packedBytes(t, p.policy(c.name, t))
				continue
			}
			l, err := measure(ctx, c.name, p.denoises(c.name), set, t)
			if err != nil {
				set.Close()
				return fmt.Errorf("%s: tensor %s: %w", c.name, t.Name, err)
			}
			layers = append(layers, l)
			left -= l.bytes[l.level]
		}
		set.Close()
	}
	if left < 0 {
		return fmt.Errorf("the smallest that it can be is %s, which is more than the size %s", mb(p.opts.Size-left), mb(p.opts.Size))
	}
	p.opts.chosen = map[string]string{}
	fill(layers, left)
	for _, l := range layers {
		p.opts.chosen[l.name] = levels[l.level]
	}
	return nil
}

// fill raises layers for as long as there is room, the best step first.
func fill(layers []*layer, left int64) {
	worth := func(l *layer) float64 {
		if l.level == len(levels)-1 {
			return 0
		}
		return (l.noise[l.level] - l.noise[l.level+1]) / float64(max(1, l.bytes[l.level+1]-l.bytes[l.level]))
	}
	order := slices.Clone(layers)
	for len(order) > 0 {
		slices.SortStableFunc(order, func(a, b *layer) int { return -cmp.Compare(worth(a), worth(b)) })
		l := order[0]
		cost := int64(0)
		if worth(l) > 0 {
			cost = l.bytes[l.level+1] - l.bytes[l.level]
		}
		if cost == 0 || cost > left { // it stays as it is
			order = order[1:]
			continue
		}
		left -= cost
		l.level++
	}
}

// sampled is how many rows of a layer tell its noise.
const sampled = 64

// measure quantises some rows of a layer to every type.
func measure(ctx context.Context, component string, denoises bool, set *safetensors.Set, t safetensors.Tensor) (*layer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows, k := t.Shape[0], t.Elems()/t.Shape[0]
	l := &layer{name: component + "/" + t.Name}
	if !denoises || len(t.Shape) != 2 || k < quant.BlockOf(2) { // as in "ternary"
		l.level = 1
	}
	for i, dtype := range levels {
		l.bytes[i] = packedBytes(t, dtype)
	}
	r, err := set.Section(t)
	if err != nil {
		return nil, err
	}
	row, back := make([]float32, k), make([]float32, k)
	step := max(1, rows/sampled)
	var power float64
	for at := 0; at < rows; at += step {
		if err := readRow(row, r, at, t); err != nil {
			return nil, err
		}
		for _, v := range row {
			power += float64(v) * float64(v)
		}
		for i, dtype := range levels {
			m := quant.New(bitsOf[dtype], 1, k)
			if err := m.PutRow(0, row); err != nil {
				return nil, err
			}
			m.Row(0, back)
			for j, v := range row {
				d := float64(v) - float64(back[j])
				l.noise[i] += float64(d * d)
			}
		}
	}
	for i := range l.noise {
		l.noise[i] /= max(power, 1e-30)
	}
	return l, nil
}

// readRow reads one row, which may begin or end in the middle of a block.
func readRow(dst []float32, r io.ReaderAt, at int, t safetensors.Tensor) error {
	elems, size := safetensors.Block(t.DType)
	first, end := at*len(dst)/elems, ((at+1)*len(dst)+elems-1)/elems
	src, values := make([]byte, (end-first)*size), make([]float32, (end-first)*elems)
	if _, err := r.ReadAt(src, int64(first)*int64(size)); err != nil && err != io.EOF {
		return fmt.Errorf("reading it: %w", err)
	}
	if err := floats(values, src, t); err != nil {
		return err
	}
	copy(dst, values[at*len(dst)-first*elems:])
	return nil
}
