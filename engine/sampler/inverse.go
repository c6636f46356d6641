package sampler

import "fmt"

// Inverse walks from a picture to the noise that "ddim" would draw it from: eq. 16 of Song et al. 2020 run backwards,
// diffusers' DDIMInverseScheduler. The network is told the timestep that a step goes to. After step i, x is what the
// "ddim" walk of the same config and plan has at its step len(Timesteps()) − 1 − i. Errors are those of [New].
func Inverse(c Config, p Plan) (Sampler, error) {
	r, err := find("ddim", c)
	if err != nil {
		return nil, err
	}
	if r.family != vpFamily {
		return nil, fmt.Errorf("sampler: ddim does not go with this model: %w", ErrRequest)
	}
	r.make = settings.ddimInverse
	return r.start("ddim", c, p)
}

func (s settings) ddimInverse(p Plan) (Sampler, error) {
	t, levels, bar, err := s.discreteWalk(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Steps - 1; i >= p.Start; i-- {
		at := varianceOne(s.barAt(bar, s.after(t, i)))
		if at.sigma == 0 && s.PredictionType == "sample" {
			return nil, bad("prediction_type, of a picture to be inverted", s.PredictionType)
		}
		at.t, at.zero = levels[i].t, at.predicted(s.PredictionType)
		runs = append(runs, run{level: at, move: jump(levels[i], at.outNoise(s.PredictionType), 0)})
	}
	return newSolver(s, runs, levels[p.Start], 1), nil
}
