package diffusion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
)

// ErrBadAdapter: a LoRA or another adapter that cannot be used with the model;
// the message names its key.
var ErrBadAdapter = errors.New("bad adapter")

// AdapterFile is where an adapter comes from. It stays open while the pipeline
// has the adapter.
type AdapterFile interface {
	// Name is what a prompt calls it.
	Name() string
	// Parts finds the weights that the file changes among those of the model,
	// whose shapes are given by component and name, and tells each of its
	// tensors: of which weight, which part of the change as
	// [model.NewChange] has it, its key in the file, its shape, and how to read
	// it. It returns the keys that mean nothing here.
	Parts(targets map[string]map[string][]int,
		each func(component, weight, part, key string, shape []int, read func() (dtype string, data []byte, err error)) error) (unknown []string, err error)
}

// Lora wears an adapter for one drawing.
type Lora struct {
	ID     string             // of [Pipeline.AddAdapter], or a name
	Weight float32            // its strength; negative ones turn a slider's other way
	Text   *float32           // that in the text encoders; nil for Weight
	Blocks map[string]float32 // factors of the denoiser's blocks, as [model.Block] names them, or of what their names begin with
}

// Adapter tells of an adapter that a pipeline has.
type Adapter struct {
	ID, Name string
	Networks map[string]int // how many weights it changes, by component
	Unknown  []string       // keys that mean nothing in this model
}

// adapter is one that a pipeline has.
type adapter struct {
	Adapter
	nets map[string]*model.Adapter // by component
}

// AddAdapter reads an adapter, all of whose values must be finite, and keeps it
// for requests to wear under an id without spaces, in place of one that had it;
// "" makes one up. Errors wrap ErrBadAdapter where the file does not fit.
func (p *Pipeline) AddAdapter(ctx context.Context, id string, f AdapterFile) (Adapter, error) {
	targets, err := p.targets()
	if err != nil {
		return Adapter{}, err
	}
	if id == "" {
		p.adapted++
		id = "lora-" + strconv.Itoa(p.adapted)
	}
	a := &adapter{Adapter{ID: id, Name: f.Name(), Networks: map[string]int{}}, map[string]*model.Adapter{}}
	if err = a.read(f, targets); err == nil {
		err = p.measure(ctx, a)
	}
	if err != nil {
		return Adapter{}, fmt.Errorf("%w: %s: %w", ErrBadAdapter, f.Name(), err)
	}
	p.RemoveAdapter(id)
	p.adapters = append(p.adapters, a)
	return a.Adapter, nil
}

// Adapters lists those that the pipeline has, in the order in which they came.
func (p *Pipeline) Adapters() (list []Adapter) {
	for _, a := range p.adapters {
		list = append(list, a.Adapter)
	}
	return list
}

// RemoveAdapter forgets an adapter and frees what it has on the backend. It
// reports whether there was one of that id.
func (p *Pipeline) RemoveAdapter(id string) bool {
	i := slices.IndexFunc(p.adapters, func(a *adapter) bool { return a.ID == id })
	if i < 0 {
		return false
	}
	p.residency.undress(p.adapters[i])
	p.adapters = slices.Delete(p.adapters, i, i+1)
	return true
}

// targets are the weights of the pipeline's networks, by component.
func (p *Pipeline) targets() (map[string]map[string]model.Target, error) {
	targets := map[string]map[string]model.Target{}
	for _, n := range p.kind.Nets() {
		size := n.Size(p.Defaults())
		size.Skip = -1
		g, err := n.Graph(size)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.name(), err)
		}
		if targets[n.Component] == nil {
			targets[n.Component] = map[string]model.Target{}
		}
		maps.Copy(targets[n.Component], model.Targets(g))
	}
	return targets, nil
}

// read finds the file's changes and validates them.
func (a *adapter) read(f AdapterFile, targets map[string]map[string]model.Target) error {
	shapes := map[string]map[string][]int{}
	for component, weights := range targets {
		shapes[component] = map[string][]int{}
		for name, t := range weights {
			shapes[component][name] = t.Shape
		}
	}
	type weight struct{ component, name string }
	parts := map[weight]map[string]model.AdapterPart{}
	var err error
	a.Unknown, err = f.Parts(shapes, func(component, name, part, key string, shape []int, read func() (string, []byte, error)) error {
		at := weight{component, name}
		if parts[at] == nil {
			parts[at] = map[string]model.AdapterPart{}
		}
		if twice, ok := parts[at][part]; ok {
			return fmt.Errorf("%s and %s are both the %s of %s", twice.Key, key, part, name)
		}
		parts[at][part] = model.AdapterPart{Key: key, Shape: shape, Read: func() (t engine.Tensor, err error) {
			dtype, data, err := read()
			if err != nil {
				return t, err
			}
			t.Shape, t.Data = shape, data
			t.DType, err = engine.ParseDType(dtype)
			return t, errors.Join(err, t.Validate())
		}}
		return nil
	})
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return fmt.Errorf("none of its %d keys means a layer of this model, %.120q the first: it was made for another", len(a.Unknown), append(a.Unknown, "")[0])
	}
	for at, parts := range parts {
		c, err := model.NewChange(at.name, targets[at.component][at.name], parts)
		if err != nil {
			return err
		}
		for _, part := range parts { // a value that is no number is told now
			if _, err := part.Read(); err != nil {
				return err
			}
		}
		if a.nets[at.component] == nil {
			a.nets[at.component] = &model.Adapter{Name: a.ID, Changes: map[string]*model.Change{}}
		}
		a.nets[at.component].Changes[at.name] = c
		a.Networks[at.component]++
	}
	return nil
}

