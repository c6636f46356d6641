package sampler

import (
	"fmt"
	"math"
)

// flowSigmas is what set_timesteps(steps) of the flow-matching schedulers gives, and a last 0: evenly spaced from 1 to
// the shifted 1/num_train_timesteps, then shifted (so the last is shifted twice, as in diffusers; the shift is eq. 23
// of Esser et al. 2024). The last step then changes next to nothing; the trailing schedule ends at the shifted 1/steps
// instead, the sigmas that diffusers' Flux pipeline hands to set_timesteps.
func (s settings) flowSigmas(steps int) ([]float64, error) {
	if err := s.checkFlow(); err != nil {
		return nil, err
	}
	n := float64(s.NumTrainTimesteps)
	lo := float64(float32(1 / n))
	if !s.UseDynamicShifting {
		lo = float64(float32(shifted(s.Shift, lo)))
	}
	if s.rescheduled && s.TimestepSpacing == "trailing" {
		lo = 1 / float64(steps)
	}
	if t, err := s.visit(steps); t != nil || err != nil {
		for i := range t {
			t[i] /= n
		}
		return append(t, 0), err
	}
	if s.schedule != "" {
		train := make([]float32, s.NumTrainTimesteps)
		for i := range train {
			train[i] = float32(s.shift(float64(i+1) / n))
		}
		if t, sigmas, err := s.table(steps, train); err != nil || t != nil {
			return sigmas, err
		}
	}
	sigmas := make([]float64, steps)
	for i := range sigmas {
		sigmas[i] = s.shift(lerp(n, lo*n, i, steps) / n)
	}
	s.stretch(sigmas)
	s.SigmaMin, s.SigmaMax = nil, nil // not fields of this class
	if sigmas, _ = s.respaced(sigmas[steps-1], sigmas[0], sigmas); sigmas[0] > 1 {
		return nil, fmt.Errorf("sampler: the schedule %q does not go with flow models, whose noise levels end at 1: %w", s.schedule, ErrRequest)
	}
	return append(sigmas, 0), nil
}

// flowSolverSigmas is use_flow_sigmas of the solvers: evenly spaced noise levels, then shifted. UniPC counts them from
// the end opposite to the others'.
func (s settings) flowSolverSigmas(steps int, q stepQuirks) (t, sigmas []float64, err error) {
	if s.FlowShift != nil {
		if s.Shift = *s.FlowShift; !(s.Shift > 0 && s.Shift < 1e6) {
			return nil, nil, bad("flow_shift", s.Shift)
		}
	}
	if err := s.checkFlow(); err != nil {
		return nil, nil, err
	}
	if !s.rescheduled && (s.UseKarrasSigmas || s.UseExponentialSigmas || s.UseBetaSigmas || s.UseLuLambdas) {
		return nil, nil, bad("use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas or use_lu_lambdas together with use_flow_sigmas", true)
	}
	n := float64(s.NumTrainTimesteps)
	if s.rescheduled {
		return s.flowRescheduled(steps, q)
	}
	for i := range steps {
		sigma := lerp(1, 1/n, i, steps+1)
		if !q.flowUp {
			sigma = 1 - lerp(1, 1/n, steps-i, steps+1)
		}
		sigmas = append(sigmas, s.shift(sigma))
	}
	if q.flowUp {
		s.stretch(sigmas)
		if math.Abs(sigmas[0]-1) < 1e-6 {
			sigmas[0] -= 1e-6 // so that alpha is not 0
		}
	}
	for _, sigma := range sigmas {
		t = append(t, sigma*n)
	}
	switch {
	case q.ends || q.repeats && s.FinalSigmasType != "zero":
		return t, append(sigmas, sigmas[steps-1]), nil
	case s.FinalSigmasType != "zero": // diffusers would take it from the betas, which a flow model has not
		return nil, nil, bad("final_sigmas_type with use_flow_sigmas", s.FinalSigmasType)
	}
	return t, append(sigmas, 0), nil
}

// flowRescheduled is a schedule that the caller chose, as Euler has it, for a solver, which needs some signal at the
// start.
func (s settings) flowRescheduled(steps int, q stepQuirks) (t, sigmas []float64, err error) {
	if sigmas, err = s.flowSigmas(steps); err != nil {
		return nil, nil, err
	}
	sigmas[0] = min(sigmas[0], 1-1e-6)
	if q.ends || s.FinalSigmasType != "zero" { // diffusers rests at its own schedule's last level, which is near the least
		sigmas[steps] = min(sigmas[steps-1], s.shift(1/float64(s.NumTrainTimesteps)))
	}
	for _, v := range sigmas[:steps] {
		t = append(t, v*float64(s.NumTrainTimesteps))
	}
	return t, sigmas, nil
}

// shifted moves noise levels up (shift > 1), for larger pictures.
func shifted(shift, sigma float64) float64 { return shift * sigma / (1 + (shift-1)*sigma) }

// shift is the static shift, or the dynamic one by the number of tokens that the denoiser reads, mu.
func (s settings) shift(sigma float64) float64 {
	switch {
	case sigma == 0:
		return 0
	case !s.UseDynamicShifting:
		return shifted(s.Shift, sigma)
	case s.TimeShiftType == "linear":
		return s.mu() / (s.mu() + (1/sigma - 1))
	}
	return math.Exp(s.mu()) / (math.Exp(s.mu()) + (1/sigma - 1))
}

// mu grows with the picture: calculate_shift of diffusers' pipelines.
func (s settings) mu() float64 {
	if s.ownMu != nil {
		return *s.ownMu
	}
	m := (s.MaxShift - s.BaseShift) / float64(s.MaxImageSeqLen-s.BaseImageSeqLen)
	return float64(s.tokens)*m + s.BaseShift - m*float64(s.BaseImageSeqLen)
}

// stretch moves the least level to shift_terminal.
func (s settings) stretch(sigmas []float64) {
	if s.ShiftTerminal == nil || *s.ShiftTerminal == 0 {
		return
	}
	scale := (1 - sigmas[len(sigmas)-1]) / (1 - *s.ShiftTerminal)
	for i, v := range sigmas {
		sigmas[i] = 1 - (1-v)/scale
	}
}

// checkFlow refuses what no flow sampler here does.
func (s settings) checkFlow() error {
	switch {
	case !(s.Shift > 0 && s.Shift < 1e6):
		return bad("shift", s.Shift)
	case s.TimeShiftType != "exponential" && s.TimeShiftType != "linear":
		return bad("time_shift_type", s.TimeShiftType)
	case s.UseDynamicShifting && s.tokens < 1:
		return bad("use_dynamic_shifting without the number of tokens", true)
	case s.UseDynamicShifting && (s.MaxImageSeqLen == s.BaseImageSeqLen || s.MaxImageSeqLen < 1 || s.BaseImageSeqLen < 1):
		return bad("max_image_seq_len with base_image_seq_len", s.MaxImageSeqLen)
	case s.UseDynamicShifting && !(math.Abs(s.mu()) < 20 && (s.mu() > 0 || s.TimeShiftType == "exponential")):
		return bad("max_shift or base_shift, which give a shift", s.mu())
	case s.ShiftTerminal != nil && !(*s.ShiftTerminal >= 0 && *s.ShiftTerminal < 1):
		return bad("shift_terminal", *s.ShiftTerminal)
	case s.ShiftTerminal != nil && *s.ShiftTerminal > 0 && s.steps == 1:
		return bad("shift_terminal with one step", *s.ShiftTerminal)
	case s.InvertSigmas:
		return bad("invert_sigmas", true)
	}
	return nil
}
