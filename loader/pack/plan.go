package pack

import (
	"fmt"
	"slices"

	"wisp/loader"
)

// Plan is what [Pack] would make of an input, told from its configs and the
// headers of its checkpoints: no weights are read.
type Plan struct {
	// Manifest lacks the chunks, and the places of files and tensors.
	Manifest *loader.Manifest
	Input    int64 // bytes of the tensors in the checkpoints
	// Packed is the size of the model by quantisation, before compression: at
	// most this is stored and downloaded, but for tensors beyond f16's range.
	Packed map[string]int64
}

// NewPlan plans what Pack would do with the same options.
func NewPlan(in Input, o Options) (*Plan, error) {
	p, err := newPacker(in, nil, o)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Manifest: p.man, Packed: map[string]int64{}}
	if err := plan.fill(p); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return plan, nil
}

func (plan *Plan) fill(p *packer) error {
	parts, err := p.survey()
	if err != nil {
		return err
	}
	names, err := p.fileNames()
	if err != nil {
		return err
	}
	for _, n := range names {
		f, err := p.in.Open(n)
		if err != nil {
			return err
		}
		for _, q := range quants {
			plan.Packed[q] += f.Size()
		}
		p.man.Files = append(p.man.Files, loader.FileInfo{Name: n, Place: loader.Place{Length: f.Size()}})
		f.Close()
	}
	for _, c := range parts {
		if err := plan.addComponent(p, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// quants are the choices of [Options].Quant.
var quants = []string{"f32", "f16", "q8", "q4"}

// CheckQuant refuses what is no choice of [Options].Quant.
func CheckQuant(quant string) error {
	if quant != "" && !slices.Contains(quants, quant) {
		return fmt.Errorf("pack: unknown quantisation %q: use f32, f16, q8 or q4", quant)
	}
	return nil
}

func (plan *Plan) addComponent(p *packer, c part) error {
	set, err := p.open(c)
	if err != nil {
		return err
	}
	defer set.Close()
	for _, t := range c.tensors(set) {
		plan.Input += t.Size
		if t.Elems() == 0 {
			continue
		}
		for _, q := range quants {
			plan.Packed[q] += packedBytes(t, Policy(q, t))
		}
		p.man.Tensors = append(p.man.Tensors, tensorInfo(c.name, t, Policy(p.opts.Quant, t)))
	}
	return nil
}
