package sampler

import "math"

// unguided is the prediction of the picture by the negative prompt alone.
func (l level) unguided() vec { return l.zero.at(xOut, theFree) }

// newEulerUnguided is Euler's method with CFG++ (Chung et al. 2024, "CFG++: manifold-constrained classifier free
// guidance for diffusion models", algorithm 2): the guided prediction is the picture, but the noise that the step puts
// back is what the negative prompt's prediction says it is. ComfyUI's euler_cfg_pp.
//
// For guidance of 0.5 to 2, which does what 5 to 12 does elsewhere, without burnt colours.
func newEulerUnguided(s settings, p Plan) (Sampler, error) { return s.eulerUnguided(p, 0) }

// newEulerAncestralUnguided is ComfyUI's euler_ancestral_cfg_pp.
func newEulerAncestralUnguided(s settings, p Plan) (Sampler, error) {
	return s.eulerUnguided(p, p.eta(1))
}

func (s settings) eulerUnguided(p Plan, eta float64) (Sampler, error) {
	levels, init, err := s.snrLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, to := levels[i], levels[i+1]
		down, up := ancestral(l.sigma/l.alpha, to.sigma/to.alpha, eta)
		noise := theX.minus(l.unguided().times(l.alpha)).times(1 / l.sigma)
		move := theZero.times(to.alpha).plus(noise.times(to.alpha * down)).plus(theNoise.times(to.alpha * up))
		if to.sigma == 0 {
			move = theZero
		}
		runs = append(runs, run{level: l, move: move, noisy: eta > 0 && to.sigma > 0})
	}
	return s.split(runs, levels[p.Steps], init), nil
}

// split is a sampler that wants the negative prompt's prediction even where no step counts it.
func (s settings) split(runs []run, last level, init float64) *solver {
	p := newSolver(s, runs, last, init)
	p.splits = true
	return p
}

// newDPMpp2MUnguided is ComfyUI's dpmpp_2m_cfg_pp: DPM++ 2M with CFG++.
func newDPMpp2MUnguided(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n, l, next := i-p.Start, levels[i], levels[i+1]
		free := l.unguided()
		r := run{level: l, remember: free, move: theZero}
		if next.sigma > 0 {
			h := math.Log(l.sigma / next.sigma)
			r.move = theZero.plus(theX.minus(free).times(next.sigma / l.sigma))
			if n > 0 {
				c := math.Log(levels[i-1].sigma/l.sigma) / h
				r.move = r.move.minus(theZero.minus(memory(n - 1)).times(math.Expm1(-h) / (2 * c)))
			}
		}
		runs = append(runs, r)
	}
	return s.split(runs, levels[p.Steps], init), nil
}

// newDPMpp2SAncestralUnguided is ComfyUI's dpmpp_2s_ancestral_cfg_pp: DPM++ 2S a with CFG++.
func newDPMpp2SAncestralUnguided(s settings, p Plan) (Sampler, error) {
	sampler, err := s.dpmppStochastic(p, func(l, next level, eta float64, between func(float64) level) []run {
		down, up := ancestral(l.sigma, next.sigma, eta)
		middle := between(math.Sqrt(l.sigma * down))
		half, whole := middle.sigma/l.sigma, down/l.sigma
		moved := theX.plus(theZero).minus(l.unguided())
		return []run{
			{level: l, keep: true, move: moved.times(half).plus(theZero.times(1 - half))},
			{level: middle, move: theKept.plus(theZero).minus(middle.unguided()).times(whole).plus(theZero.times(1 - whole)).plus(theNoise.times(up)), noisy: up > 0},
		}
	})
	if m, ok := sampler.(*solver); ok {
		m.splits = true
	}
	return sampler, err
}

// newGradientUnguided is ComfyUI's gradient_estimation_cfg_pp.
func newGradientUnguided(s settings, p Plan) (Sampler, error) { return s.gradient(p, true) }

// newDDIMUnguided is AUTOMATIC1111's DDIM CFG++: eq. 12 of DDIM (ddim.go) with the noise of the negative prompt.
func newDDIMUnguided(s settings, p Plan) (Sampler, error) { return s.ddim(p, true) }
