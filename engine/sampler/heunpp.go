package sampler

// newHeunPP is ComfyUI's heunpp2: Heun's method with a look one step further (Wang et al. 2023, "Boosting diffusion
// models with an adaptive momentum sampler", in its author's k-diffusion). The slopes' weights are the noise levels'
// shares of the first.
//
// Three evaluations a step: for 6 to 10 steps where exactness is worth them.
func newHeunPP(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	first := levels[p.Start].sigma
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, next := levels[i], levels[i+1]
		n, dt := len(runs), next.sigma-l.sigma
		runs = append(runs, run{level: l, keep: true, remember: l.slope(), move: eulerStep(l, next.sigma)})
		switch {
		case next.sigma == 0:
		case i+2 >= p.Steps || levels[i+2].sigma == 0:
			w2 := next.sigma / (2 * first)
			mean := memory(n).times(1 - w2).plus(next.slope().times(w2))
			runs = append(runs, run{level: next, move: theKept.plus(mean.times(dt))})
		default:
			further := levels[i+2]
			w2, w3 := next.sigma/(3*first), further.sigma/(3*first)
			mean := memory(n).times(1 - w2 - w3).plus(memory(n + 1).times(w2)).plus(further.slope().times(w3))
			runs = append(runs, run{level: next, remember: next.slope(), move: eulerStep(next, further.sigma)},
				run{level: further, move: theKept.plus(mean.times(dt))})
		}
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}
