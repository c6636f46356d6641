package sampler

import (
	"fmt"
	"math"
)

// newConsistency is the multistep sampling of Song et al. 2023, "Consistency models", algorithm 1: diffusers'
// CMStochasticIterativeScheduler. The network predicts the picture in one go; each further step adds noise to the
// prediction and predicts again.
//
// For consistency models in pixels, in one or two steps.
func newConsistency(s settings, p Plan) (Sampler, error) {
	n := s.NumTrainTimesteps
	if n < 2 {
		return nil, bad("num_train_timesteps", n)
	}
	if err := s.checkConsistency(); err != nil {
		return nil, err
	}
	lo, hi, data := *s.SigmaMin, *s.SigmaMax, s.SigmaData
	if s.ClipDenoised {
		s.ClipSample, s.ClipSampleRange = true, 1
	}
	levels := make([]level, p.Steps+1)
	for i := range levels {
		ramp := float64(i*(n/p.Steps)) / float64(n-1)
		sigma := math.Pow(math.Pow(hi, 1/s.Rho)+ramp*(math.Pow(lo, 1/s.Rho)-math.Pow(hi, 1/s.Rho)), s.Rho)
		if i == p.Steps {
			sigma = lo
		}
		t := 250 * math.Log(sigma+1e-44)
		sigma = float64(float32(sigma))
		skip := data * data / ((sigma-lo)*(sigma-lo) + data*data)
		out := (sigma - lo) * data / math.Sqrt(sigma*sigma+data*data)
		levels[i] = level{t: t, shown: sigma, alpha: 1, sigma: sigma, scale: 1 / math.Sqrt(sigma*sigma+data*data),
			zero: theX.times(skip).plus(theOut.times(out))}
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		next := min(max(levels[i+1].sigma, lo), hi)
		noise := s.SNoise * math.Sqrt(max(next*next-lo*lo, 0))
		runs = append(runs, run{level: levels[i], move: theZero.plus(theNoise.times(noise)), noisy: p.Steps > 1})
	}
	return newSolver(s, runs, levels[p.Steps], hi), nil
}

func (s settings) checkConsistency() error {
	switch {
	case s.SigmaMin == nil || s.SigmaMax == nil || !(*s.SigmaMin < *s.SigmaMax):
		return bad("sigma_min", "not below sigma_max")
	case !(s.SigmaData > 0 && s.SigmaData < 1e6):
		return bad("sigma_data", s.SigmaData)
	case !(s.Rho >= 1 && s.Rho <= 100):
		return bad("rho", s.Rho)
	case !(s.SNoise >= 0 && s.SNoise < 1e6):
		return bad("s_noise", s.SNoise)
	}
	return nil
}

// newSCM is diffusers' SCMScheduler: the consistency sampling of TrigFlow models, x = cos(t) x0 + sin(t) noise (Lu and
// Song 2024, "Simplifying, stabilizing and scaling continuous-time consistency models").
//
// For SANA-Sprint and its kind, in one to four steps; with two, the second begins at 1.3 as its pipeline has it.
func newSCM(s settings, p Plan) (Sampler, error) {
	if s.PredictionType != "trigflow" {
		return nil, bad("prediction_type", s.PredictionType)
	}
	if !(s.SigmaData > 0 && s.SigmaData < 1e6) {
		return nil, bad("sigma_data", s.SigmaData)
	}
	times := linspace32(1.5708, 0, p.Steps+1)
	if p.Steps == 2 {
		times[1] = 1.3
	}
	levels := make([]level, p.Steps+1)
	for i, t := range times {
		sin, cos := math.Sincos(float64(t))
		levels[i] = level{t: float64(t), shown: float64(t), alpha: cos, sigma: sin * s.SigmaData,
			zero: theX.times(cos).minus(theOut.times(sin))}
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		next := levels[i+1]
		runs = append(runs, run{level: levels[i], move: theZero.times(next.alpha).plus(theNoise.times(next.sigma)), noisy: true})
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}

// newFlowLCM is diffusers' FlowMatchLCMScheduler: the consistency sampling of flow models, each step of which makes all
// noise anew. For flow models distilled so, in two to eight steps. For others it is ComfyUI's lcm, which goes by the
// schedule's levels, not by those of the distillation.
func newFlowLCM(s settings, p Plan) (Sampler, error) {
	if s.ScaleFactors != nil {
		return nil, bad("scale_factors", fmt.Sprint(s.ScaleFactors))
	}
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		next := levels[i+1]
		runs = append(runs, run{level: levels[i], move: theZero.times(next.alpha).plus(theNoise.times(next.sigma)), noisy: true})
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}
