package sampler

// flowEuler is diffusers' FlowMatchEulerDiscreteScheduler: Euler's method on dx/dsigma = out for rectified flow,
// x = (1 - sigma) x0 + sigma noise (Liu et al. 2022; the shift is eq. 23 of Esser et al. 2024).
type flowEuler struct{ walk }

func newFlowEuler(s settings, steps int) (Sampler, error) {
	w, err := flowWalk(s, steps)
	if err != nil {
		return nil, err
	}
	return &flowEuler{w}, nil
}

func (f *flowEuler) Step(i int, x, out, _ []float32) {
	linear{1, f.sigmas[i+1] - f.sigmas[i]}.into(x, x, out)
}

func (f *flowEuler) Denoised(i int, x, out, x0 []float32) { linear{1, -f.sigmas[i]}.into(x0, x, out) }

// flowWalk is what set_timesteps(steps) gives: evenly spaced from 1 to the shifted 1/num_train_timesteps, then
// shifted (so the last is shifted twice, as in diffusers). The last step then changes next to nothing; the trailing
// schedule ends at the shifted 1/steps instead, the sigmas that diffusers' Flux pipeline hands to set_timesteps.
func flowWalk(s settings, steps int) (walk, error) {
	if err := s.checkFlow(); err != nil {
		return walk{}, err
	}
	n := float64(s.NumTrainTimesteps)
	lo := float64(float32(shifted(s.Shift, float64(float32(1/n)))))
	if s.rescheduled && s.TimestepSpacing == "trailing" {
		lo = 1 / float64(steps)
	}
	sigmas := make([]float64, steps)
	for i := range sigmas {
		sigmas[i] = shifted(s.Shift, lerp(n, lo*n, i, steps)/n)
	}
	s.SigmaMin, s.SigmaMax = nil, nil // not fields of this class
	sigmas, _ = respaced(s, sigmas)
	w := walk{sigmas: toFloat32(append(sigmas, 0)), init: 1}
	for _, sigma := range w.sigmas[:steps] {
		w.timesteps = append(w.timesteps, sigma*float32(n))
	}
	return w, nil
}

// shifted moves noise levels up (shift > 1), for larger pictures.
func shifted(shift, sigma float64) float64 { return shift * sigma / (1 + (shift-1)*sigma) }

// checkFlow refuses what no flow sampler here does.
func (s settings) checkFlow() error {
	switch {
	case !(s.Shift > 0 && s.Shift < 1e6):
		return bad("shift", s.Shift)
	case s.UseDynamicShifting:
		return bad("use_dynamic_shifting", true)
	case s.ShiftTerminal != nil:
		return bad("shift_terminal", *s.ShiftTerminal)
	case s.InvertSigmas:
		return bad("invert_sigmas", true)
	case s.StochasticSampling:
		return bad("stochastic_sampling", true)
	}
	return nil
}
