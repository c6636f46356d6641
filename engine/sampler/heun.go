package sampler

// newHeun is Heun's second-order method on the ODE of euler.go (Karras et al. 2022, algorithm 1): diffusers'
// HeunDiscreteScheduler and FlowMatchHeunDiscreteScheduler. All steps but the last run the network twice: a trial Euler
// step, then from the same start a step along the mean of the slopes at both its ends.
//
// Exact with few steps, but each costs two evaluations: the multistep solvers reach the same with half of them.
func newHeun(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	hats, noise, init, err := s.churn(p, levels, init)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, next := hats[i], levels[i+1]
		n := len(runs)
		runs = append(runs, run{level: l, keep: true, remember: l.slope(), move: eulerStep(l, next.sigma)})
		if i+1 < p.Steps {
			mean := memory(n).plus(next.slope()).times(0.5)
			runs = append(runs, run{level: next, move: theKept.plus(mean.times(next.sigma - l.sigma))})
		}
		churning(&runs[len(runs)-1], noise[i+1])
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}
