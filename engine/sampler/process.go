package sampler

import "math"

// process is the walk from noise to picture over a time of its own, for solvers that choose their steps: an ordinary
// differential equation dx/dt, and the stochastic one of the same marginals with noise of g² dt.
type process struct {
	from, to float64 // times, from > to
	init     float64 // what multiplies the first noise
	at       func(t float64) level
	slope    func(l level, t, share float64) vec // dx/dt: of the equation without noise for a share of 1/2, else with noise for 1
	g        func(t float64) float64
	logs     []float32
}

// process is that of the family. For models of noise schedules and Karras et al.'s the time is log sigma, for flow models
// sigma, for Score-SDE's their own (Song et al. 2020, "Score-based generative modeling", eq. 6 and 13).
func (s settings) process(p Plan) (process, error) {
	switch s.family {
	case scoreVPFamily:
		return s.processVP(p)
	case scoreVEFamily:
		return s.processVE(p)
	}
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return process{}, err
	}
	logs, err := s.trainLogs()
	if err != nil {
		return process{}, err
	}
	from, to := levels[p.Start].sigma, levels[p.Steps-1].sigma
	if s.family == flowFamily {
		return process{from: from, to: 1e-3, init: init, at: func(t float64) level { return s.between(levels[0], t, nil) },
			slope: func(l level, _, _ float64) vec { return l.slope() }}, nil
	}
	switch { // whatever the schedule's first and last steps are
	case logs != nil:
		if p.Start == 0 && s.SigmaMax == nil {
			from = max(from, math.Exp(float64(logs[len(logs)-1])))
			init = max(init, from)
		}
		to = min(to, math.Exp(float64(logs[0])))
	case s.SigmaMin != nil:
		to = min(to, *s.SigmaMin)
	}
	return process{from: math.Log(from), to: math.Log(to), init: init, logs: logs,
		at:    func(t float64) level { return s.between(levels[0], math.Exp(t), logs) },
		slope: func(l level, _, share float64) vec { return theX.minus(theZero).times(2 * share) },
		g:     func(t float64) float64 { return math.Sqrt2 * math.Exp(t) }}, nil
}

func (s settings) processVP(p Plan) (process, error) {
	if err := s.checkScoreVP(); err != nil {
		return process{}, err
	}
	return process{from: float64(linspace32(1, s.SamplingEps, p.Steps)[p.Start]), to: s.SamplingEps, init: 1, at: s.scoreVPLevel,
		slope: func(l level, t, share float64) vec {
			beta := s.scoreVPBeta(t)
			return l.noise().times(share * beta / l.sigma).minus(theX.times(beta / 2))
		},
		g: func(t float64) float64 { return math.Sqrt(s.scoreVPBeta(t)) }}, nil
}

func (s settings) processVE(p Plan) (process, error) {
	if err := s.checkScoreVE(); err != nil {
		return process{}, err
	}
	lo, ratio := *s.SigmaMin, math.Log(*s.SigmaMax / *s.SigmaMin)
	sigma := func(t float64) float64 { return lo * math.Exp(t*ratio) }
	return process{from: float64(linspace32(1, s.SamplingEps, p.Steps)[p.Start]), to: s.SamplingEps, init: *s.SigmaMax,
		at:    func(t float64) level { return scoreVELevel(sigma(t)) },
		slope: func(_ level, _, share float64) vec { return theX.minus(theZero).times(2 * share * ratio) },
		g:     func(t float64) float64 { return sigma(t) * math.Sqrt(2*ratio) }}, nil
}
