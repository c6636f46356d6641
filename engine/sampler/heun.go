package sampler

// heun is diffusers' HeunDiscreteScheduler: Heun's second-order method on the ODE of euler.go (Karras et al. 2022,
// algorithm 1). All steps but the last run the network twice: a trial Euler step, then from the same start a step
// along the mean of the slopes at both its ends. Runs with an even index are trials.
type heun struct {
	euler           // sigmas s0 s1 s1 s2 s2 ... 0; its steps are not used
	clip  float32   // clip_sample_range; 0: x0 is not clipped
	start []float32 // x before the trial
	slope []float32 // dx/dsigma there
}

func newHeun(s settings, steps int) (Sampler, error) {
	s.FinalSigmasType = "zero" // not a field of this class
	s.RescaleBetasZeroSNR = false
	w, err := sigmaWalk(s, steps)
	if err != nil {
		return nil, err
	}
	h := &heun{}
	h.init = w.init
	if s.ClipSample {
		h.clip = float32(s.ClipSampleRange)
	}
	for i, t := range w.timesteps {
		for range min(i, 1) + 1 {
			h.timesteps = append(h.timesteps, t)
			h.sigmas = append(h.sigmas, w.sigmas[i])
			h.add(s.PredictionType, float64(w.sigmas[i]), 0)
		}
	}
	h.sigmas = append(h.sigmas, 0)
	return h, nil
}

func (h *heun) Step(i int, x, out, _ []float32) {
	if len(h.start) != len(x) {
		h.start, h.slope = make([]float32, len(x)), make([]float32, len(x))
	}
	trial, sigma := i%2 == 0, h.sigmas[i]
	if trial {
		copy(h.start, x)
	}
	l := h.denoised[i]
	out = out[:len(x)]
	for j, v := range x {
		d := (v - clamp(l.a*v+l.b*out[j], h.clip)) / sigma
		if trial {
			h.slope[j] = d
			x[j] = v + d*(h.sigmas[i+1]-sigma)
		} else {
			x[j] = h.start[j] + (h.slope[j]+d)/2*(sigma-h.sigmas[i-1])
		}
	}
}

func (h *heun) Denoised(i int, x, out, x0 []float32) {
	h.euler.Denoised(i, x, out, x0)
	for j, v := range x0 {
		x0[j] = clamp(v, h.clip)
	}
}
