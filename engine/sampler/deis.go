package sampler

import "math"

// newDEIS is diffusers' DEISMultistepScheduler: the exponential integrator of Zhang and Chen 2022, "Fast sampling of
// diffusion models with exponential integrator", with the polynomial through the last predictions of the noise in log
// rho, rho = sigma/alpha (its tAB-DEIS).
//
// Good at ten steps and few; close to DPM-Solver of the same order, without its form for strong guidance.
func newDEIS(s settings, p Plan) (Sampler, error) {
	if err := s.solver("logrho", "", "midpoint", "heun", "bh1", "bh2"); err != nil {
		return nil, err
	}
	if s.AlgorithmType == "dpmsolver" || s.AlgorithmType == "dpmsolver++" {
		s.AlgorithmType = "deis" // another class's, which diffusers takes so
	}
	switch {
	case s.AlgorithmType != "deis":
		return nil, bad("algorithm_type", s.AlgorithmType)
	case s.SolverOrder < 1 || s.SolverOrder > 3:
		return nil, bad("solver_order", s.SolverOrder)
	case s.UseDynamicShifting && s.TimeShiftType != "exponential":
		return nil, bad("time_shift_type", s.TimeShiftType)
	}
	levels, init, err := s.solverLevels(p.Steps, stepQuirks{round: true, ends: true, repeats: true})
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		order, left := min(s.SolverOrder, i-p.Start+1), p.Steps-i
		if s.LowerOrderFinal && p.Steps < 15 {
			order = min(order, left)
		}
		l, to := levels[i], levels[i+1]
		var logs []float64 // of rho
		for k := range order {
			logs = append(logs, -levels[i-k].lambda())
		}
		move := theX.times(1 / l.alpha)
		for k := range logs {
			move = move.plus(memory(i - p.Start - k).times(deisIntegral(logs, k, -to.lambda())))
		}
		runs = append(runs, run{level: l, remember: l.noise(), move: move.times(to.alpha)})
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// deisIntegral is the integral over rho, from the first place to end, of the polynomial in log rho that is 1 at place k
// and 0 at the others; places and end are logarithms.
func deisIntegral(logs []float64, k int, end float64) float64 {
	at := func(t float64) float64 { // of the antiderivative
		rho := math.Exp(t)
		switch len(logs) {
		case 1:
			return rho
		case 2:
			b, c := logs[k], logs[1-k]
			return rho * (t - 1 - c) / (b - c)
		}
		b, c, d := logs[k], logs[(k+1)%3], logs[(k+2)%3]
		return rho * (c*(d-t+1) - d*t + d + t*t - 2*t + 2) / ((b - c) * (b - d))
	}
	return at(end) - at(logs[0])
}
