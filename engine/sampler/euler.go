package sampler

import "math"

// newEuler is Euler's method on the probability-flow ODE dx/dsigma = (x - x0)/sigma (Karras et al. 2022, algorithm 2
// with S_churn = 0): diffusers' EulerDiscreteScheduler, EDMEulerScheduler and FlowMatchEulerDiscreteScheduler.
//
// The plainest sampler, with one evaluation a step and nothing remembered: good for flow models, for distilled models
// of a few steps, and as a measure for the others, which need fewer steps elsewhere.
func newEuler(s settings, p Plan) (Sampler, error) {
	inverted := s.InvertSigmas && s.family == flowFamily
	s.InvertSigmas = s.InvertSigmas && !inverted
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	if inverted {
		s.invert(levels)
	}
	hats, noise, init, err := s.churn(p, levels, init)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, next := hats[i], levels[i+1]
		r := run{level: l, move: eulerStep(l, next.sigma)}
		if s.StochasticSampling && !s.named { // of FlowMatchEulerDiscreteScheduler: all noise is fresh
			r.move, r.noisy = theZero.times(next.alpha).plus(theNoise.times(next.sigma)), true
		}
		churning(&r, noise[i+1])
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// invert is invert_sigmas: the levels of a model that counts them from noise, at 0, to the picture, at 1, and predicts the
// picture without the noise, not the noise without the picture.
func (s settings) invert(levels []level) {
	for i, l := range levels {
		levels[i].shown = float64(float32(1 - l.sigma))
		levels[i].t = levels[i].shown * float64(s.NumTrainTimesteps)
		levels[i].zero = theX.plus(theOut.times(l.sigma))
	}
}

// eulerStep goes from l to the noise level sigma.
func eulerStep(l level, sigma float64) vec {
	return theX.plus(l.slope().times(sigma - l.sigma))
}

// slope is dx/dsigma.
func (l level) slope() vec { return theX.minus(theZero).times(1 / l.sigma) }

// newEulerAncestral is an Euler step to below the next noise level, then fresh noise up to it (k-diffusion's
// sample_euler_ancestral; the levels are eq. 7 of Song et al. 2020, "Score-based generative modeling"): diffusers'
// EulerAncestralDiscreteScheduler, and for flow models ComfyUI's form for rectified flow. eta is the share of the
// noise that is made anew.
//
// The fresh noise undoes errors of earlier steps, so 20 to 40 steps look better than Euler's; another number of steps
// makes another picture.
func newEulerAncestral(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	eta, scale := p.eta(1), 1.0
	if s.SNoise > 0 || s.Eta > 0 { // of LTXEulerAncestralRFScheduler
		eta, scale = p.eta(s.Eta), s.SNoise
	}
	if !(eta >= 0 && eta <= 1) {
		return nil, bad("eta", eta)
	}
	if !(scale >= 0 && scale < 1e6) {
		return nil, bad("s_noise", scale)
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, next := levels[i], levels[i+1]
		r := run{level: l, noisy: true} // even at the last step, where it counts for nothing, as diffusers draws it there too
		if s.family == flowFamily {
			r.move = ancestralFlowStep(l, next, eta, scale)
			r.noisy = eta > 0 && scale > 0 && next.sigma > 0
		} else {
			down, up := ancestral(l.sigma, next.sigma, eta)
			r.move = eulerStep(l, down).plus(theNoise.times(up))
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// ancestral splits the way from sigma to next into a way down and fresh noise up.
func ancestral(sigma, next, eta float64) (down, up float64) {
	up = min(next, eta*math.Sqrt(max(next*next*(sigma*sigma-next*next)/(sigma*sigma), 0)))
	return math.Sqrt(next*next - up*up), up
}

func ancestralFlowStep(l, next level, eta, noise float64) vec {
	if next.sigma == 0 {
		return theZero
	}
	down := next.sigma * (1 + (next.sigma/l.sigma-1)*eta)
	scale := next.alpha / (1 - down)
	up := math.Sqrt(max(next.sigma*next.sigma-down*down*scale*scale, 0))
	move := towards(theX, down/l.sigma)
	if eta == 0 || noise == 0 {
		return move
	}
	return move.times(scale).plus(theNoise.times(up * noise))
}
