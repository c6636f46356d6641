package sampler

import (
	"fmt"
	"math"
)

// lcm is diffusers' LCMScheduler: a consistency model predicts the picture in one go, and each further step adds
// noise to the prediction and predicts again (Luo et al. 2023, "Latent consistency models", algorithm 3).
type lcm struct {
	walk
	clip     float32  // clip_sample_range; 0: x0 is not clipped
	x0       []linear // (steps) x0 from x and out
	boundary []linear // (steps) the consistency function from x and x0: c_skip, c_out
	next     []linear // (steps) the next x from the prediction and noise
}

func newLCM(s settings, steps int) (Sampler, error) {
	bar, err := alphasCumprod(s)
	if err != nil {
		return nil, err
	}
	t, err := distilled(s, steps)
	if err != nil {
		return nil, err
	}
	m := &lcm{walk: varianceOneWalk(bar, t)}
	if s.ClipSample {
		m.clip = float32(s.ClipSampleRange)
	}
	for i, step := range t {
		alpha := float64(bar[step])
		if alpha == 0 && s.PredictionType == "epsilon" {
			return nil, bad("prediction_type epsilon with rescale_betas_zero_snr at training step", step)
		}
		x0, _ := varianceOne(s.PredictionType, math.Sqrt(alpha), math.Sqrt(1-alpha))
		const data = 0.5 // the data's standard deviation, Song et al. 2023, appendix C
		scaled := float64(step) * s.TimestepScaling
		next := linear{1, 0}
		if i+1 < steps {
			prev := float64(bar[t[i+1]])
			next = linear{float32(math.Sqrt(prev)), float32(math.Sqrt(1 - prev))}
		}
		m.x0 = append(m.x0, x0)
		m.boundary = append(m.boundary, linear{
			float32(data * data / (scaled*scaled + data*data)), float32(scaled / math.Sqrt(scaled*scaled+data*data)),
		})
		m.next = append(m.next, next)
	}
	return m, nil
}

// distilled is the schedule of LCM and TCD: evenly spaced picks from the original_inference_steps timesteps the
// model was distilled at, latest first.
func distilled(s settings, steps int) ([]int, error) {
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

// varianceOneWalk is the walk of a sampler that holds x at variance one and visits the training steps t.
func varianceOneWalk(bar []float32, t []int) walk {
	w := walk{init: 1}
	for _, step := range t {
		w.timesteps = append(w.timesteps, float32(step))
		w.sigmas = append(w.sigmas, sqrt32((1-bar[step])/bar[step]))
	}
	w.sigmas = append(w.sigmas, 0)
	return w
}

// NeedsNoise is true but at the last step.
func (m *lcm) NeedsNoise(i int) bool { return i+1 < len(m.timesteps) }

func (m *lcm) Step(i int, x, out, noise []float32) {
	m.Denoised(i, x, out, x)
	if m.NeedsNoise(i) {
		m.next[i].into(x, x, noise)
	}
}

func (m *lcm) Denoised(i int, x, out, x0 []float32) {
	l, b := m.x0[i], m.boundary[i]
	for j := range x0 {
		x0[j] = b.a*x[j] + b.b*clamp(l.a*x[j]+l.b*out[j], m.clip)
	}
}
