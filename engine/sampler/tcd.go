package sampler

import "math"

// newTCD is diffusers' TCDScheduler: trajectory consistency distillation (Zheng et al. 2024, algorithm 4). The network
// jumps to a time s before the next one, and noise takes it back up; eta, the paper's gamma, is the share of the way
// that is noise, 0.3 in the paper and here.
//
// For models distilled so, and for Hyper-SD, in one to eight steps; more steps and less noise give more detail.
func newTCD(s settings, p Plan) (Sampler, error) {
	t, err := distilled(s, p.Steps)
	if err != nil {
		return nil, err
	}
	s.ClipSample = false // not read by this class
	s.Thresholding = false
	levels, bar, err := s.discreteLevels(t)
	if err != nil {
		return nil, err
	}
	eta := float32(p.eta(0.3))
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		prev := 0
		if i+1 < p.Steps {
			prev = t[i+1]
		}
		at := varianceOne(bar[int((1-eta)*float32(prev))])
		jump := theZero.times(at.alpha).plus(levels[i].outNoise(s.PredictionType).times(at.sigma))
		r := run{level: levels[i], move: jump}
		if eta > 0 && i+1 < p.Steps {
			r.noisy = true
			r.move = jump.times(math.Sqrt(bar[prev]) / at.alpha).plus(theNoise.times(math.Sqrt(1 - bar[prev]/(at.alpha*at.alpha))))
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}
