package diffusion

import (
	"fmt"
	"regexp"
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

// FLOPs is how many floating-point operations a picture takes at the model's own
// size and settings. It needs the configurations only.
func FLOPs(m Configs) (sum float64, err error) {
	k, err := newKind(m)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBadModel, err)
	}
	r := k.Defaults()
	if _, ok := m.Config("wisp"); ok {
		d := Defaults{Steps: r.Steps, Guidance: r.Guidance}
		if err := parse(m, "wisp", &d); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrBadModel, err)
		}
		r.Steps, r.Guidance = d.Steps, d.Guidance
	}
	for _, n := range k.Nets() {
		if n.Late {
			continue
		}
		g, err := n.Graph(n.Size(r))
		if err != nil {
			return 0, fmt.Errorf("%w: %s: %w", ErrBadModel, n.Component, err)
		}
		times := 1
		if n.Denoiser {
			times = max(1, r.Steps)
		}
		sum += float64(times) * g.FLOPs()
	}
	return sum, nil
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

// Unread lists the weights, "component: name", that no network of the pipeline
// reads at any of its settings: they take room, and what they are to change,
// they do not. Buffers that libraries once saved beside weights are left out, and what
// lies in a text encoder behind the state that is wanted.
func Unread(m Model, shapes map[string]map[string][]int) (list []string) {
	p, err := configure(nil, m)
	if err != nil {
		return nil
	}
	read := map[string]map[string]bool{}
	for _, n := range p.kind.Nets() {
		if read[n.Component] == nil {
			read[n.Component] = map[string]bool{}
		}
		for _, name := range n.Host {
			read[n.Component][name] = true
		}
		s := n.Size(p.Defaults())
		for _, skip := range []int{0, s.Skip} {
			s.Skip = skip
			if g, err := n.Graph(s); err == nil {
				for _, w := range g.Weights() {
					read[n.Component][w.Name] = true
				}
			}
		}
	}
	leftOut := regexp.MustCompile(harmless)
	for component, weights := range read {
		for name := range shapes[component] {
			if plain := plainName(name); !weights[plain] && !leftOut.MatchString(component+": "+plain) {
				list = append(list, component+": "+name)
			}
		}
	}
	slices.Sort(list)
	return list
}

// harmless is what [Unread] leaves out; compiled there, so that a program without
// it carries no regexp.
const harmless = `position_ids$|pad_token$|num_batches_tracked$|^text_encoder.*: (model\.)?((encoder\.)?layers\.\d+\.|(final_layer_)?norm\.)`
