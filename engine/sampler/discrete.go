package sampler

import (
	"fmt"
	"math"
)

// discreteLevels are the levels of the schedulers that visit whole training steps and hold x at variance one, and the
// signal variance at each training step.
func (s settings) discreteLevels(t []int) ([]level, []float64, error) {
	if err := s.spacingOnly(); err != nil {
		return nil, nil, err
	}
	bar32, err := alphasCumprod(s)
	if err != nil {
		return nil, nil, err
	}
	bar := make([]float64, len(bar32))
	for i, v := range bar32 {
		bar[i] = float64(v)
	}
	levels := make([]level, len(t)+1)
	for i, step := range t {
		switch {
		case step < 0 || step >= len(bar):
			return nil, nil, fmt.Errorf("sampler: %d steps with steps_offset %d start at training step %d of %d: %w",
				len(t), s.StepsOffset, step, len(bar), ErrRequest)
		case bar[step] == 0 && s.PredictionType == "epsilon":
			return nil, nil, bad("prediction_type epsilon with rescale_betas_zero_snr at training step", step)
		}
		levels[i] = varianceOne(bar[step])
		levels[i].t = float64(step)
		levels[i].zero = levels[i].predicted(s.PredictionType)
	}
	levels[len(t)] = varianceOne(1)
	return levels, bar, nil
}

// Noised gives what a picture and unit noise are multiplied by at a training step,
// as add_noise of diffusers' DDPMScheduler has it. Errors wrap ErrConfig or
// ErrRequest.
func Noised(c Config, step int) (picture, noise float32, err error) {
	s, err := c.settings(c.class, "")
	if err != nil {
		return 0, 0, err
	}
	bar, err := alphasCumprod(s)
	if err != nil {
		return 0, 0, err
	}
	if step < 0 || step >= len(bar) {
		return 0, 0, fmt.Errorf("sampler: training step %d of %d: %w", step, len(bar), ErrRequest)
	}
	l := varianceOne(float64(bar[step]))
	return float32(l.alpha), float32(l.sigma), nil
}

// varianceOne is the level with a share bar of signal in the variance.
func varianceOne(bar float64) level {
	return level{shown: math.Sqrt((1 - bar) / bar), alpha: math.Sqrt(bar), sigma: math.Sqrt(1 - bar)}
}

// discreteSteps are the training steps that timestep_spacing picks, latest first.
func (s settings) discreteSteps(steps int) ([]int, error) {
	spaced, err := spaced(s, steps)
	if err != nil {
		return nil, err
	}
	return whole(spaced), nil
}

// discreteWalk are the training steps of a walk, with their levels and the signal variances as discreteLevels has them.
func (s settings) discreteWalk(steps int) (t []int, levels []level, bar []float64, err error) {
	if t, err = s.discreteSteps(steps); err == nil {
		levels, bar, err = s.discreteLevels(t)
	}
	return t, levels, bar, err
}

func whole(t []float64) []int {
	out := make([]int, len(t))
	for i, v := range t {
		out[i] = int(math.RoundToEven(v))
	}
	return out
}

// outNoise is the prediction of the noise from x and the network's output, where the picture is not clipped.
func (l level) outNoise(prediction string) vec {
	switch prediction {
	case "v_prediction":
		return theOut.times(l.alpha).plus(theX.times(l.sigma))
	case "sample":
		return theX.minus(theOut.times(l.alpha)).times(1 / l.sigma)
	case "flow_prediction":
		return theX.plus(theOut.times(l.alpha))
	}
	return theOut
}
