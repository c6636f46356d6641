package sampler

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Config is a scheduler_config.json. Its zero value is no model's; make one with ParseConfig or json.Unmarshal.
type Config struct {
	class    string
	family   family
	raw      json.RawMessage
	schedule string    // see WithSchedule
	visits   []float64 // the timesteps of a schedule that lists them
}

// ParseConfig reads a scheduler_config.json. What Python writes for numbers that JSON does not have (diffusers puts
// -Infinity into DPM-Solver's) counts as null. What the fields say is looked at by New. Errors wrap ErrConfig.
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
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	if head.Class == "" {
		return fmt.Errorf("_class_name is missing: %w", ErrConfig)
	}
	*c = Config{class: head.Class, raw: append(json.RawMessage(nil), data...)}
	switch {
	case strings.HasPrefix(head.Class, "FlowMatch") || head.Class == "LTXEulerAncestralRFScheduler" || head.Prediction == "flow_prediction" || head.FlowSigmas:
		c.family = flowFamily
	case strings.HasPrefix(head.Class, "EDM"):
		c.family = edmFamily
	default:
		c.family = ownFamilies[head.Class]
	}
	return nil
}

// ownFamilies are those of classes whose models no other class samples.
var ownFamilies = map[string]family{
	"CMStochasticIterativeScheduler": consistencyFamily, "SCMScheduler": trigFamily, "IPNDMScheduler": ipndmFamily,
	"ScoreSdeVeScheduler": scoreVEFamily, "ScoreSdeVpScheduler": scoreVPFamily, "PeRFlowScheduler": perflowFamily,
	"CLDScheduler": dampedFamily,
}

// MarshalJSON gives back the file.
func (c Config) MarshalJSON() ([]byte, error) {
	if c.raw == nil {
		return []byte("null"), nil
	}
	return c.raw, nil
}

// WithFields sets those of the fields that the config's class has, as a pipeline does that insists on them.
func (c Config) WithFields(set map[string]any) (Config, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(c.raw, &fields); err != nil {
		return c, fmt.Errorf("sampler: scheduler config: %w: %w", err, ErrConfig)
	}
	for name, v := range set {
		if _, ok := classes()[c.class].fields[name]; !ok {
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			return c, fmt.Errorf("sampler: scheduler config: %s: %w", name, err)
		}
		fields[name] = text
	}
	var err error
	c.raw, err = json.Marshal(fields)
	return c, err
}

// Class is the config's _class_name.
func (c Config) Class() string { return c.class }

// Flow says whether the model is a flow-matching one, which takes flow samplers only.
func (c Config) Flow() bool { return c.family == flowFamily }

// Velocities says whether the model noises pictures with velocities: its latent is of both, which a pipeline must know.
func (c Config) Velocities() bool { return c.family == dampedFamily }

