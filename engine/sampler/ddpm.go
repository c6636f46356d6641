package sampler

import "math"

// newDDPM is the ancestral sampler of Ho et al. 2020, "Denoising diffusion probabilistic models", algorithm 2 with any
// subset of the training steps, and the variances of Nichol and Dhariwal 2021, "Improved denoising diffusion
// probabilistic models", eq. 15: diffusers' DDPMScheduler and DDPMParallelScheduler.
//
// What the models were trained for, and the most faithful to their distribution with hundreds of steps or all; with
// fewer than a hundred use another.
func newDDPM(s settings, p Plan) (Sampler, error) {
	t, levels, bar, err := s.discreteWalk(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		alphaBar, prev := bar[t[i]], 1.0
		if i+1 < p.Steps {
			prev = bar[t[i+1]]
		}
		alpha := alphaBar / prev
		beta := 1 - alpha
		r := run{level: levels[i], noisy: t[i] > 0}
		r.move = theZero.times(math.Sqrt(prev) * beta / (1 - alphaBar)).plus(theX.times(math.Sqrt(alpha) * (1 - prev) / (1 - alphaBar)))
		if r.noisy {
			if err := s.variance(&r, max((1-prev)/(1-alphaBar)*beta, 1e-20), beta); err != nil {
				return nil, err
			}
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}

// variance adds the noise of variance_type; small is the posterior's variance for data of none, beta for data of one.
func (s settings) variance(r *run, small, beta float64) error {
	kind := "fixed_small"
	if s.VarianceType != nil {
		kind = *s.VarianceType
	}
	switch kind {
	case "fixed_small", "fixed_small_log":
		r.move = r.move.plus(theNoise.times(math.Sqrt(small)))
	case "fixed_large":
		r.move = r.move.plus(theNoise.times(math.Sqrt(beta)))
	case "learned_range":
		r.logVar = &[2]float64{math.Log(small), math.Log(beta)}
	case "learned":
		r.logVar = &[2]float64{}
	default: // fixed_large_log is the root of a negative number in diffusers
		return bad("variance_type", kind)
	}
	if r.logVar != nil && !s.varies {
		return bad("variance_type of a network that gives no variance", kind)
	}
	return nil
}

// learned adds noise of the variance that the network gave: itself, or between two logarithms.
func learned(x, v, noise []float32, logs [2]float64) {
	for j := range x {
		deviation := math.Sqrt(float64(v[j]))
		if logs[0] != logs[1] {
			fraction := (float64(v[j]) + 1) / 2
			deviation = math.Exp(0.5 * (fraction*logs[1] + (1-fraction)*logs[0]))
		}
		x[j] += float32(deviation) * noise[j]
	}
}
