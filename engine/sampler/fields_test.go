package sampler

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// inert are fields that diffusers has in a class's signature and does not read there.
var inert = map[string]string{
	"FlowMatchLCMScheduler":          "upscale_mode", // without scale_factors, which are refused
	"SCMScheduler":                   "num_train_timesteps",
	"PeRFlowScheduler":               "set_alpha_to_one",
	"IPNDMScheduler":                 "num_train_timesteps",
	"ScoreSdeVeScheduler":            "num_train_timesteps",
	"ScoreSdeVpScheduler":            "num_train_timesteps",
	"EDMEulerScheduler":              "num_train_timesteps",
	"EDMDPMSolverMultistepScheduler": "num_train_timesteps euler_at_final", // its walk rests at the end, where euler_at_final could count
	"LCMScheduler":                   "set_alpha_to_one steps_offset timestep_spacing",
	"TCDScheduler": "clip_sample clip_sample_range dynamic_thresholding_ratio sample_max_value set_alpha_to_one steps_offset " +
		"thresholding timestep_scaling timestep_spacing",
	"flow": "beta_end beta_schedule beta_start trained_betas rescale_betas_zero_snr timestep_spacing steps_offset lambda_min_clipped", // of a flow model: they shape the schedule that use_flow_sigmas replaces
}

// asked are the fields that make another one count.
var asked = map[string]map[string]any{
	"sigma_min":                  {"use_karras_sigmas": true},
	"sigma_max":                  {"use_karras_sigmas": true},
	"steps_offset":               {"timestep_spacing": "leading"},
	"lower_order_final":          {"final_sigmas_type": "sigma_min", "solver_order": 3},
	"euler_at_final":             {"final_sigmas_type": "sigma_min", "lower_order_final": false},
	"clip_denoised":              {"sigma_data": 4},
	"clip_sample_range":          {"clip_sample": true},
	"thresholding":               {"sample_max_value": 3, "sigma_data": 4},
	"sample_max_value":           {"thresholding": true, "sigma_data": 4},
	"dynamic_thresholding_ratio": {"thresholding": true, "sample_max_value": 3, "sigma_data": 4},
	"flow_shift":                 {"use_flow_sigmas": true, "prediction_type": "flow_prediction"},
	"shift_terminal":             {"use_flow_sigmas": true, "prediction_type": "flow_prediction"},
	"time_shift_type":            {"use_dynamic_shifting": true},
	"base_shift":                 {"use_dynamic_shifting": true},
	"max_shift":                  {"use_dynamic_shifting": true},
	"base_image_seq_len":         {"use_dynamic_shifting": true},
	"max_image_seq_len":          {"use_dynamic_shifting": true},
}

// others gives values unlike a field's default.
func others(field string, value any) []any {
	switch v := value.(type) {
	case bool:
		return []any{!v}
	case float64:
		return []any{v*0.75 + 1, v * 0.75, -v - 1}
	case []any:
		return []any{[]int{1}}
	case string:
		return []any{"other", "v_prediction", "sample", "leading", "trailing", "linspace", "heun", "bh1", "scaled_linear"}
	}
	if field == "trained_betas" {
		return []any{slices.Repeat([]float64{0.01}, 1000), []float64{0.5}}
	}
	return []any{0.5, "other"}
}

// Every field of every class changes what is drawn, or is refused by its name, or is listed as one that does not matter.
func TestEveryFieldCounts(t *testing.T) {
	for _, r := range table {
		if r.class == "" {
			continue
		}
		fields := classes()[r.class].fields
		if len(fields) == 0 {
			t.Errorf("%s is no class of diffusers", r.class)
		}
		base := map[string]any{}
		if r.with != "" {
			json.Unmarshal([]byte(r.with), &base)
		}
		base["_class_name"] = r.class
		if r.family == flowFamily && fields["use_flow_sigmas"] != nil {
			base["use_flow_sigmas"], base["prediction_type"] = true, "flow_prediction"
		}
		if r.class == "PNDMScheduler" {
			base["skip_prk_steps"] = true
		}
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			checkField(t, r, base, field)
		}
	}
}

func checkField(t *testing.T, r row, base map[string]any, field string) {
	if r.family == flowFamily && (strings.Contains(inert["flow"], field) || r.class == "SASolverScheduler" && field == "lower_order_final") || strings.Contains(inert[r.class]+" ", field+" ") {
		return
	}
	base = maps.Clone(base)
	names := field // one of which a refusal must say
	for also, value := range asked[field] {
		if classes()[r.class].fields[also] != nil {
			base[also] = value
			names += " " + also
		}
	}
	plain, err := walkOf(base)
	if err != nil && !says(err, names) {
		t.Errorf("%s with what %s needs: %v", r.class, field, err)
	}
	var value any
	json.Unmarshal(classes()[r.class].fields[field], &value)
	if base[field] != nil {
		value = base[field]
	}
	for _, other := range others(field, value) {
		file := maps.Clone(base)
		if file[field] = other; fmt.Sprint(other) == fmt.Sprint(value) {
			continue
		}
		got, err := walkOf(file)
		if err != nil && !says(err, names) {
			t.Errorf("%s: %s %.40v is refused without its name: %v", r.class, field, other, err)
		}
		if err == nil && got == plain && !alias(r.class, field, other) {
			t.Errorf("%s: %s %.40v changes nothing", r.class, field, other)
		}
	}
}

func says(err error, names string) bool {
	return errors.Is(err, ErrRequest) || slices.ContainsFunc(strings.Fields(names), func(n string) bool { return strings.Contains(err.Error(), n) })
}

// alias is whether diffusers takes a value for the default.
func alias(class, field string, value any) bool {
	switch field {
	case "solver_type":
		return value == map[bool]string{true: "bh1", false: "heun"}[strings.Contains(class, "DPM")] || class == "DEISMultistepScheduler"
	}
	return false
}

// walkOf is all that a sampler does over twelve steps, as text.
func walkOf(file map[string]any) (string, error) {
	data, err := json.Marshal(file)
	if err != nil {
		return "", err
	}
	c, err := ParseConfig(data)
	if err != nil {
		return "", err
	}
	s, err := New("", c, Plan{Steps: 12})
	if err != nil {
		return "", err
	}
	first, x, asked := drive(s, begin(s, 8, 0), false)
	return fmt.Sprint(s.Timesteps(), s.Sigmas(), first, x, asked), nil
}

func TestUnknownFields(t *testing.T) {
	const ddim = `{"_class_name":"DDIMScheduler"`
	for _, c := range []struct{ field, error string }{
		{`"use_new_sigmas":false`, "use_new_sigmas: false is not supported"},
		{`"Beta_End":0.5`, "Beta_End"},
		{`"beta_end":null`, "beta_end: null"},
		{`"predict_epsilon":false`, "predict_epsilon: false"},
		{`"beta_start":"x"`, "beta_start"},
		{`"use_new_sigmas":null,"predict_epsilon":true,"tensor_format":"pt","_name_or_path":"x","skip_prk_steps":true,"trained_betas":null`, ""},
	} {
		_, err := New("", parse(t, ddim+","+c.field+"}"), Plan{Steps: 4})
		if c.error == "" && err != nil || c.error != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.error)) {
			t.Errorf("%s: got %v, want %q", c.field, err, c.error)
		}
	}
}
