package sampler

import (
	"fmt"
	"math"
	"slices"
)

// multistep is the machine DPM-Solver++ and UniPC run on: x moves by a linear combination of itself, of the last
// few predictions of x0 and perhaps of fresh noise, all coefficients worked out beforehand. x has variance
// alpha^2 + sigma^2 throughout: x = alpha x0 + sigma noise.
type multistep struct {
	walk
	denoised []linear     // (steps) x0 from x and out
	predict  []combo      // (steps) the next x from this one; m[0] is the prediction made here
	correct  []combo      // (steps) this x again from the last, now that m[0] is known; nil: never
	noisy    bool         // predict has noise in it
	past     [4][]float32 // predictions of x0, newest first
	last     []float32    // the corrected x of the step before
}

// combo is x*x + noise*noise + sum of m[k]*past[k]. skip leaves x alone.
type combo struct {
	x, noise float32
	m        [4]float32
	skip     bool
}

func (c combo) into(dst, x, noise []float32, past *[4][]float32) {
	if c.skip {
		return
	}
	a, b, d, e := past[0][:len(dst)], past[1][:len(dst)], past[2][:len(dst)], past[3][:len(dst)]
	x = x[:len(dst)]
	for j := range dst {
		dst[j] = c.x*x[j] + c.m[0]*a[j] + c.m[1]*b[j] + c.m[2]*d[j] + c.m[3]*e[j]
	}
	if c.noise != 0 {
		for j := range dst {
			dst[j] += c.noise * noise[j]
		}
	}
}

func (m *multistep) NeedsNoise(int) bool { return m.noisy }

func (m *multistep) Step(i int, x, out, noise []float32) {
	if len(m.last) != len(x) {
		m.last = make([]float32, len(x))
		for k := range m.past {
			m.past[k] = make([]float32, len(x))
		}
	}
	newest := m.past[3]
	copy(m.past[1:], m.past[:3])
	m.past[0] = newest
	if i == 0 { // what an earlier walk left counts for nothing, but must not be NaN
		for _, p := range m.past {
			clear(p)
		}
	}
	m.denoised[i].into(newest, x, out)
	if m.correct != nil {
		m.correct[i].into(x, m.last, nil, &m.past)
		copy(m.last, x)
	}
	m.predict[i].into(x, x, noise, &m.past)
}

func (m *multistep) Denoised(i int, x, out, x0 []float32) { m.denoised[i].into(x0, x, out) }

// solver checks what the solvers' classes have in common: types are the values of solver_type, of which diffusers takes
// those beyond the second, other classes', for the first.
func (s *settings) solver(types ...string) error {
	switch at := slices.Index(types, s.SolverType); {
	case at < 0:
		return bad("solver_type", s.SolverType)
	case at > 1:
		s.SolverType = types[0]
	}
	switch {
	case s.SolverP != nil:
		return bad("solver_p", s.SolverP)
	case s.VarianceType != nil:
		return bad("variance_type", *s.VarianceType)
	case s.UseDynamicShifting:
		return bad("use_dynamic_shifting", true)
	case s.ShiftTerminal != nil:
		return bad("shift_terminal", *s.ShiftTerminal)
	}
	return nil
}

// level is a place on the schedule: x = alpha x0 + sigma noise, and lambda = log(alpha/sigma), in which the solvers'
// polynomials are.
type level struct{ alpha, sigma, lambda float64 }

// solverWalk is the schedule of DPM-Solver++ and UniPC and, one longer than the steps, its levels.
func solverWalk(s settings, steps int, unipc bool) (walk, []level, error) {
	var t, sigmas []float64
	var last float64
	var err error
	if s.flow {
		t, sigmas, last, err = flowSolverSigmas(s, steps, unipc)
	} else {
		t, sigmas, last, err = solverSigmas(s, steps, unipc)
	}
	if err != nil {
		return walk{}, nil, err
	}
	if s.FinalSigmasType == "zero" {
		last = 0
	}
	w := walk{sigmas: toFloat32(append(sigmas, last)), init: 1}
	for _, v := range t {
		w.timesteps = append(w.timesteps, float32(math.Trunc(v))) // diffusers keeps them as integers
	}
	var levels []level
	for _, v := range w.sigmas {
		sigma := float64(v)
		alpha := 1 / math.Sqrt(sigma*sigma+1)
		if s.flow {
			alpha = 1 - sigma
		} else {
			sigma *= alpha
		}
		levels = append(levels, level{alpha, sigma, math.Log(alpha / sigma)})
	}
	for i := range steps {
		rest := i == steps-1 && levels[i+1] == levels[i]       // final_sigmas_type sigma_min can end where it is
		if !rest && !(levels[i+1].lambda > levels[i].lambda) { // the solvers divide by the difference
			return walk{}, nil, fmt.Errorf("sampler: %d steps are too many for this schedule, two noise levels agree: %w",
				steps, ErrRequest)
		}
	}
	return w, levels, nil
}

