package sampler

import "math"

// newIPNDM is diffusers' IPNDMScheduler, of v-diffusion-pytorch: PLMS (pndm.go) without its first correction, for models
// whose x = alpha x0 + sigma noise goes by the cosine of a crash-course schedule and that predict v.
func newIPNDM(s settings, p Plan) (Sampler, error) {
	if s.TrainedBetas != nil {
		return nil, bad("trained_betas of length", len(s.TrainedBetas))
	}
	levels := make([]level, p.Steps+1)
	for i, step := range linspace32(1, 0, p.Steps+1) {
		beta := math.Pow(math.Sin(float64(step)*math.Pi/2), 2)
		alpha := math.Sqrt(1 - beta*beta)
		l := level{t: math.Atan2(beta, alpha) / math.Pi * 2, shown: beta, alpha: alpha, sigma: beta}
		l.zero = theX.times(alpha).minus(theOut.times(beta))
		levels[i] = l
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n, l, next := i-p.Start, levels[i], levels[i+1]
		var ets []vec
		for k := range min(n+1, 4) {
			ets = append(ets, memory(n-k))
		}
		e := adamsBashforth(ets)
		r := run{level: l, remember: theX.times(l.sigma).plus(theOut.times(l.alpha)), move: e.times(next.sigma)}
		if l.alpha > 1e-8 {
			r.move = theX.minus(e.times(l.sigma)).times(next.alpha / l.alpha).plus(r.move)
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}

// newKIPNDM is ComfyUI's ipndm: the same coefficients of Adams and Bashforth on the ODE of euler.go, as if the noise
// levels were evenly spaced (Zhang and Chen 2022, "Fast sampling of diffusion models with exponential integrator",
// section 4).
//
// One evaluation a step, and steady where LMS's exact coefficients grow large.
func newKIPNDM(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n := i - p.Start
		var slopes []vec
		for k := range min(n+1, 4) {
			slopes = append(slopes, memory(n-k))
		}
		l, next := levels[i], levels[i+1]
		r := run{level: l, remember: l.slope(), move: theX.plus(adamsBashforth(slopes).times(next.sigma - l.sigma))}
		if next.sigma == 0 {
			r.move = theZero
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}
