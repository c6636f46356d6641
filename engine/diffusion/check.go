package diffusion

import (
	"fmt"
	"slices"

	"wisp/engine"
)

// Check tells, without any weights, whether [New] would make a pipeline of a
// model: shapes has those of its weights by component and name. Errors are
// those of New.
func Check(m Model, shapes map[string]map[string][]int) error {
	p, err := configure(nil, m)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadModel, err)
	}
	for _, n := range p.kind.Nets() {
		if n.Late {
			continue
		}
		g, err := n.Graph(n.Size(p.Defaults()))
		if err == nil {
			err = checkWeights(g, n, shapes[n.Component])
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrBadModel, n.Component, err)
		}
	}
	return nil
}

// checkWeights looks for the network's weights among the shapes.
func checkWeights(g *engine.Graph, net Net, shapes map[string][]int) error {
	have := map[string][]int{}
	for name, shape := range shapes {
		have[plainName(name)] = shape
	}
	for _, name := range net.Host {
		if _, ok := have[name]; !ok {
			return fmt.Errorf("it has no weight %q", name)
		}
	}
	for _, n := range g.Weights() {
		shape, ok := have[n.Name]
		if !ok {
			return fmt.Errorf("it has no weight %q", n.Name)
		}
		if !slices.Equal(shape, []int(n.Shape)) && !(slices.Contains(net.Middle, n.Name) && isMiddle(shape, n.Shape)) {
			return fmt.Errorf("the weight %q is %v, want %v", n.Name, shape, n.Shape)
		}
	}
	return nil
}
