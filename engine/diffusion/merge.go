package diffusion

import (
	"fmt"

	"wisp/engine/model"
)

// Merging is a LoRA, or another adapter, on its way into a model's weights.
type Merging struct {
	Adapter
	nets   map[string]*model.Adapter
	weight float32
}

// NewMerging reads an adapter for a model, of which it needs no weights, to be
// merged as a request with this weight wears it. Errors wrap [ErrBadModel] and
// [ErrBadAdapter].
func NewMerging(m Model, f AdapterFile, weight float32) (*Merging, error) {
	p, err := configure(nil, m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadModel, err)
	}
	targets, err := p.targets()
	if err != nil {
		return nil, err
	}
	a := &adapter{Adapter{ID: f.Name(), Name: f.Name(), Networks: map[string]int{}}, map[string]*model.Adapter{}}
	if !(weight >= -maxStrength && weight <= maxStrength) {
		err = fmt.Errorf("the weight is %v: choose %d to %d", weight, -maxStrength, maxStrength)
	} else {
		err = a.read(f, targets)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBadAdapter, f.Name(), err)
	}
	return &Merging{a.Adapter, a.nets, weight}, nil
}

// Scales reports whether the adapter multiplies weights: it is then merged alone,
// for worn together with others it would not multiply what they add.
func (m *Merging) Scales() bool {
	for _, net := range m.nets {
		for _, c := range net.Changes {
			if c.Scales() {
				return true
			}
		}
	}
	return false
}

// Missing is a weight that the adapter changes and that is not among those of a
// checkpoint, by component and name; "" where all are.
func (m *Merging) Missing(shapes map[string]map[string][]int) string {
	for component, net := range m.nets {
		have := map[string]bool{}
		for name := range shapes[component] {
			have[plainName(name)] = true
		}
		for name := range net.Changes {
			if !have[name] {
				return component + ": " + name
			}
		}
	}
	return ""
}

// Change makes of a weight's values, under its name in the checkpoint, those of
// the merged model; nil for a weight that stays.
func (m *Merging) Change(component, name string) func(values []float32) error {
	net := m.nets[component]
	if net == nil || net.Changes[plainName(name)] == nil {
		return nil
	}
	return func(values []float32) error {
		if err := net.Changes[plainName(name)].Merge(values, m.weight); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrBadAdapter, m.Name, err)
		}
		return nil
	}
}