// settings are the fields of a scheduler_config.json that wisp's samplers read, under diffusers' names.
type settings struct {
	family      family // of Config
	named       bool   // the caller named the sampler, whatever the file says
	rescheduled bool   // WithSchedule was used
	schedule    string // of it
	visits      []float64
	steps       int // of the plan, and so on
	tokens      int
	ownMu       *float64
	varies      bool

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

	ClipSample               bool    `json:"clip_sample"`
	ClipSampleRange          float64 `json:"clip_sample_range"`
	DynamicThresholdingRatio float64 `json:"dynamic_thresholding_ratio"`
	SampleMaxValue           float64 `json:"sample_max_value"`
	Thresholding             bool    `json:"thresholding"`
	SetAlphaToOne            bool    `json:"set_alpha_to_one"`

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
	VarianceType     *string  `json:"variance_type"`
	SolverP          any      `json:"solver_p"`

	OriginalInferenceSteps int     `json:"original_inference_steps"`
	TimestepScaling        float64 `json:"timestep_scaling"`

	UseFlowSigmas      bool     `json:"use_flow_sigmas"`
	FlowShift          *float64 `json:"flow_shift"` // what DPM-Solver and UniPC call the shift
	Shift              float64  `json:"shift"`
	ShiftTerminal      *float64 `json:"shift_terminal"`
	UseDynamicShifting bool     `json:"use_dynamic_shifting"`
	TimeShiftType      string   `json:"time_shift_type"`
	InvertSigmas       bool     `json:"invert_sigmas"`
	BaseShift          float64  `json:"base_shift"`
	MaxShift           float64  `json:"max_shift"`
	BaseImageSeqLen    int      `json:"base_image_seq_len"`
	MaxImageSeqLen     int      `json:"max_image_seq_len"`

	SNoise           float64 `json:"s_noise"`
	ClipDenoised     bool    `json:"clip_denoised"`
	NoiseSamplerSeed *int64  `json:"noise_sampler_seed"`
	ScaleFactors     any     `json:"scale_factors"`
	PredictorOrder   int     `json:"predictor_order"`
	CorrectorOrder   int     `json:"corrector_order"`
	TauFunc          any     `json:"tau_func"`
	BetaMin          float64 `json:"beta_min"`
	BetaMax          float64 `json:"beta_max"`
	SNR              float64 `json:"snr"`
	SamplingEps      float64 `json:"sampling_eps"`
	CorrectSteps     int     `json:"correct_steps"`
	NumTimeWindows   int     `json:"num_time_windows"`
	TNoise           float64 `json:"t_noise"`
	TClean           float64 `json:"t_clean"`
	Beta             float64 `json:"beta"`
	InverseMass      float64 `json:"m_inv"`
	Striding         string  `json:"striding"`
	Eta              float64 `json:"eta"`

	SigmaData          float64 `json:"sigma_data"`
	SigmaSchedule      string  `json:"sigma_schedule"`
	Rho                float64 `json:"rho"`
	StochasticSampling bool    `json:"stochastic_sampling"`
}

// settings reads the config as the given class does: fields that the class has not are left out, those that the file
// has not take the class's defaults; with, JSON or "", goes before both. It refuses what no scheduler knows and what no wisp sampler can do.
func (c Config) settings(class, with string) (settings, error) {
	s := settings{ // of classes that have no such field
		NumTrainTimesteps: 1000, BetaSchedule: "linear", PredictionType: "epsilon", TimestepSpacing: "linspace",
		TimestepType: "discrete", InterpolationType: "linear", FinalSigmasType: "zero", AlgorithmType: "dpmsolver++",
		Shift: 1, TimeShiftType: "exponential", BaseShift: 0.5, MaxShift: 1.15, BaseImageSeqLen: 256, MaxImageSeqLen: 4096,
	}
	if err := c.read(class, &s); err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(cmp.Or(with, "{}")), &s); err != nil {
		return s, fmt.Errorf("sampler: %s: %w: %w", class, err, ErrConfig)
	}
	if s.family = c.family; c.matchesFlow() {
		if err := c.flowFields(&s); err != nil {
			return s, err
		}
	}
	c.reschedule(&s)
	return s, s.check()
}

// matchesFlow is whether the config's own class is one of flow matching, which says so by its name alone.
func (c Config) matchesFlow() bool {
	return c.family == flowFamily && !c.agrees(`{"use_flow_sigmas":true}`) && classes()[c.class].fields["use_flow_sigmas"] == nil
}

// flowFields carries what a flow-matching config says of the model over to a sampler of another class.
func (c Config) flowFields(s *settings) error {
	f := settings{TimeShiftType: "exponential", Shift: 1}
	if err := c.read(c.class, &f); err != nil {
		return err
	}
	s.PredictionType, s.UseFlowSigmas, s.FlowShift, s.Shift = "flow_prediction", true, nil, f.Shift
	s.UseDynamicShifting, s.TimeShiftType, s.ShiftTerminal = f.UseDynamicShifting, f.TimeShiftType, f.ShiftTerminal
	if f.UseDynamicShifting {
		s.BaseShift, s.MaxShift, s.BaseImageSeqLen, s.MaxImageSeqLen = f.BaseShift, f.MaxShift, f.BaseImageSeqLen, f.MaxImageSeqLen
	}
	return nil
}

