package diffusion

import (
	"encoding/json"
	"errors"
	"fmt"

	"wisp/engine/sampler"
)

// parseScheduler decodes the scheduler's config, which may have Python's
// Infinity, into v.
func parseScheduler(m Configs, v any) error {
	text, ok := m.Config("scheduler")
	if !ok {
		return errors.New("the model has no scheduler config")
	}
	config, err := sampler.ParseConfig(text)
	if err != nil {
		return err
	}
	if text, err = json.Marshal(config); err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("scheduler config: %w", err)
	}
	return nil
}

// distilled is how a model is drawn that was taught to need few steps, by its
// publisher's card: its configs differ from other models' by the scheduler's
// alone. The zero value is a model that is none.
type distilled struct {
	steps    int
	guidance float32
}

// readDistilled recognises the kin of latent consistency models (LCMScheduler,
// TCDScheduler), SD-Turbo and SDXL-Turbo (Euler, trailing, in one step), and
// Lightning and Hyper-SD (the same in a few; in one where the picture itself is
// predicted). Models with a zero terminal SNR are trailing, too, and are not
// distilled. euler is how many steps EulerDiscreteScheduler takes then.
func readDistilled(m Configs, euler int) (d distilled, err error) {
	s := struct {
		Class      string `json:"_class_name"`
		Spacing    string `json:"timestep_spacing"`
		Prediction string `json:"prediction_type"`
		ZeroSNR    bool   `json:"rescale_betas_zero_snr"`
	}{Prediction: "epsilon"}
	if err := parseScheduler(m, &s); err != nil {
		return d, err
	}
	trailing := s.Spacing == "trailing" && !s.ZeroSNR && s.Prediction != "v_prediction"
	switch s.Class {
	case "LCMScheduler":
		return distilled{4, 1}, nil
	case "TCDScheduler":
		return distilled{4, 0}, nil
	case "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "DDIMScheduler":
		switch {
		case trailing && (s.Class == "EulerAncestralDiscreteScheduler" || s.Prediction == "sample"):
			return distilled{1, 0}, nil
		case trailing && s.Class == "EulerDiscreteScheduler":
			return distilled{euler, 0}, nil
		case trailing:
			return distilled{4, 0}, nil
		}
	}
	return d, nil
}

// apply puts the recommendation into a request.
func (d distilled) apply(r *Request) {
	if d.steps != 0 {
		r.Steps, r.Guidance = d.steps, d.guidance
	}
}
