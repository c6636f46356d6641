//go:build !js

package tests

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine/cpu"
	"wisp/engine/diffusion"
)

// rescheduled is a model with some fields of a config set, all of them where
// the class is among them.
type rescheduled struct {
	diffusion.Model
	component string
	set       map[string]any
}

func (r rescheduled) Config(component string) (json.RawMessage, bool) {
	b, ok := r.Model.Config(component)
	if component != r.component {
		return b, ok
	}
	fields := map[string]any{}
	if r.set["_class_name"] == nil && json.Unmarshal(b, &fields) != nil {
		return nil, false
	}
	for name, v := range r.set {
		fields[name] = v
	}
	b, err := json.Marshal(fields)
	return b, err == nil
}

// TestDefaultSteps: without a wisp.json, a model is drawn as its card has it,
// which its scheduler tells. The fields are those of the published files.
func TestDefaultSteps(t *testing.T) {
	betas := map[string]any{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
	scheduler := func(class string, fields map[string]any) map[string]any {
		all := map[string]any{"_class_name": class, "timestep_spacing": "leading", "prediction_type": "epsilon"}
		for _, list := range []map[string]any{betas, fields} {
			for name, v := range list {
				all[name] = v
			}
		}
		return all
	}
	trailing := map[string]any{"timestep_spacing": "trailing"}
	for _, c := range []struct {
		name, golden, component string
		set                     map[string]any
		steps                   int
		guidance                float32
	}{
		{"Stable Diffusion", "sd_weights", "scheduler", scheduler("PNDMScheduler", map[string]any{"skip_prk_steps": true}), 20, 7.5},
		{"SD-Turbo", "sd_weights", "scheduler", scheduler("EulerDiscreteScheduler", trailing), 1, 0},
		{"zero SNR", "sd_weights", "scheduler", scheduler("DDIMScheduler", map[string]any{"timestep_spacing": "trailing", "rescale_betas_zero_snr": true, "prediction_type": "v_prediction"}), 20, 7.5},
		{"with LCM's LoRA", "sd_weights", "scheduler", scheduler("LCMScheduler", nil), 4, 1},
		{"Hyper-SD", "sd_weights", "scheduler", scheduler("DDIMScheduler", trailing), 4, 0},
		{"LCM", "lcm", "scheduler", nil, 4, 8.5},
		{"SDXL", "sdxl", "scheduler", scheduler("EulerDiscreteScheduler", nil), 30, 5},
		{"SDXL-Turbo", "sdxl", "scheduler", scheduler("EulerAncestralDiscreteScheduler", trailing), 1, 0},
		{"SDXL-Lightning", "sdxl", "scheduler", scheduler("EulerDiscreteScheduler", trailing), 4, 0},
		{"SDXL-Lightning in one step", "sdxl", "scheduler", scheduler("EulerDiscreteScheduler", map[string]any{"timestep_spacing": "trailing", "prediction_type": "sample"}), 1, 0},
		{"SDXL with TCD", "sdxl", "scheduler", scheduler("TCDScheduler", nil), 4, 0},
		{"PixArt-δ", "pixart_alpha", "scheduler", scheduler("LCMScheduler", nil), 4, 1},
		{"FLUX.1 schnell", "flux_schnell", "scheduler", nil, 4, 0},
		{"FLUX.1 dev", "flux_dev", "scheduler", nil, 28, 3.5},
		{"FLUX.2-klein", "flux2_klein", "model_index", map[string]any{"is_distilled": true}, 4, 1},
		{"FLUX.2-klein base", "flux2_klein", "model_index", nil, 50, 4},
		{"Z-Image-Turbo", "z_image", "scheduler", nil, 9, 0},
		{"Z-Image", "z_image", "scheduler", map[string]any{"shift": 6.0}, 50, 5},
	} {
		m := rescheduled{directory{t, filepath.Join("golden", "pipeline", c.golden, "model")}, c.component, c.set}
		p, err := diffusion.New(t.Context(), cpu.New(), m, nil, diffusion.Budget(1))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r := p.Defaults(); r.Steps != c.steps || r.Guidance != c.guidance {
			t.Errorf("%s: %d steps, guidance %v; want %d, %v", c.name, r.Steps, r.Guidance, c.steps, c.guidance)
		}
		if strings.Contains(c.name, "Z-Image") && p.Defaults().Schedule != "trailing" {
			t.Errorf("%s: the schedule is %q", c.name, p.Defaults().Schedule)
		}
		p.Close()
	}
}
