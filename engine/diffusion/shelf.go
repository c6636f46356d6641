package diffusion

import (
	"context"
	"fmt"

	"wisp/engine"
)

// sizer is a [Model] that knows how many bytes each of a component's weights
// takes, by their names there.
type sizer interface {
	Sizes(component string, prefixes []string) map[string]int64
}

// shelf is where the weights of a network are that runs by stages: in the model,
// but for those of adapters.
type shelf struct {
	r     *residency
	net   *resident
	need  map[string]*engine.Node
	names map[string]string // in the model
	sizes map[string]int64
}

// shelf is the network's, nil where its weights fit into the budget.
func (r *residency) shelf(n *resident, g *engine.Graph) *shelf {
	m, ok := r.model.(sizer)
	if n.From != nil {
		m, ok = n.From.(sizer)
	}
	if !ok || !r.stages {
		return nil
	}
	s := &shelf{r: r, net: n, need: needed(g), names: map[string]string{}, sizes: map[string]int64{}}
	for name, size := range m.Sizes(n.Component, n.Prefixes) {
		s.names[plainName(name)], s.sizes[plainName(name)] = name, size
	}
	var total int64
	for name := range s.need {
		total += s.sizes[name]
	}
	if total <= r.budget {
		return nil
	}
	return s
}

// compileOf compiles a network with its weights, or by stages.
func (r *residency) compileOf(n *resident, g *engine.Graph, weights map[string]engine.Buffer, fixed []string) (engine.Program, error) {
	if n.shelf != nil {
		return engine.CompileStages(r.backend, g, r.budget, n.shelf)
	}
	return engine.CompileFixed(r.backend, g, weights, fixed...)
}

// Size is a weight's in the model; an adapter's is on the backend already.
func (s *shelf) Size(weight string) int64 { return s.sizes[weight] }

// Take has weights written to the backend, in place of other networks' where
// the budget is short.
func (s *shelf) Take(ctx context.Context, names []string) (map[string]engine.Buffer, error) {
	taken, need, prefixes := map[string]engine.Buffer{}, map[string]*engine.Node{}, []string{}
	for _, name := range names {
		if b := s.net.adapted[name]; b != nil {
			taken[name] = b
			continue
		}
		need[name] = s.need[name]
		prefixes = append(prefixes, s.names[name])
	}
	err := error(nil)
	if len(need) > 0 { // no prefix stands for all
		err = s.r.stream(ctx, s.net, prefixes, need, func(name string, b engine.Buffer) { taken[name] = b })
	}
	for name := range need {
		if taken[name] == nil && err == nil {
			err = fmt.Errorf("%w: %w %q", ErrBadModel, errNoWeight, name)
		}
	}
	if err != nil {
		s.Leave(taken)
		return nil, err
	}
	return taken, nil
}

// Leave frees what Take brought.
func (s *shelf) Leave(taken map[string]engine.Buffer) {
	for name, b := range taken {
		if s.net.adapted[name] == nil {
			s.net.bytes -= int64(b.Size())
			b.Release()
		}
	}
}
