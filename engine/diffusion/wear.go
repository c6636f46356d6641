package diffusion

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
)

// What adapters are to the networks on the backend.

// of lists the adapters that a component wears.
func (r *residency) of(component string) (list []*model.Adapter) {
	for _, w := range r.worn {
		if net, _ := w.of(component); net != nil {
			list = append(list, net)
		}
	}
	return list
}

// ids names them, for a program's key.
func (r *residency) ids(component string) string {
	var b strings.Builder
	for _, a := range r.of(component) {
		b.WriteString(a.Name + " ")
	}
	return b.String()
}

// strengths are a network's inputs with those of its adapters.
func (r *residency) strengths(net string, in Inputs) Inputs {
	if len(r.worn) == 0 {
		return in
	}
	all := maps.Clone(in)
	for _, w := range r.worn {
		_, more := w.of(r.nets[net].Component)
		maps.Copy(all, more)
	}
	return all
}

// compile compiles a network with the adapters that it wears.
func (r *residency) compile(n *resident, g *engine.Graph) (engine.Program, error) {
	worn := r.of(n.Component)
	if len(worn) == 0 {
		return r.compileOf(n, g, n.weights, n.Fixed)
	}
	adapted, err := model.Adapt(g, worn)
	if err != nil {
		return nil, err
	}
	fixed := slices.Clone(n.Fixed)
	for _, a := range worn {
		if err := r.upload(n, g, a); err != nil {
			return nil, err
		}
		for _, block := range a.Strengths() {
			fixed = append(fixed, a.Input(block))
		}
	}
	weights := maps.Clone(n.weights)
	maps.Copy(weights, n.adapted)
	return r.compileOf(n, adapted, weights, fixed)
}

// upload has what an adapter changes about a graph on the backend.
func (r *residency) upload(n *resident, g *engine.Graph, a *model.Adapter) error {
	if n.adapted == nil {
		n.adapted = map[string]engine.Buffer{}
	}
	for _, w := range g.Weights() {
		c := a.Changes[w.Name]
		if c == nil || n.has(a, w.Name) {
			continue
		}
		parts, err := c.Load()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBadAdapter, err)
		}
		for part, t := range parts {
			r.makeRoom(n, int64(len(t.Data)))
			b, err := r.backend.Upload(t)
			if err != nil {
				return err
			}
			n.adapted[a.Weight(w.Name, part)] = b
			n.bytes += int64(b.Size())
		}
	}
	return nil
}

// has reports whether what an adapter changes about a weight is on the backend.
func (n *resident) has(a *model.Adapter, weight string) bool {
	for _, part := range a.Changes[weight].Parts() {
		if n.adapted[a.Weight(weight, part)] == nil {
			return false
		}
	}
	return true
}

// undress frees what an adapter has on the backend.
func (r *residency) undress(a *adapter) {
	r.programs.drop(func(k programKey) bool { return slices.Contains(strings.Fields(k.worn), a.ID) })
	for _, n := range r.nets {
		for name, b := range n.adapted {
			if strings.HasPrefix(name, a.ID+" ") {
				n.bytes -= int64(b.Size())
				b.Release()
				delete(n.adapted, name)
			}
		}
	}
}
