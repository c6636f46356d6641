package sampler

import "math"

// newDPMpp is diffusers' DPMSolverMultistepScheduler with algorithm dpmsolver++ of order 1 or 2 (Lu et al. 2022,
// "DPM-Solver++", algorithm 2), or with its stochastic form sde-dpmsolver++.
func newDPMpp(s settings, steps int) (Sampler, error) {
	if s.SolverOrder != 1 && s.SolverOrder != 2 {
		return nil, bad("solver_order", s.SolverOrder)
	}
	if err := s.solver("midpoint", "heun", "logrho", "bh1", "bh2"); err != nil {
		return nil, err
	}
	if s.AlgorithmType != "dpmsolver++" && s.AlgorithmType != "sde-dpmsolver++" {
		return nil, bad("algorithm_type", s.AlgorithmType)
	}
	w, levels, err := solverWalk(s, steps, false)
	if err != nil {
		return nil, err
	}
	m := &multistep{walk: w, noisy: s.AlgorithmType == "sde-dpmsolver++"}
	for i := range steps {
		m.denoised = append(m.denoised, solverDenoised(s, levels[i]))
		if final := i == steps-1 && (s.EulerAtFinal || s.LowerOrderFinal && steps < 15 || s.FinalSigmasType == "zero"); i == 0 ||
			final || s.SolverOrder == 1 {
			m.predict = append(m.predict, dpmStep(s, nil, levels[i], levels[i+1]))
		} else {
			m.predict = append(m.predict, dpmStep(s, &levels[i-1], levels[i], levels[i+1]))
		}
	}
	return m, nil
}

// dpmStep goes from level l to next; before is the level of the prediction ahead of l's, nil for a first-order step.
func dpmStep(s settings, before *level, l, next level) combo {
	h := next.lambda - l.lambda
	if h == 0 {
		return combo{x: 1}
	}
	decay := math.Exp(-h) // 0 where next is the picture itself
	c := combo{x: float32(next.sigma / l.sigma)}
	d0, d1 := next.alpha*(1-decay), next.alpha*(1-decay)/2
	if s.SolverType == "heun" {
		d1 = next.alpha * ((decay-1)/h + 1)
	}
	if s.AlgorithmType == "sde-dpmsolver++" {
		decay *= decay
		c.x = float32(next.sigma / l.sigma * math.Exp(-h))
		c.noise = float32(next.sigma * math.Sqrt(1-decay))
		d0, d1 = next.alpha*(1-decay), next.alpha*(1-decay)/2
		if s.SolverType == "heun" {
			d1 = next.alpha * ((1-decay)/(-2*h) + 1)
		}
	}
	if before != nil { // the slope (m0 - m1)/r takes part with weight d1
		d1 *= h / (l.lambda - before.lambda)
		c.m[1] = float32(-d1)
		d0 += d1
	}
	c.m[0] = float32(d0)
	return c
}
