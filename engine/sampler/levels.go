package sampler

import (
	"fmt"
	"math"
)

// kLevels are the steps+1 levels of the samplers that are written for x = x0 + sigma noise (Karras et al. 2022, and
// k-diffusion after it), latest first, and what multiplies the first noise. A flow model has x = (1 - sigma) x0 +
// sigma noise instead, for which dx/dsigma = (x - x0)/sigma holds as well, so Euler and its kin serve both.
func (s settings) kLevels(steps int) ([]level, float64, error) {
	levels, init, err := s.kFamilyLevels(steps)
	for i := 1; err == nil && s.schedule != "" && i < steps; i++ {
		if levels[i].shown == levels[i-1].shown {
			err = fmt.Errorf("sampler: the schedule %q does not go with %d steps of this model, two noise levels agree: %w", s.schedule, steps, ErrRequest)
		}
	}
	return levels, init, err
}

func (s settings) kFamilyLevels(steps int) ([]level, float64, error) {
	switch s.family {
	case flowFamily:
		return s.flowLevels(steps)
	case edmFamily:
		return s.edmLevels(steps)
	}
	t, sigmas, err := s.kSigmas(steps)
	if err != nil {
		return nil, 0, err
	}
	levels := make([]level, steps+1)
	for i := range levels {
		levels[i] = kLevel(s.PredictionType, float64(float32(sigmas[i])))
		if i < steps {
			levels[i].t = t[i]
		}
	}
	init := 0.0
	for _, l := range levels {
		init = max(init, l.sigma)
	}
	if s.TimestepSpacing == "leading" {
		init = math.Sqrt(init*init + 1)
	}
	return levels, init, nil
}

// kLevel is the level sigma of a model that was trained on x of variance one.
func kLevel(prediction string, sigma float64) level {
	l := level{shown: sigma, alpha: 1, sigma: sigma, scale: 1 / math.Sqrt(sigma*sigma+1)}
	switch prediction {
	case "v_prediction": // Salimans and Ho 2022
		l.zero = theX.times(l.scale * l.scale).minus(theOut.times(sigma * l.scale))
	case "sample":
		l.zero = theOut
	default:
		l.zero = theX.minus(theOut.times(sigma))
	}
	return l
}

// kSigmas gives the timesteps and, one longer, the noise levels of the discrete schedulers of k-diffusion's kind.
func (s settings) kSigmas(steps int) (t, sigmas []float64, err error) {
	bar, err := alphasCumprod(s)
	if err != nil {
		return nil, nil, err
	}
	if s.RescaleBetasZeroSNR {
		bar[len(bar)-1] = 0x1p-24 // diffusers: the least half float, so that the first sigma is finite
	}
	train := trainSigmas(bar)
	if t, sigmas, err = s.table(steps, train); err != nil || t != nil {
		return t, sigmas, err
	}
	if t, err = spaced(s, steps); err != nil {
		return nil, nil, err
	}
	sigmas = make([]float64, steps, steps+1)
	for i := range t {
		t[i] = float64(float32(t[i]))
		sigmas[i] = interp(train, t[i])
	}
	least := sigmas[steps-1]
	if s.InterpolationType == "log_linear" {
		lo, hi := math.Log(float64(train[0])), math.Log(float64(train[len(train)-1]))
		logs := linspace32(float64(float32(hi)), float64(float32(lo)), steps+1)
		for i := range sigmas {
			sigmas[i] = math.Exp(float64(logs[i]))
		}
		least = float64(train[0])
		s.FinalSigmasType = "sigma_min" // diffusers forgets that one level more than steps is made here
	}
	changed := false
	if sigmas, changed = s.respaced(least, sigmas[0], sigmas); changed {
		t = timestepsOf(sigmas, train)
	}
	if s.TimestepType == "continuous" && s.PredictionType == "v_prediction" {
		for i, v := range sigmas {
			t[i] = 0.25 * math.Log(float64(float32(v)))
		}
	}
	last := 0.0
	if s.FinalSigmasType == "sigma_min" {
		last = float64(train[0])
	}
	return t, append(sigmas, last), nil
}

