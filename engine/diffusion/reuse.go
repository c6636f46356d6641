package diffusion

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
)

// reuse lets the deep part of a denoiser that one evaluation computed serve those after it, too: Ma, Fang & Wang 2023,
// "DeepCache", with uniform intervals, as its DeepCacheSDHelper does it. A whole evaluation in interval; the others run
// what is left of the UNet, down to the branch's skip and up from there. A batch that the last whole evaluation had not is
// computed whole.
type reuse struct {
	interval, branch int
	deep             map[batch]engine.Tensor // of the last whole evaluation
	reads            map[Size]map[string]bool
}

// batch is one of those of a step.
type batch struct {
	number int
	size   Size
}

// readReuse reads a request's Reuse for a denoiser that may be cut at so many branches; nil for no reuse.
func readReuse(text string, branches int) (*reuse, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	if len(words) == 0 {
		return nil, nil
	}
	if words[0] != "deepcache" {
		return nil, fmt.Errorf("reuse is %.40q: choose deepcache", words[0])
	}
	if branches == 0 {
		return nil, errors.New("reuse: this model's denoiser is not cut into a deep and a shallow part; a UNet is")
	}
	set, err := readParameters("reuse deepcache", []parameter{{"interval", 3, 1, 1000}, {"branch", 0, 0, float64(branches - 1)}}, words[1:])
	if err != nil {
		return nil, err
	}
	if set[0] != float64(int(set[0])) || set[1] != float64(int(set[1])) {
		return nil, errors.New("reuse deepcache: interval and branch are whole numbers")
	}
	return &reuse{interval: int(set[0]), branch: int(set[1]), deep: map[batch]engine.Tensor{}, reads: map[Size]map[string]bool{}}, nil
}

// run evaluates the denoiser on a batch of a step.
func (u *reuse) run(ctx context.Context, d *drawing, step int, b batch, in Inputs) (Inputs, error) {
	s := b.size
	if u == nil {
		return d.p.residency.Run(ctx, d.net.name(), s, in)
	}
	whole := step%u.interval == 0
	if whole && b.number == 0 {
		clear(u.deep)
	}
	if deep, ok := u.deep[b]; ok && !whole {
		s.Deep, in[model.Deep] = -1-u.branch, deep
		if err := u.keep(d.net, s, in); err != nil {
			return nil, err
		}
		return d.p.residency.Run(ctx, d.net.name(), s, in)
	}
	s.Deep = 1 + u.branch
	out, err := d.p.residency.Run(ctx, d.net.name(), s, in)
	if err == nil {
		u.deep[b] = out[model.Deep]
	}
	return out, err
}

// keep leaves of the inputs what the shallow part reads: a ControlNet feeds the deep one, too.
func (u *reuse) keep(net Net, s Size, in Inputs) error {
	if u.reads[s] == nil {
		g, err := net.Graph(s)
		if err != nil {
			return err
		}
		u.reads[s] = map[string]bool{}
		for _, n := range g.Inputs() {
			u.reads[s][n.Name] = true
		}
	}
	maps.DeleteFunc(in, func(name string, _ engine.Tensor) bool { return !u.reads[s][name] })
	return nil
}