// check refuses what no sampler here does.
func (s settings) check() error {
	respaced := 0
	for _, on := range []bool{s.UseKarrasSigmas, s.UseExponentialSigmas, s.UseBetaSigmas} {
		if on {
			respaced++
		}
	}
	positive := func(v *float64) bool { return v == nil || *v > 0 && *v < 1e6 }
	switch {
	case s.NumTrainTimesteps < 1 || s.NumTrainTimesteps > 100_000:
		return bad("num_train_timesteps", s.NumTrainTimesteps)
	case s.StepsOffset < 0 || s.StepsOffset > s.NumTrainTimesteps:
		return bad("steps_offset", s.StepsOffset)
	case respaced > 1:
		return bad("use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas together", true)
	case s.Thresholding && !(s.DynamicThresholdingRatio > 0 && s.DynamicThresholdingRatio <= 1):
		return bad("dynamic_thresholding_ratio", s.DynamicThresholdingRatio)
	case s.Thresholding && !(s.SampleMaxValue > 0 && s.SampleMaxValue < 1e6):
		return bad("sample_max_value", s.SampleMaxValue)
	case s.ClipSample && !(s.ClipSampleRange > 0 && s.ClipSampleRange < 1e6):
		return bad("clip_sample_range", s.ClipSampleRange)
	case s.InterpolationType != "linear" && s.InterpolationType != "log_linear":
		return bad("interpolation_type", s.InterpolationType)
	case s.FinalSigmasType != "zero" && s.FinalSigmasType != "sigma_min":
		return bad("final_sigmas_type", s.FinalSigmasType)
	case !positive(s.SigmaMin):
		return bad("sigma_min", *s.SigmaMin)
	case !positive(s.SigmaMax):
		return bad("sigma_max", *s.SigmaMax)
	case s.family > edmFamily: // its sampler looks for itself
		return nil
	case !slices.Contains([]string{"epsilon", "v_prediction", "sample", "flow_prediction"}, s.PredictionType):
		return bad("prediction_type", s.PredictionType)
	case s.PredictionType == "flow_prediction" && !s.UseFlowSigmas:
		return bad("use_flow_sigmas false with prediction_type", s.PredictionType)
	case s.TimestepType != "discrete" && s.TimestepType != "continuous":
		return bad("timestep_type", s.TimestepType)
	}
	return nil
}

// read puts the class's defaults and then the file's fields into s.
func (c Config) read(class string, s *settings) error {
	if err := json.Unmarshal(classes()[class].defaults, s); err != nil {
		return fmt.Errorf("sampler: %s: %w: %w", class, err, ErrConfig)
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(c.raw, &file); err != nil {
		return fmt.Errorf("sampler: scheduler config: %w: %w", err, ErrConfig)
	}
	for _, field := range slices.Sorted(maps.Keys(file)) {
		value := file[field]
		fallback, has := classes()[class].fields[field]
		switch {
		case !has && !known(field, value):
			return bad(field, fmt.Sprintf("%.40s", value))
		case !has:
			delete(file, field)
		case string(value) == "null" && string(fallback) != "null":
			return bad(field, "null")
		}
	}
	own, err := json.Marshal(file)
	if err == nil {
		err = json.Unmarshal(own, s)
	}
	if err != nil {
		return fmt.Errorf("sampler: scheduler config: %w: %w", err, ErrConfig)
	}
	return nil
}

// agrees is whether the config, its class's defaults included, has the values of all fields of with.
func (c Config) agrees(with string) bool {
	have := maps.Clone(classes()[c.class].fields)
	var want map[string]json.RawMessage
	if json.Unmarshal(c.raw, &have) != nil || json.Unmarshal([]byte(cmp.Or(with, "{}")), &want) != nil {
		return false
	}
	for field, value := range want {
		if string(have[field]) != string(value) {
			return false
		}
	}
	return true
}

// bad is the error for a config field whose value is wrong or not supported.
func bad(field string, value any) error {
	return fmt.Errorf("sampler: %s: %v is not supported: %w", field, value, ErrConfig)
}
