package sampler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Config is a scheduler_config.json. Its zero value is no model's; make one with ParseConfig or json.Unmarshal.
type Config struct {
	class     string
	algorithm string // algorithm_type, which makes two samplers of one class
	flow      bool   // the model predicts a flow-matching velocity
	raw       json.RawMessage
	schedule  string // see WithSchedule
}

// ParseConfig reads a scheduler_config.json. Fields wisp does not use are ignored, and what Python writes for numbers
// JSON does not have (diffusers puts -Infinity into DPM-Solver's) counts as null. Errors wrap ErrConfig.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(nullNonNumbers(data), &c); err != nil {
		return Config{}, fmt.Errorf("sampler: scheduler config: %w: %w", err, ErrConfig)
	}
	return c, nil
}

// nullNonNumbers replaces NaN, Infinity and -Infinity outside strings by null.
func nullNonNumbers(data []byte) []byte {
	var out []byte
	inString := false
	for i := 0; i < len(data); i++ {
		switch {
		case inString && data[i] == '\\' && i+1 < len(data):
			out = append(out, data[i])
			i++
		case data[i] == '"':
			inString = !inString
		case !inString:
			if n := nonNumber(data[i:]); n > 0 {
				out = append(out, "null"...)
				i += n - 1
				continue
			}
		}
		out = append(out, data[i])
	}
	return out
}

func nonNumber(data []byte) int {
	for _, word := range []string{"-Infinity", "Infinity", "NaN"} {
		if bytes.HasPrefix(data, []byte(word)) {
			return len(word)
		}
	}
	return 0
}

// UnmarshalJSON keeps the file as it is: what a left-out field means depends on the scheduler that reads it.
func (c *Config) UnmarshalJSON(data []byte) error {
	var head struct {
		Class      string `json:"_class_name"`
		Prediction string `json:"prediction_type"`
		FlowSigmas bool   `json:"use_flow_sigmas"`
		Algorithm  string `json:"algorithm_type"`
	}
	head.Algorithm = "dpmsolver++"
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	if head.Class == "" {
		return fmt.Errorf("_class_name is missing: %w", ErrConfig)
	}
	*c = Config{class: head.Class, algorithm: head.Algorithm, raw: append(json.RawMessage(nil), data...)}
	c.flow = strings.HasPrefix(head.Class, "FlowMatch") || head.Prediction == "flow_prediction" || head.FlowSigmas
	return nil
}

// MarshalJSON gives back the file.
func (c Config) MarshalJSON() ([]byte, error) {
	if c.raw == nil {
		return []byte("null"), nil
	}
	return c.raw, nil
}

// Class is the config's _class_name.
func (c Config) Class() string { return c.class }

// Flow says whether the model is a flow-matching one, which takes flow samplers only.
func (c Config) Flow() bool { return c.flow }

// Schedules are the names WithSchedule takes besides "", in the order shown to people. The first two replace the
// noise levels, the others say which training steps are visited.
var Schedules = []Info{
	{"karras", "Karras"}, {"exponential", "Exponential"}, {"leading", "Leading"}, {"trailing", "Trailing"},
	{"linspace", "Evenly spaced"},
}

// WithSchedule is the config with another schedule, as if its file asked for it; "" leaves it as it is. A sampler
// with a schedule of its own (LCM, TCD) or none to choose takes no notice. The error wraps ErrRequest.
func (c Config) WithSchedule(name string) (Config, error) {
	for _, s := range Schedules {
		if s.Name == name {
			c.schedule = name
			return c, nil
		}
	}
	if name == "" {
		return c, nil
	}
	return c, fmt.Errorf("sampler: no schedule %q: %w", name, ErrRequest)
}

// reschedule puts into s what WithSchedule asked for.
func (c Config) reschedule(s *settings) {
	if c.schedule == "" {
		return
	}
	s.rescheduled = true
	s.UseKarrasSigmas, s.UseExponentialSigmas = c.schedule == "karras", c.schedule == "exponential"
	s.UseBetaSigmas, s.UseLuLambdas = false, false
	if !s.UseKarrasSigmas && !s.UseExponentialSigmas {
		s.TimestepSpacing = c.schedule
	}
}

