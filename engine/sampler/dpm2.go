package sampler

import "math"

// newDPM2 is DPM-Solver-2 in k-diffusion's form (sample_dpm_2; Karras et al. 2022's notation for algorithm 1 of Lu et
// al. 2022, "DPM-Solver"): a trial step to the geometric mean of two noise levels, then the whole step along the slope
// there. diffusers' KDPM2DiscreteScheduler.
//
// Two evaluations a step, like Heun, and a little more exact than it at the same number.
func newDPM2(s settings, p Plan) (Sampler, error) { return dpm2(s, p, 0) }

// newDPM2Ancestral is the same with fresh noise after each step (sample_dpm_2_ancestral): diffusers'
// KDPM2AncestralDiscreteScheduler. It takes 20 steps and more.
func newDPM2Ancestral(s settings, p Plan) (Sampler, error) { return dpm2(s, p, p.eta(1)) }

func dpm2(s settings, p Plan, eta float64) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	logs, err := s.trainLogs()
	if err != nil {
		return nil, err
	}
	hats, noise := levels, make([]float64, len(levels))
	if eta == 0 {
		if hats, noise, init, err = s.churn(p, levels, init); err != nil {
			return nil, err
		}
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, next := hats[i], levels[i+1]
		if s.family == vpFamily && s.UseKarrasSigmas {
			l.t = math.RoundToEven(l.t)
		}
		down, up := ancestral(l.sigma, next.sigma, eta)
		if down == 0 {
			runs = append(runs, run{level: l, move: theZero})
			continue
		}
		middle := s.between(l, float64(float32(math.Exp((math.Log(l.sigma)+math.Log(down))/2))), logs)
		runs = append(runs, run{level: l, keep: true, move: eulerStep(l, middle.sigma)},
			run{level: middle, move: theKept.plus(middle.slope().times(down - l.sigma)).plus(theNoise.times(up)), noisy: eta > 0})
		churning(&runs[len(runs)-1], noise[i+1])
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// trainLogs are the logarithms of the training's noise levels, where the family has them.
func (s settings) trainLogs() ([]float32, error) {
	if s.family != vpFamily {
		return nil, nil
	}
	bar, err := alphasCumprod(s)
	if err != nil {
		return nil, err
	}
	if s.RescaleBetasZeroSNR {
		bar[len(bar)-1] = 0x1p-24 // as in kSigmas
	}
	return logarithms(trainSigmas(bar)), nil
}

// between is the level with noise sigma, which lies between those of the schedule that l is of.
func (s settings) between(l level, sigma float64, logs []float32) level {
	switch s.family {
	case flowFamily:
		m := s.flowLevel(sigma)
		m.t = sigma * float64(s.NumTrainTimesteps)
		return m
	case edmFamily:
		return s.edmLevel(sigma)
	}
	m := kLevel(s.PredictionType, sigma)
	m.t = timestepOf(float32(math.Log(max(sigma, 1e-10))), logs)
	return m
}
