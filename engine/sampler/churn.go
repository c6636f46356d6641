package sampler

import (
	"fmt"
	"math"
)

// Churn is the stochasticity of Karras et al. 2022, "Elucidating the design space of diffusion-based generative models",
// algorithm 2, under the paper's names: before each step whose noise level lies between Min and Max, noise is added as
// if the walk went back by a share of S over the steps, at most to sqrt(2) of the level. Noise is S_noise.
//
// It corrects errors of earlier steps; the paper takes S of 10 to 80 with 18 steps and more of Heun.
type Churn struct{ S, Min, Max, Noise float64 }

func (c Churn) check() error {
	switch {
	case !(c.S >= 0 && c.S <= 1e4):
		return fmt.Errorf("sampler: churn is %v, need 0 to 10000: %w", c.S, ErrRequest)
	case !(c.Min >= 0 && c.Min <= c.Max):
		return fmt.Errorf("sampler: churn from a noise level of %v to %v: %w", c.Min, c.Max, ErrRequest)
	case !(c.Noise >= 0 && c.Noise <= 10):
		return fmt.Errorf("sampler: churn with noise of %v, need 0 to 10: %w", c.Noise, ErrRequest)
	}
	return nil
}

// churn gives the levels that the steps of a walk begin at and, for each, the deviation of the noise that takes x there
// from the end of the step before. What the first step's would be is in init already: x begins with noise.
func (s settings) churn(p Plan, levels []level, init float64) (hats []level, noise []float64, _ float64, err error) {
	hats, noise = append(hats, levels...), make([]float64, len(levels))
	if s.family == flowFamily {
		return hats, noise, init, nil
	}
	c := p.churn()
	if c == nil {
		return hats, noise, init, nil
	}
	logs, err := s.trainLogs()
	if err != nil {
		return nil, nil, 0, err
	}
	gamma := min(c.S/float64(p.Steps-p.Start), math.Sqrt2-1)
	for i := p.Start; i < p.Steps; i++ {
		l := levels[i]
		if gamma == 0 || l.sigma < c.Min || l.sigma > c.Max {
			continue
		}
		hats[i] = s.between(l, l.sigma*(1+gamma), logs)
		noise[i] = c.Noise * math.Sqrt(hats[i].sigma*hats[i].sigma-l.sigma*l.sigma)
		if i == p.Start {
			init *= 1 + gamma
		}
	}
	return hats, noise, init, nil
}

// churning adds, to the last run of each step, the noise that the next one begins with.
func churning(r *run, noise float64) {
	if noise > 0 {
		r.move, r.noisy = r.move.plus(theNoise.times(noise)), true
	}
}
