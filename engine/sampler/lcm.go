package sampler

import (
	"fmt"
	"math"
)

// newLCM is diffusers' LCMScheduler: a consistency model predicts the picture in one go, and each further step adds
// noise to the prediction and predicts again (Luo et al. 2023, "Latent consistency models", algorithm 3).
//
// For models distilled so, in one to eight steps.
func newLCM(s settings, p Plan) (Sampler, error) {
	t, err := distilled(s, p.Steps)
	if err != nil {
		return nil, err
	}
	levels, _, err := s.discreteLevels(t)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		const data = 0.5 // the data's standard deviation, Song et al. 2023, appendix C
		scaled := levels[i].t * s.TimestepScaling
		skip, out := data*data/(scaled*scaled+data*data), scaled/math.Sqrt(scaled*scaled+data*data)
		consistent := theX.times(skip).plus(theZero.times(out))
		r := run{level: levels[i], move: consistent}
		if next := levels[i+1]; i+1 < p.Steps {
			r.move, r.noisy = consistent.times(next.alpha).plus(theNoise.times(next.sigma)), true
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}

// distilled is the schedule of LCM and TCD: evenly spaced picks from the original_inference_steps timesteps the
// model was distilled at, latest first.
func distilled(s settings, steps int) ([]int, error) {
	if visits, err := s.visit(steps); visits != nil || err != nil {
		return whole(visits), err
	}
	original := s.OriginalInferenceSteps
	if original < 1 || original > s.NumTrainTimesteps {
		return nil, bad("original_inference_steps", original)
	}
	if steps > original {
		return nil, fmt.Errorf("sampler: %d steps, this sampler takes 1 to %d: %w", steps, original, ErrRequest)
	}
	t := make([]int, steps)
	for i := range t {
		pick := int(float64(i) * (float64(original) / float64(steps)))
		t[i] = (original-pick)*(s.NumTrainTimesteps/original) - 1
	}
	return t, nil
}