// measure shows an adapter those of the model's weights that it depends on.
func (p *Pipeline) measure(ctx context.Context, a *adapter) error {
	for component, net := range a.nets {
		need := map[string]*model.Change{}
		for name, c := range net.Changes {
			if c.NeedsBase() {
				need[name] = c
			}
		}
		if len(need) == 0 {
			continue
		}
		err := p.residency.model.Stream(ctx, component, nil, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
			c := need[plainName(name)]
			if c == nil {
				return nil
			}
			d, err := engine.ParseDType(dtype)
			if err != nil {
				return err
			}
			t := engine.NewTensor(d, shape...)
			if err := fill(t); err != nil {
				return err
			}
			delete(need, plainName(name))
			return c.Measure(t)
		})
		if err != nil {
			return err
		}
		for name := range need {
			return fmt.Errorf("%w: %w %q", ErrBadModel, errNoWeight, name)
		}
	}
	return nil
}

// maxStrength bounds a LoRA's weight either way.
const maxStrength = 100

// wear is what a request wears: the adapters of its list, and those that its
// prompts name as AUTOMATIC1111 does, without whose tags it is returned.
func (p *Pipeline) wear(r Request) (bare Request, worn []worn, notices []string, err error) {
	asked := slices.Clone(r.Loras)
	var tags []Lora
	r.Prompt, tags, notices = readTags(r.Prompt, notices)
	r.SecondPrompt, _, _ = readTags(r.SecondPrompt, nil)
	var idle []Lora
	r.NegativePrompt, idle, notices = readTags(r.NegativePrompt, notices)
	for _, l := range idle {
		notices = append(notices, fmt.Sprintf("negative prompt: <lora:%s:…> counts in the prompt only", l.ID))
	}
	for _, tag := range tags { // the prompt's weight stands in place of the list's
		if a := p.adapter(tag.ID, r.Wardrobe); a != nil {
			asked = slices.DeleteFunc(asked, func(l Lora) bool { return p.adapter(l.ID, r.Wardrobe) == a })
		}
	}
	for i, l := range append(asked, tags...) {
		a := p.adapter(l.ID, r.Wardrobe)
		switch {
		case a == nil && i >= len(asked):
			notices = append(notices, fmt.Sprintf("prompt: there is no LoRA %q: it is drawn without", l.ID))
			continue
		case a == nil:
			return r, nil, nil, fmt.Errorf("loras: there is no %.80q", l.ID)
		}
		for _, w := range append(slices.Collect(maps.Values(l.Blocks)), l.Weight, l.text()) {
			if !(math.Abs(float64(w)) <= maxStrength) {
				return r, nil, nil, fmt.Errorf("loras: the weight of %s is %v: choose %d to %d", a.Name, w, -maxStrength, maxStrength)
			}
		}
		worn = put(worn, a, l)
	}
	return r, worn, notices, nil
}

// adapter finds one by its id or, the last added first, by its name, among those
// of a wardrobe; nil is all.
func (p *Pipeline) adapter(id string, wardrobe []string) *adapter {
	for _, a := range slices.Backward(p.adapters) {
		if (a.ID == id || a.Name == id) && (wardrobe == nil || slices.Contains(wardrobe, a.ID)) {
			return a
		}
	}
	return nil
}

func (l Lora) text() float32 {
	if l.Text != nil {
		return *l.Text
	}
	return l.Weight
}

// worn is an adapter with its strengths: inputs of the graphs, by component.
type worn struct {
	*adapter
	inputs map[string]Inputs
}

// put adds an adapter; one that is worn already is worn the more.
func put(list []worn, a *adapter, l Lora) []worn {
	w := worn{a, map[string]Inputs{}}
	for component, net := range a.nets {
		if strings.HasPrefix(component, "text_encoder") {
			w.inputs[component] = net.BlockStrengths(l.text(), nil)
		} else {
			w.inputs[component] = net.BlockStrengths(l.Weight, l.Blocks)
		}
	}
	for _, other := range list {
		if other.adapter != a {
			continue
		}
		for component, in := range w.inputs {
			for name, t := range in {
				sum := other.inputs[component][name].Float32s()[0] + t.Float32s()[0]
				other.inputs[component][name] = engine.FromFloat32s([]float32{sum}, 1)
			}
		}
		return list
	}
	return append(list, w)
}

// of is what a component wears: nothing where all strengths are 0.
func (w worn) of(component string) (*model.Adapter, Inputs) {
	in := w.inputs[component]
	for _, t := range in {
		if t.Float32s()[0] != 0 {
			return w.nets[component], in
		}
	}
	return nil, nil
}

// textKey tells texts apart that are encoded with other adapters or strengths.
func textKey(list []worn) string {
	var b strings.Builder
	for _, w := range list {
		for _, component := range slices.Sorted(maps.Keys(w.inputs)) {
			if net, in := w.of(component); net != nil && strings.HasPrefix(component, "text_encoder") {
				for _, name := range slices.Sorted(maps.Keys(in)) {
					fmt.Fprintf(&b, "%s %s %v,", component, name, in[name].Float32s())
				}
			}
		}
	}
	return b.String()
}

// tagged is a request whose prompt names all that it wears, as AUTOMATIC1111
// writes it.
func (p *Pipeline) tagged(r Request) Request {
	for _, l := range r.Loras {
		a := p.adapter(l.ID, r.Wardrobe)
		if a == nil || strings.Contains(r.Prompt, "<lora:"+a.Name+":") {
			continue
		}
		if r.Prompt += " <lora:" + a.Name; l.Text != nil {
			r.Prompt += fmt.Sprintf(":%g", *l.Text)
		}
		r.Prompt += fmt.Sprintf(":%g>", l.Weight)
	}
	return r
}