// solverSigmas gives timesteps, noise levels and what sigma_min is. Unlike the samplers of euler.go these space
// steps+1 times and leave the last out, since the walk ends there.
func solverSigmas(s settings, steps int, unipc bool) (t, sigmas []float64, last float64, err error) {
	bar, err := alphasCumprod(s)
	if err != nil {
		return nil, nil, 0, err
	}
	if s.RescaleBetasZeroSNR {
		bar[len(bar)-1] = 0x1p-24
	}
	train := trainSigmas(bar)
	top := len(train)
	if s.LambdaMinClipped != nil && !unipc {
		for top > 1 && -math.Log(float64(train[top-1])) < *s.LambdaMinClipped {
			top--
		}
	}
	if t, err = spacedOpen(s, steps, top); err != nil {
		return nil, nil, 0, err
	}
	last = float64(train[0])
	ends := make([]float64, steps)
	ends[0], ends[steps-1] = float64(train[len(train)-1]), last
	if steps == 1 {
		ends = []float64{float64(train[len(train)-1]), last}
	}
	sigmas, changed := respaced(s, ends)
	if !changed {
		sigmas = make([]float64, steps)
		for i, v := range t {
			sigmas[i] = interp(train, v)
		}
		return t, sigmas, last, nil
	}
	sigmas = sigmas[:steps]
	t = timestepsOf(sigmas, train)
	for i, v := range t {
		if s.UseKarrasSigmas && (unipc || s.BetaSchedule != "squaredcos_cap_v2") {
			t[i] = math.RoundToEven(v)
		}
	}
	if unipc {
		last = sigmas[steps-1]
	}
	return t, sigmas, last, nil
}

// spacedOpen is spaced for these solvers; top is the training step below which to start.
func spacedOpen(s settings, steps, top int) ([]float64, error) {
	t := make([]float64, steps)
	for i := range t {
		switch s.TimestepSpacing {
		case "linspace":
			t[i] = math.RoundToEven(lerp(0, float64(top-1), steps-i, steps+1))
		case "leading":
			t[i] = float64((steps-i)*(top/(steps+1)) + s.StepsOffset)
		case "trailing":
			t[i] = math.RoundToEven(float64(top)-float64(i)*(float64(s.NumTrainTimesteps)/float64(steps))) - 1
		default:
			return nil, bad("timestep_spacing", s.TimestepSpacing)
		}
		t[i] = max(t[i], 0)
	}
	return t, nil
}

// flowSolverSigmas is use_flow_sigmas: evenly spaced noise levels, then shifted. The two classes count them from
// opposite ends.
func flowSolverSigmas(s settings, steps int, unipc bool) (t, sigmas []float64, last float64, err error) {
	if s.FlowShift != nil {
		if s.Shift = *s.FlowShift; !(s.Shift > 0 && s.Shift < 1e6) {
			return nil, nil, 0, bad("flow_shift", s.Shift)
		}
	}
	if err := s.checkFlow(); err != nil {
		return nil, nil, 0, err
	}
	if s.UseKarrasSigmas || s.UseExponentialSigmas {
		return nil, nil, 0, bad("use_karras_sigmas or use_exponential_sigmas together with use_flow_sigmas", true)
	}
	n := float64(s.NumTrainTimesteps)
	for i := range steps {
		sigma := lerp(1, 1/n, i, steps+1)
		if !unipc {
			sigma = 1 - lerp(1, 1/n, steps-i, steps+1)
		}
		sigma = shifted(s.Shift, sigma)
		if unipc && i == 0 && math.Abs(sigma-1) < 1e-6 {
			sigma -= 1e-6 // so that alpha is not 0
		}
		sigmas = append(sigmas, sigma)
		t = append(t, sigma*n)
	}
	if !unipc && s.FinalSigmasType != "zero" { // diffusers would take it from the betas, which a flow model has not
		return nil, nil, 0, bad("final_sigmas_type with use_flow_sigmas", s.FinalSigmasType)
	}
	return t, sigmas, sigmas[steps-1], nil
}

// solverDenoised gives x0 = a*x + b*out at a level.
func solverDenoised(s settings, l level) linear {
	if s.PredictionType == "flow_prediction" { // out = noise - x0, so x - sigma out = x0 whatever alpha
		return linear{1, float32(-l.sigma)}
	}
	x0, _ := varianceOne(s.PredictionType, l.alpha, l.sigma)
	return x0
}
