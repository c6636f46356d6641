package sampler

import "math"

// newERSDE is ComfyUI's er_sde: VP-ER-SDE-Solver-3 of Cui et al. 2023, "Elucidating the solution space of extended
// reverse-time SDE for diffusion models", algorithm 3, in lambda = sigma/alpha. The noise scale phi(lambda) =
// lambda (exp(lambda^0.3) + 10) is the paper's fifth, which adds noise early and little of it late.
//
// Twenty steps and more, one evaluation each: the detail of an SDE at nearly the speed of an ODE's solver.
func newERSDE(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.snrLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	phi := func(lambda float64) float64 { return lambda * (math.Exp(math.Pow(lambda, 0.3)) + 10) }
	at := func(i int) float64 { return levels[i].sigma / levels[i].alpha }
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n, l, to := i-p.Start, levels[i], levels[i+1]
		r := run{level: l, remember: theZero}
		if to.sigma == 0 {
			r.move = theZero
			runs = append(runs, r)
			continue
		}
		from, next := at(i), at(i+1)
		ratio := phi(next) / phi(from)
		r.move = theX.times(to.alpha / l.alpha * ratio).plus(theZero.times(to.alpha * (1 - ratio)))
		dt := next - from
		const parts = 200 // of the integrals, as in ComfyUI
		sum1, sum2 := 0.0, 0.0
		for k := range parts {
			v := next - dt*float64(k)/parts
			sum1, sum2 = sum1-dt/parts/phi(v), sum2-dt/parts*(v-from)/phi(v)
		}
		slope := func(k int) vec { // between the predictions k and k-1
			return memory(k).minus(memory(k - 1)).times(1 / (at(p.Start+k) - at(p.Start+k-1)))
		}
		if n > 0 {
			r.move = r.move.plus(slope(n).times(to.alpha * (dt + sum1*phi(next))))
		}
		if n > 1 {
			bend := slope(n).minus(slope(n - 1)).times(2 / (from - at(i-2)))
			r.move = r.move.plus(bend.times(to.alpha * (dt*dt/2 + sum2*phi(next))))
		}
		r.noisy = true
		r.move = r.move.plus(theNoise.times(to.alpha * math.Sqrt(max(next*next-from*from*ratio*ratio, 0))))
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// snrLevels are kLevels for solvers that divide by alpha: a flow model's first level is just below 1, where ComfyUI puts
// it.
func (s settings) snrLevels(steps int) ([]level, float64, error) {
	levels, init, err := s.kLevels(steps)
	if err == nil && s.family == flowFamily && levels[0].alpha <= 0 {
		first := s.flowLevel(s.shift(1 - 1e-4))
		first.t = first.sigma * float64(s.NumTrainTimesteps)
		levels[0] = first
	}
	return levels, init, err
}
