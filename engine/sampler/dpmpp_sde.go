package sampler

import "math"

// newDPMpp2SAncestral is k-diffusion's sample_dpmpp_2s_ancestral: DPM-Solver++(2S) (Lu et al. 2022, "DPM-Solver++",
// algorithm 1) to below the next level, then fresh noise up to it.
//
// Two evaluations a step; 10 to 20 steps for the detail that Euler a makes of 40.
func newDPMpp2SAncestral(s settings, p Plan) (Sampler, error) {
	return s.dpmppStochastic(p, func(l, next level, eta float64, between func(float64) level) []run {
		down, up := ancestral(l.sigma, next.sigma, eta)
		middle := between(math.Sqrt(l.sigma * down))
		return []run{
			{level: l, keep: true, move: towards(theX, middle.sigma/l.sigma)},
			{level: middle, move: towards(theKept, down/l.sigma).plus(theNoise.times(up)), noisy: up > 0},
		}
	})
}

// newDPMppSDE is k-diffusion's sample_dpmpp_sde and diffusers' DPMSolverSDEScheduler: the same two evaluations, with
// fresh noise after each, which is an increment of one Brownian path whatever the number of steps.
//
// Two evaluations a step; 8 to 15 steps for much detail.
func newDPMppSDE(s settings, p Plan) (Sampler, error) {
	return s.dpmppStochastic(p, func(l, next level, eta float64, between func(float64) level) []run {
		middle := between(math.Sqrt(l.sigma * next.sigma))
		down1, up1 := ancestral(l.sigma, middle.sigma, eta)
		down2, up2 := ancestral(l.sigma, next.sigma, eta)
		return []run{
			{level: l, keep: true, move: towards(theX, down1/l.sigma).plus(theNoise.times(up1)), noisy: up1 > 0, span: &[2]float64{l.sigma, middle.sigma}},
			{level: middle, move: towards(theKept, down2/l.sigma).plus(theNoise.times(up2)), noisy: up2 > 0, span: &[2]float64{l.sigma, next.sigma}},
		}
	})
}

// towards is the exponential step that keeps a share r of x: exact where the prediction of the picture stays.
func towards(x vec, r float64) vec { return x.times(r).plus(theZero.times(1 - r)) }

// dpmppStochastic walks by steps of two runs; the last goes to the picture in one.
func (s settings) dpmppStochastic(p Plan, step func(l, next level, eta float64, between func(float64) level) []run) (Sampler, error) {
	if s.NoiseSamplerSeed != nil {
		return nil, bad("noise_sampler_seed", *s.NoiseSamplerSeed)
	}
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	logs, err := s.trainLogs()
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, next := levels[i], levels[i+1]
		if next.sigma == 0 {
			runs = append(runs, run{level: l, move: theZero})
			continue
		}
		between := func(sigma float64) level { return s.between(l, float64(float32(sigma)), logs) }
		runs = append(runs, step(l, next, p.eta(1), between)...)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// newDPMpp2MSDE is k-diffusion's sample_dpmpp_2m_sde with a Brownian path: the multistep form of DPM-Solver++ as an SDE,
// one evaluation a step. dpm.go has diffusers', whose noise is drawn anew at each step.
func newDPMpp2MSDE(s settings, p Plan) (Sampler, error) { return s.dpmppMultistep(p, 2, true) }

// newDPMpp2MSDEHeun is the same with solver_type heun, the exact integral of its slope.
func newDPMpp2MSDEHeun(s settings, p Plan) (Sampler, error) { return s.dpmppMultistep(p, 2, false) }

// newDPMpp3MSDE is k-diffusion's sample_dpmpp_3m_sde: the same of third order, for 25 steps and more.
func newDPMpp3MSDE(s settings, p Plan) (Sampler, error) { return s.dpmppMultistep(p, 3, false) }

func (s settings) dpmppMultistep(p Plan, order int, midpoint bool) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	eta := p.eta(1)
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n, l, next := i-p.Start, levels[i], levels[i+1]
		if next.sigma == 0 {
			runs = append(runs, run{level: l, move: theZero})
			continue
		}
		h := math.Log(l.sigma / next.sigma)
		hEta := h * (1 + eta)
		r := run{level: l, remember: theZero, noisy: eta > 0, span: &[2]float64{l.sigma, next.sigma}}
		r.move = theX.times(next.sigma / l.sigma * math.Exp(-eta*h)).plus(memory(n).times(-math.Expm1(-hEta)))
		phi2 := math.Expm1(-hEta)/hEta + 1
		if n > 0 {
			r0 := math.Log(levels[i-1].sigma/l.sigma) / h
			slope := memory(n).minus(memory(n - 1)).times(1 / r0)
			switch {
			case midpoint:
				r.move = r.move.plus(slope.times(-0.5 * math.Expm1(-hEta)))
			case order == 2 || n == 1:
				r.move = r.move.plus(slope.times(phi2))
			default:
				r1 := math.Log(levels[i-2].sigma/levels[i-1].sigma) / h
				bend := slope.minus(memory(n - 1).minus(memory(n - 2)).times(1 / r1))
				d1, d2 := slope.plus(bend.times(r0/(r0+r1))), bend.times(1/(r0+r1))
				r.move = r.move.plus(d1.times(phi2)).minus(d2.times(phi2/hEta - 0.5))
			}
		}
		r.move = r.move.plus(theNoise.times(next.sigma * math.Sqrt(-math.Expm1(-2*h*eta))))
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}
