package sampler

import "math"

// eulerAncestral is diffusers' EulerAncestralDiscreteScheduler: an Euler step to below the next noise level, then
// fresh noise up to it (k-diffusion's sample_euler_ancestral; the levels are eq. 7 of Song et al. 2020, "Score-based
// generative modeling").
type eulerAncestral struct {
	euler
	up []float32 // (steps) share of fresh noise
}

func newEulerAncestral(s settings, steps int) (Sampler, error) {
	s.FinalSigmasType = "zero" // not a field of this class
	if !s.rescheduled {
		s.UseKarrasSigmas, s.UseExponentialSigmas = false, false // nor these, but k-diffusion takes any levels
	}
	w, err := sigmaWalk(s, steps)
	if err != nil {
		return nil, err
	}
	e := &eulerAncestral{euler: euler{walk: w}}
	for i := range steps {
		sigma, next := float64(w.sigmas[i]), float64(w.sigmas[i+1])
		up := math.Sqrt(next * next * (sigma*sigma - next*next) / (sigma * sigma))
		e.add(s.PredictionType, sigma, math.Sqrt(next*next-up*up))
		e.up = append(e.up, float32(up))
	}
	return e, nil
}

// NeedsNoise is true even at the last step, where the noise counts for nothing, as diffusers draws it there too.
func (e *eulerAncestral) NeedsNoise(int) bool { return true }

func (e *eulerAncestral) Step(i int, x, out, noise []float32) {
	e.euler.Step(i, x, out, nil)
	noise = noise[:len(x)]
	for j := range x {
		x[j] += e.up[i] * noise[j]
	}
}