// flowLevels are those of a flow model: x = (1 - sigma) x0 + sigma noise, the network predicts noise - x0.
func (s settings) flowLevels(steps int) ([]level, float64, error) {
	sigmas, err := s.flowSigmas(steps)
	if err != nil {
		return nil, 0, err
	}
	levels := make([]level, steps+1)
	for i, v := range sigmas {
		levels[i] = s.flowLevel(float64(float32(v)))
		levels[i].t = levels[i].shown * float64(s.NumTrainTimesteps)
	}
	return levels, 1, nil
}

func (s settings) flowLevel(sigma float64) level {
	l := level{shown: sigma, alpha: 1 - sigma, sigma: sigma}
	l.zero = l.predicted(s.PredictionType)
	return l
}

// edmLevels are those of a model with the preconditioning of Karras et al. 2022, table 1, of which the network is told
// log(sigma)/4.
func (s settings) edmLevels(steps int) ([]level, float64, error) {
	if s.SigmaMin == nil || s.SigmaMax == nil || !(*s.SigmaMin < *s.SigmaMax) {
		return nil, 0, bad("sigma_min", "not below sigma_max")
	}
	lo, hi := *s.SigmaMin, *s.SigmaMax
	if s.PredictionType != "epsilon" && s.PredictionType != "v_prediction" {
		return nil, 0, bad("prediction_type", s.PredictionType)
	}
	if !(s.SigmaData > 0 && s.SigmaData < 1e6) {
		return nil, 0, bad("sigma_data", s.SigmaData)
	}
	var sigmas []float64
	switch s.SigmaSchedule {
	case "karras":
		if !(s.Rho >= 1 && s.Rho <= 100) {
			return nil, 0, bad("rho", s.Rho)
		}
		sigmas = karras(lo, hi, s.Rho, steps)
	case "exponential":
		for _, v := range linspace32(math.Log(lo), math.Log(hi), steps) {
			sigmas = append([]float64{math.Exp(float64(v))}, sigmas...)
		}
	default:
		return nil, 0, bad("sigma_schedule", s.SigmaSchedule)
	}
	if t, _, err := s.table(steps, []float32{1, 2}); t != nil || err != nil || s.schedule == listed {
		return nil, 0, fmt.Errorf("sampler: the schedule %q does not go with this model, which has no training steps: %w", s.schedule, ErrRequest)
	}
	sigmas, _ = s.respaced(lo, hi, sigmas)
	last := 0.0
	if s.FinalSigmasType == "sigma_min" {
		last = sigmas[steps-1]
	}
	levels := make([]level, steps+1)
	for i, v := range append(sigmas, last) {
		levels[i] = s.edmLevel(float64(float32(v)))
	}
	return levels, math.Sqrt(hi*hi + 1), nil
}

func (s settings) edmLevel(sigma float64) level {
	data := s.SigmaData
	total := sigma*sigma + data*data
	out := sigma * data / math.Sqrt(total)
	if s.PredictionType == "v_prediction" {
		out = -out
	}
	return level{t: math.Log(sigma) / 4, shown: sigma, alpha: 1, sigma: sigma, scale: 1 / math.Sqrt(total),
		zero: theX.times(data * data / total).plus(theOut.times(out))}
}

// predicted is the prediction of the picture at a level with x = alpha x0 + sigma noise.
func (l level) predicted(prediction string) vec {
	switch prediction {
	case "v_prediction":
		return theX.times(l.alpha).minus(theOut.times(l.sigma))
	case "sample":
		return theOut
	case "flow_prediction":
		return theX.minus(theOut.times(l.sigma))
	}
	return theX.minus(theOut.times(l.sigma)).times(1 / l.alpha)
}

// stepQuirks are the ways in which diffusers' solvers differ in their schedules.
type stepQuirks struct {
	plainLinspace bool // timestep_spacing is not a field
	clipsLambda   bool // lambda_min_clipped is one
	round         bool // timesteps of Karras's levels are whole numbers
	ends          bool // final_sigmas_type is no field: the walk ends at the least level
	repeats       bool // where the levels are respaced, sigma_min is the least of them
	flowUp        bool // use_flow_sigmas counts noise levels from the other end
}

