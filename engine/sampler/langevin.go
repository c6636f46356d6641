package sampler

import (
	"fmt"
	"math"
)

// newLangevin is annealed Langevin dynamics (Song and Ermon 2019, "Generative modeling by estimating gradients of the
// data distribution", algorithm 1): at each noise level some steps along the score with fresh noise, correct_steps of
// them, as long as the level's variance allows, then the next level; the last step denoises (Song and Ermon 2020,
// "Improved techniques for training score-based generative models", algorithm 1). Of the step's length, of which both
// papers have one for each data set, the second's technique 4 decides: the noise that is left is the next level's.
//
// For noise-conditional score networks, with a hundred levels and more; others need fewer evaluations.
func newLangevin(s settings, p Plan) (Sampler, error) {
	levels, err := s.geometric(p.Steps)
	if err != nil {
		return nil, err
	}
	each := max(s.CorrectSteps, 1)
	if p.Steps*each > 10*MaxSteps {
		return nil, fmt.Errorf("sampler: %d steps with correct_steps %d, this sampler takes %d in all: %w", p.Steps, each, 10*MaxSteps, ErrRequest)
	}
	share := langevinShare(levels[0].sigma/levels[1].sigma, each)
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l := levels[i]
		size := share * l.sigma * l.sigma
		for range each {
			runs = append(runs, run{level: l, move: theX.plus(theOut.times(size)).plus(theNoise.times(math.Sqrt(2 * size))), noisy: true})
		}
	}
	return newSolver(s, append(runs, run{level: levels[p.Steps-1], move: theZero}), level{alpha: 1}, levels[0].sigma), nil
}

// langevinShare is the length of a step as a share of the level's variance with which, after so many steps, data that
// is one point has the noise of this level, when it came with that of the one before, gamma times as much; or the one
// with which it comes nearest.
func langevinShare(gamma float64, steps int) float64 {
	excess := func(share float64) float64 { // falls from gamma^2 - 1, then grows to 1
		kept := (1 - share) * (1 - share)
		stays := 2 * share / (1 - kept)
		return math.Pow(kept, float64(steps))*(gamma*gamma-stays) + stays - 1
	}
	lo, hi := 1e-9, 1.0
	for range 200 {
		a, b := lo+(hi-lo)/3, hi-(hi-lo)/3
		if excess(a) < excess(b) {
			hi = b
		} else {
			lo = a
		}
	}
	if lo, hi = 1e-9, (lo+hi)/2; excess(hi) > 0 {
		return hi
	}
	for range 100 {
		if middle := (lo + hi) / 2; excess(middle) > 0 {
			lo = middle
		} else {
			hi = middle
		}
	}
	return hi
}

// newConsistentAnnealed is consistent annealed sampling (Jolicoeur-Martineau et al. 2020, "Adversarial score matching
// and improved sampling for image generation", algorithm 2): one step a level, with the noise that brings x to the next
// exactly, and a last that denoises. eta says how much of it is fresh: with 0 none, with 1 as much as in ancestral
// sampling.
//
// For the same networks, in ten times fewer evaluations.
func newConsistentAnnealed(s settings, p Plan) (Sampler, error) {
	levels, err := s.geometric(p.Steps)
	if err != nil {
		return nil, err
	}
	eta := p.eta(1)
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l := levels[i]
		r := run{level: l, move: theZero}
		if i+1 < p.Steps {
			next := levels[i+1].sigma
			down := next * math.Pow(next/l.sigma, eta)
			r.move, r.noisy = towards(theX, down/l.sigma).plus(theNoise.times(math.Sqrt(next*next-down*down))), eta > 0
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, level{alpha: 1}, levels[0].sigma), nil
}

// geometric are noise levels whose ratios are equal, and 0.
func (s settings) geometric(steps int) ([]level, error) {
	if err := s.checkScoreVE(); err != nil {
		return nil, err
	}
	if steps < 2 {
		return nil, fmt.Errorf("sampler: %d steps, this sampler takes 2 and more: %w", steps, ErrRequest)
	}
	var levels []level
	for i := range steps {
		levels = append(levels, scoreVELevel(math.Exp(lerp(math.Log(*s.SigmaMax), math.Log(*s.SigmaMin), i, steps))))
	}
	return append(levels, level{alpha: 1}), nil
}
