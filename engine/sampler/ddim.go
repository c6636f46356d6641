package sampler

import "math"

// newDDIM is eq. 12 and 16 of Song et al. 2020, "Denoising diffusion implicit models": diffusers' DDIMScheduler and
// DDIMParallelScheduler. eta is the share of DDPM's noise that is added, 0 for none.
//
// Deterministic, with one evaluation a step; 50 steps are usual. It is Euler's method in other coordinates, and can be
// run backwards, which is what inversion needs.
func newDDIM(s settings, p Plan) (Sampler, error) { return s.ddim(p, false) }

func (s settings) ddim(p Plan, free bool) (Sampler, error) {
	t, levels, bar, err := s.discreteWalk(p.Steps)
	if err != nil {
		return nil, err
	}
	eta := p.eta(0)
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		prev := s.barAt(bar, s.after(t, i))
		alpha := bar[t[i]]
		sigma := eta * math.Sqrt((1-prev)/(1-alpha)*(1-alpha/prev))
		noise := levels[i].outNoise(s.PredictionType)
		if free {
			noise = noise.at(xOut, theFree)
		}
		runs = append(runs, run{level: levels[i], move: jump(varianceOne(prev), noise, sigma), noisy: eta > 0})
	}
	if free {
		return s.split(runs, levels[p.Steps], 1), nil
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}

// after is the training step that DDIM goes to from step i of t.
func (s settings) after(t []int, i int) int {
	switch {
	case s.schedule != listed:
		return t[i] - s.NumTrainTimesteps/len(t)
	case i+1 < len(t):
		return t[i+1]
	}
	return -1
}

// barAt is the signal variance at a training step, or what set_alpha_to_one says of the picture itself.
func (s settings) barAt(bar []float64, step int) float64 {
	switch {
	case step >= 0:
		return bar[step]
	case s.SetAlphaToOne:
		return 1
	}
	return bar[0]
}
