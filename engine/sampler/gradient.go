package sampler

// newGradient is ComfyUI's gradient_estimation: Euler's method whose slope is drawn out from the one before it
// (Permenter and Yuan 2023, "Interpreting and improving diffusion models from an optimization perspective", algorithm
// 2, with gamma 2).
//
// One evaluation a step; a little more exact than Euler at 10 to 20 steps.
func newGradient(s settings, p Plan) (Sampler, error) { return s.gradient(p, false) }

func (s settings) gradient(p Plan, free bool) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	const gamma = 2
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n, l, next := i-p.Start, levels[i], levels[i+1]
		slope := l.slope()
		r := run{level: l, move: eulerStep(l, next.sigma)}
		if free {
			slope = theX.minus(l.unguided()).times(1 / l.sigma)
			r.move = theZero.plus(slope.times(next.sigma))
		}
		r.remember = slope
		switch {
		case next.sigma == 0:
			r.move = theZero
		case n > 0:
			r.move = r.move.plus(memory(n).minus(memory(n - 1)).times((gamma - 1) * (next.sigma - l.sigma)))
		}
		runs = append(runs, r)
	}
	if free {
		return s.split(runs, levels[p.Steps], init), nil
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}
