package sampler

import (
	"fmt"
	"math"
)

// ddim is diffusers' DDIMScheduler with eta 0: eq. 12 of Song et al. 2020, "Denoising diffusion implicit models".
// x has variance one throughout: x = sqrt(alpha) x0 + sqrt(1 - alpha) noise.
type ddim struct {
	walk
	clip     float32  // clip_sample_range; 0: x0 is not clipped
	denoised []linear // (steps) x0 from x and out
	noise    []linear // (steps) the predicted noise from x and out
	next     []linear // (steps) the next x from x0 and the predicted noise
}

func newDDIM(s settings, steps int) (Sampler, error) {
	bar, err := alphasCumprod(s)
	if err != nil {
		return nil, err
	}
	t, err := spaced(s, steps)
	if err != nil {
		return nil, err
	}
	d := &ddim{walk: walk{init: 1}}
	if s.ClipSample {
		d.clip = float32(s.ClipSampleRange)
	}
	for i := range t {
		step := int(math.RoundToEven(t[i]))
		if step >= len(bar) {
			return nil, fmt.Errorf("sampler: %d steps with steps_offset %d start at training step %d of %d: %w",
				steps, s.StepsOffset, step, len(bar), ErrRequest)
		}
		alpha, prev := float64(bar[step]), 1.0
		if p := step - s.NumTrainTimesteps/steps; p >= 0 {
			prev = float64(bar[p])
		} else if !s.SetAlphaToOne {
			prev = float64(bar[0])
		}
		if alpha == 0 && s.PredictionType == "epsilon" {
			return nil, bad("prediction_type epsilon with rescale_betas_zero_snr at training step", step)
		}
		x0, eps := varianceOne(s.PredictionType, math.Sqrt(alpha), math.Sqrt(1-alpha))
		d.timesteps = append(d.timesteps, float32(step))
		d.sigmas = append(d.sigmas, float32(math.Sqrt((1-alpha)/alpha)))
		d.denoised = append(d.denoised, x0)
		d.noise = append(d.noise, eps)
		d.next = append(d.next, linear{float32(math.Sqrt(prev)), float32(math.Sqrt(1 - prev))})
	}
	d.sigmas = append(d.sigmas, 0)
	return d, nil
}

func (d *ddim) Step(i int, x, out, _ []float32) {
	x0, eps, next := d.denoised[i], d.noise[i], d.next[i]
	out = out[:len(x)]
	for j, v := range x {
		x[j] = next.a*clamp(x0.a*v+x0.b*out[j], d.clip) + next.b*(eps.a*v+eps.b*out[j])
	}
}

func (d *ddim) Denoised(i int, x, out, x0 []float32) {
	l := d.denoised[i]
	for j := range x0 {
		x0[j] = clamp(l.a*x[j]+l.b*out[j], d.clip)
	}
}

// clamp clips v to the range, 0 for none.
func clamp(v, limit float32) float32 {
	if limit > 0 {
		return min(max(v, -limit), limit)
	}
	return v
}

// varianceOne gives x0 and the noise from x = alpha*x0 + sigma*noise and the network's output.
func varianceOne(prediction string, alpha, sigma float64) (x0, noise linear) {
	f := func(a, b float64) linear { return linear{float32(a), float32(b)} }
	switch prediction {
	case "v_prediction": // v = alpha*noise - sigma*x0 (Salimans and Ho 2022)
		return f(alpha, -sigma), f(sigma, alpha)
	case "sample":
		return f(0, 1), f(1/sigma, -alpha/sigma)
	}
	return f(1/alpha, -sigma/alpha), f(0, 1)
}
