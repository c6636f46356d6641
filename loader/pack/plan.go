package pack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

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

	// Notes tell what was recognised in an input without configs.
	Notes []string

	in   Input
	seen map[string]string // stamps of the files that were read
}

// NewPlan plans what Pack would do with the same options.
func NewPlan(in Input, o Options) (*Plan, error) {
	o.Progress, o.OnProgress = nil, nil
	p, err := newPacker(in, nil, o)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Manifest: p.man, Packed: map[string]int64{}, in: in, seen: p.opts.seen}
	if err := plan.fill(p); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return plan, nil
}

func (plan *Plan) fill(p *packer) error {
	plan.Notes = p.notes()
	parts, err := p.survey()
	if err != nil {
		return err
	}
	names, err := p.fileNames()
	if err != nil {
		return err
	}
	for _, n := range names {
		f, err := p.openFile(n)
		if err != nil {
			return err
		}
		if f.Size() > maxFile {
			return errors.Join(fmt.Errorf("%s: %d bytes are more than %d", n, f.Size(), maxFile), f.Close())
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

// quants are the choices of [Options].Quant but "auto".
var quants = []string{"f32", "f16", "q8", "q4", "ternary"}

// CheckQuant refuses what is no choice of [Options].Quant.
func CheckQuant(quant string) error {
	if quant != "" && quant != "auto" && !slices.Contains(quants, quant) {
		return fmt.Errorf("pack: unknown quantisation %q: use f32, f16, q8, q4, ternary or auto", quant)
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
		if err := t.Check(); err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		plan.Input += t.Size
		if t.Elems() == 0 {
			continue
		}
		for _, q := range quants {
			plan.Packed[q] += packedBytes(t, Policy(q, p.denoises(c.name), t))
		}
		p.man.Tensors = append(p.man.Tensors, tensorInfo(c.name, t, p.policy(c.name, t)))
	}
	return nil
}

// Resume is [Pack] of the plan's input by the same options, going on where an
// earlier one with the same journal stopped.
func (plan *Plan) Resume(ctx context.Context, out Output, j Journal, o Options) (*loader.Manifest, error) {
	o.seen = plan.seen
	return resume(ctx, plan.in, out, j, o)
}

// Config, File and Stream are those of the model to be, as far as an engine
// asks before there are weights.
func (plan *Plan) Config(component string) (json.RawMessage, bool) {
	return plan.Manifest.Config(component)
}

// File reads a small file of the model to be.
func (plan *Plan) File(name string) ([]byte, bool) {
	if !slices.ContainsFunc(plan.Manifest.Files, func(f loader.FileInfo) bool { return f.Name == name }) {
		return nil, false
	}
	b, err := readAll(plan.in.Open, name, maxFile)
	return b, err == nil
}

// Stream hands out nothing: a plan has no weights.
func (plan *Plan) Stream(context.Context, string, []string, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	return nil
}

// Shapes lists a manifest's tensors by component and name. An error names a
// weight that is integers: codes of a quantisation that is not known here.
func Shapes(m *loader.Manifest) (map[string]map[string][]int, error) {
	all := map[string]map[string][]int{}
	for _, t := range m.Tensors {
		if all[t.Component] == nil {
			all[t.Component] = map[string][]int{}
		}
		if t.DType == "i32" && (strings.HasSuffix(t.Name, ".weight") || strings.HasSuffix(t.Name, ".bias")) {
			return nil, fmt.Errorf("%s: the weight %q is integers, of a quantisation that wisp does not know: give the model before that was done", t.Component, t.Name)
		}
		all[t.Component][t.Name] = t.Shape
	}
	return all, nil
}