// settings are the fields of a scheduler_config.json that wisp's samplers read, under diffusers' names.
type settings struct {
	flow        bool // of Config
	named       bool // the caller named the sampler, whatever the file says
	rescheduled bool // WithSchedule was used

	NumTrainTimesteps   int       `json:"num_train_timesteps"`
	BetaStart           float64   `json:"beta_start"`
	BetaEnd             float64   `json:"beta_end"`
	BetaSchedule        string    `json:"beta_schedule"`
	TrainedBetas        []float64 `json:"trained_betas"`
	RescaleBetasZeroSNR bool      `json:"rescale_betas_zero_snr"`
	PredictionType      string    `json:"prediction_type"`

	TimestepSpacing      string   `json:"timestep_spacing"`
	StepsOffset          int      `json:"steps_offset"`
	TimestepType         string   `json:"timestep_type"`
	InterpolationType    string   `json:"interpolation_type"`
	FinalSigmasType      string   `json:"final_sigmas_type"`
	SigmaMin             *float64 `json:"sigma_min"`
	SigmaMax             *float64 `json:"sigma_max"`
	UseKarrasSigmas      bool     `json:"use_karras_sigmas"`
	UseExponentialSigmas bool     `json:"use_exponential_sigmas"`
	UseBetaSigmas        bool     `json:"use_beta_sigmas"`

	ClipSample      bool    `json:"clip_sample"`
	ClipSampleRange float64 `json:"clip_sample_range"`
	Thresholding    bool    `json:"thresholding"`
	SetAlphaToOne   bool    `json:"set_alpha_to_one"`

	SolverOrder      int      `json:"solver_order"`
	SolverType       string   `json:"solver_type"`
	AlgorithmType    string   `json:"algorithm_type"`
	LowerOrderFinal  bool     `json:"lower_order_final"`
	EulerAtFinal     bool     `json:"euler_at_final"`
	UseLuLambdas     bool     `json:"use_lu_lambdas"`
	LambdaMinClipped *float64 `json:"lambda_min_clipped"`
	PredictX0        bool     `json:"predict_x0"`
	DisableCorrector []int    `json:"disable_corrector"`
	SkipPRKSteps     bool     `json:"skip_prk_steps"`

	OriginalInferenceSteps int     `json:"original_inference_steps"`
	TimestepScaling        float64 `json:"timestep_scaling"`

	UseFlowSigmas      bool     `json:"use_flow_sigmas"`
	FlowShift          *float64 `json:"flow_shift"` // what DPM-Solver and UniPC call the shift
	Shift              float64  `json:"shift"`
	ShiftTerminal      *float64 `json:"shift_terminal"`
	UseDynamicShifting bool     `json:"use_dynamic_shifting"`
	InvertSigmas       bool     `json:"invert_sigmas"`
	StochasticSampling bool     `json:"stochastic_sampling"`
}

// defaults are those most schedulers share; settings adjusts what a class has otherwise.
func defaults(class string) settings {
	s := settings{
		NumTrainTimesteps: 1000, BetaStart: 0.0001, BetaEnd: 0.02, BetaSchedule: "linear", PredictionType: "epsilon",
		TimestepSpacing: "linspace", TimestepType: "discrete", InterpolationType: "linear", FinalSigmasType: "zero",
		ClipSampleRange: 1, SetAlphaToOne: true, SolverOrder: 2, SolverType: "midpoint", AlgorithmType: "dpmsolver++",
		LowerOrderFinal: true, PredictX0: true, OriginalInferenceSteps: 50, TimestepScaling: 10, Shift: 1,
	}
	switch class {
	case "DDIMScheduler":
		s.TimestepSpacing, s.ClipSample = "leading", true
	case "PNDMScheduler":
		s.TimestepSpacing, s.SetAlphaToOne = "leading", false
	case "HeunDiscreteScheduler":
		s.BetaStart, s.BetaEnd = 0.00085, 0.012
	case "LCMScheduler", "TCDScheduler":
		s.BetaStart, s.BetaEnd, s.BetaSchedule, s.TimestepSpacing = 0.00085, 0.012, "scaled_linear", "leading"
	case "UniPCMultistepScheduler":
		s.SolverType = "bh2"
	}
	return s
}

// settings reads the config as the given class does, and refuses what no wisp sampler can do.
func (c Config) settings(class string) (settings, error) {
	s := defaults(class)
	if err := json.Unmarshal(c.raw, &s); err != nil {
		return s, fmt.Errorf("sampler: scheduler config: %w: %w", err, ErrConfig)
	}
	s.flow = c.flow
	c.reschedule(&s)
	switch {
	case s.NumTrainTimesteps < 1 || s.NumTrainTimesteps > 100_000:
		return s, bad("num_train_timesteps", s.NumTrainTimesteps)
	case s.StepsOffset < 0 || s.StepsOffset > s.NumTrainTimesteps:
		return s, bad("steps_offset", s.StepsOffset)
	case s.UseBetaSigmas:
		return s, bad("use_beta_sigmas", true)
	case s.UseKarrasSigmas && s.UseExponentialSigmas:
		return s, bad("use_exponential_sigmas", "together with use_karras_sigmas")
	case s.UseLuLambdas:
		return s, bad("use_lu_lambdas", true)
	case s.Thresholding:
		return s, bad("thresholding", true)
	case s.InterpolationType != "linear":
		return s, bad("interpolation_type", s.InterpolationType)
	case s.FinalSigmasType != "zero" && s.FinalSigmasType != "sigma_min":
		return s, bad("final_sigmas_type", s.FinalSigmasType)
	case s.SigmaMin != nil && !(*s.SigmaMin > 0 && *s.SigmaMin < 1e6):
		return s, bad("sigma_min", *s.SigmaMin)
	case s.SigmaMax != nil && !(*s.SigmaMax > 0 && *s.SigmaMax < 1e6):
		return s, bad("sigma_max", *s.SigmaMax)
	case !c.flow && s.PredictionType != "epsilon" && s.PredictionType != "v_prediction" && s.PredictionType != "sample":
		return s, bad("prediction_type", s.PredictionType)
	case s.TimestepType == "continuous" && s.PredictionType == "v_prediction":
		return s, bad("timestep_type", s.TimestepType)
	}
	return s, nil
}

// bad is the error for a config field whose value is wrong or not supported.
func bad(field string, value any) error {
	return fmt.Errorf("sampler: %s: %v is not supported: %w", field, value, ErrConfig)
}
