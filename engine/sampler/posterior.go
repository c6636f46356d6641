package sampler

import "math"

// jump goes from a level to the next with the picture that the network foretells and the noise that it found, of which
// a part, of deviation fresh, is made anew (Song et al. 2020, "Denoising diffusion implicit models", eq. 12).
func jump(next level, noise vec, fresh float64) vec {
	kept := math.Sqrt(max(next.sigma*next.sigma-fresh*fresh, 0))
	return theZero.times(next.alpha).plus(noise.times(kept)).plus(theNoise.times(fresh))
}

// newGDDIM is Zhang et al. 2022, "gDDIM: generalized denoising diffusion implicit models", theorem 1: the exact step of
// the stochastic equations that share DDIM's marginals, where the network's prediction of the noise is exact; eta is the
// paper's lambda. With 0 it is DDIM, with 1 DDPM, in between it makes more noise at the end of a long step than DDIM's
// eta.
//
// For DDIM's uses with some fresh noise, 20 steps and more.
func newGDDIM(s settings, p Plan) (Sampler, error) {
	eta := p.eta(1)
	return s.jumps(p, func(l, next level) float64 {
		left := math.Pow(next.sigma*l.alpha/(l.sigma*next.alpha), 2*eta*eta)
		return next.sigma * math.Sqrt(max(1-left, 0))
	})
}

// newDDGAN is Xiao et al. 2021, "Tackling the generative learning trilemma with denoising diffusion GANs", eq. 4: the
// posterior of the next of a few levels, given x and the picture that the network foretells.
//
// For denoising diffusion GANs, in as many steps as they were trained with, mostly four.
func newDDGAN(s settings, p Plan) (Sampler, error) {
	return s.few(p, func(l, next level) float64 {
		return next.sigma / l.sigma * math.Sqrt(max(1-l.alpha*l.alpha/(next.alpha*next.alpha), 0))
	})
}

// newUFOGen is Xu et al. 2023, "UFOGen: you forward once", section 3.2: the next level is the picture that the network
// foretells with noise that is all fresh.
//
// For UFOGen and other one-step models, in one to four steps.
func newUFOGen(s settings, p Plan) (Sampler, error) {
	return s.few(p, func(_, next level) float64 { return next.sigma })
}

// newTRACT is Berthelot et al. 2023, "TRACT: denoising diffusion models with transitive closure time-distillation", eq. 2:
// DDIM's step between the ends of the student's groups of training steps.
//
// For TRACT's students, and those of progressive distillation (Salimans and Ho 2022), in one to eight steps.
func newTRACT(s settings, p Plan) (Sampler, error) {
	return s.few(p, func(_, _ level) float64 { return 0 })
}

// few walks the last steps of equal groups of training steps.
func (s settings) few(p Plan, fresh func(l, next level) float64) (Sampler, error) {
	if !s.rescheduled {
		s.TimestepSpacing, s.StepsOffset = "trailing", 0
	}
	return s.jumps(p, fresh)
}

// jumps walks whole training steps; fresh is the deviation of the noise that is made anew.
func (s settings) jumps(p Plan, fresh func(l, next level) float64) (Sampler, error) {
	_, levels, _, err := s.discreteWalk(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, next := levels[i], levels[i+1]
		f := fresh(l, next)
		runs = append(runs, run{level: l, move: jump(next, l.outNoise(s.PredictionType), f), noisy: f > 0})
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}