// solverLevels are the steps+1 levels of the solvers of DPM-Solver's family, with x of variance one or a flow model's,
// and what multiplies the first noise.
func (s settings) solverLevels(steps int, q stepQuirks) ([]level, float64, error) {
	var levels []level
	init := 1.0
	var err error
	if s.family == edmFamily {
		levels, init, err = s.edmLevels(steps)
	} else {
		levels, err = s.varianceOneLevels(steps, q)
	}
	if err != nil {
		return nil, 0, err
	}
	for i := range steps {
		rest := i == steps-1 && levels[i+1].shown == levels[i].shown // final_sigmas_type sigma_min can end where it is
		if !rest && !(levels[i+1].shown < levels[i].shown) {         // the solvers divide by the difference
			return nil, 0, fmt.Errorf("sampler: %d steps are too many for this schedule, two noise levels agree: %w", steps, ErrRequest)
		}
	}
	return levels, init, nil
}

func (s settings) varianceOneLevels(steps int, q stepQuirks) ([]level, error) {
	var t, sigmas []float64
	var err error
	if s.family == flowFamily {
		t, sigmas, err = s.flowSolverSigmas(steps, q)
	} else {
		t, sigmas, err = s.solverSigmas(steps, q)
	}
	if err != nil {
		return nil, err
	}
	levels := make([]level, steps+1)
	for i, v := range sigmas {
		l := level{shown: float64(float32(v))}
		if s.family == flowFamily {
			l.alpha, l.sigma = 1-l.shown, l.shown
		} else {
			l.alpha = 1 / math.Sqrt(l.shown*l.shown+1)
			l.sigma = l.shown * l.alpha
		}
		if l.zero = l.predicted(s.PredictionType); i < steps {
			l.t = math.Trunc(t[i]) // diffusers keeps them as integers
		}
		levels[i] = l
	}
	return levels, nil
}

// solverSigmas gives timesteps and, one longer, noise levels. Unlike kSigmas it spaces steps+1 times and leaves the
// last out, since the walk ends there.
func (s settings) solverSigmas(steps int, q stepQuirks) (t, sigmas []float64, err error) {
	bar, err := alphasCumprod(s)
	if err != nil {
		return nil, nil, err
	}
	if s.RescaleBetasZeroSNR {
		bar[len(bar)-1] = 0x1p-24
	}
	train := trainSigmas(bar)
	if t, sigmas, err = s.table(steps, train); err != nil || t != nil {
		if t != nil && (q.ends || s.FinalSigmasType != "zero") {
			sigmas[steps] = float64(train[0])
		}
		return t, sigmas, err
	}
	top := len(train)
	if s.LambdaMinClipped != nil && q.clipsLambda {
		for top > 1 && -math.Log(float64(train[top-1])) < *s.LambdaMinClipped {
			top--
		}
	}
	if q.plainLinspace && !s.rescheduled {
		s.TimestepSpacing = "linspace"
	}
	if t, err = spacedOpen(s, steps, top); err != nil {
		return nil, nil, err
	}
	sigmas = make([]float64, steps)
	for i, v := range t {
		sigmas[i] = interp(train, v)
	}
	last, changed := float64(train[0]), false
	if sigmas, changed = s.respaced(last, float64(train[len(train)-1]), sigmas); changed {
		t = timestepsOf(sigmas, train)
		for i, v := range t {
			if (s.UseKarrasSigmas || s.UseLuLambdas) && (q.round || s.BetaSchedule != "squaredcos_cap_v2") {
				t[i] = math.RoundToEven(v)
			}
		}
		switch { // a caller's schedule may end far from the least level, where a walk must not
		case s.rescheduled:
			last = min(last, sigmas[steps-1])
		case q.repeats:
			last = sigmas[steps-1]
		}
	}
	if s.FinalSigmasType == "zero" && !q.ends {
		last = 0
	}
	return t, append(sigmas, last), nil
}

// spacedOpen is spaced for these solvers; top is the training step below which to start.
func spacedOpen(s settings, steps, top int) ([]float64, error) {
	if t, err := s.visit(steps); t != nil || err != nil {
		return t, err
	}
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
