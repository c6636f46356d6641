package sampler

import "math"

// newDPMAdaptive is k-diffusion's sample_dpm_adaptive: DPM-Solver-23 (Lu et al. 2022, "DPM-Solver", appendix C), whose
// steps of third order are as long as the difference from those of second allows. It ends at the least level of training.
//
// For one picture of a model that is new, without having to choose a number of steps: it takes 30 to 100 evaluations.
func newDPMAdaptive(s settings, p Plan) (Sampler, error) {
	w, err := s.process(p)
	if err != nil {
		return nil, err
	}
	return newAdaptive(s, method{
		from: w.from, to: w.to, h: -0.05, overshoots: true, at: w.at, tolerance: relative(0.05),
		judge: func(err float64, _ bool) (bool, float64) {
			by := 1 + math.Atan(math.Pow(1/(err+1e-8), 1./3)-1)
			return by >= 0.81, by
		},
		trial: func(t, to float64, n int) []run {
			from, next := w.at(t), w.at(to)
			runs := s.dpmSolverStep(from, next, 3, n, w.logs)
			eps, e := memory(n), math.Expm1(t-to)
			low := theKept.minus(eps.times(next.sigma * e)).minus(memory(n + 1).minus(eps).times(1.5 * next.sigma * e))
			last := &runs[2]
			last.move = last.move.at(slots+(n+2)&3, last.remember)
			last.remember, last.into = low, lowOrder
			return runs
		},
	}, nil, w.init), nil
}
