//go:build !js

package tests

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"wisp/engine/cpu"
	"wisp/engine/diffusion"
)

// tunedModel is a tiny flow pipeline with a wisp.json.
func tunedModel(t *testing.T, settings string) diffusion.Model {
	return altered{directory{t, filepath.Join("golden", "pipeline", "tiny_flow", "model")}, "wisp", settings}
}

// drawn is a picture's pixels as text.
func drawn(t *testing.T, settings string, steps int, schedule, sampler string) string {
	t.Helper()
	p, err := diffusion.New(t.Context(), cpu.New(), tunedModel(t, settings), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := p.Defaults()
	r.Prompt, r.Width, r.Height, r.Steps, r.Seed, r.Sampler = "red cat", 16, 16, steps, 3, sampler
	if schedule != "" {
		r.Schedule = schedule
	}
	result, err := p.Generate(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(result.Images[0].Pix)
}

// TestTimestepsOfAModel: what wisp.json says is what the model's own sampler
// visits in so many steps, and nothing else changes.
func TestTimestepsOfAModel(t *testing.T) {
	const plain = `{"steps": 3, "guidance": 1, "schedule": "trailing"}`
	const own = `{"steps": 3, "guidance": 1, "schedule": "trailing", "timesteps": {"3": [980, 500.5, 90]}}`
	if a, b := drawn(t, own, 3, "", ""), drawn(t, plain, 3, "980 500.5 90", ""); a != b {
		t.Error("the model's timesteps are not visited")
	}
	for _, c := range []struct {
		steps             int
		schedule, sampler string
	}{{4, "", ""}, {3, "karras", ""}, {3, "", "heun"}} {
		if drawn(t, own, c.steps, c.schedule, c.sampler) != drawn(t, plain, c.steps, c.schedule, c.sampler) {
			t.Errorf("the timesteps of three steps count for %+v", c)
		}
	}
	if drawn(t, own, 3, "", "") == drawn(t, plain, 3, "", "") {
		t.Error("the timesteps change nothing")
	}
	for _, bad := range []string{`{"3": [1, 2, 3]}`, `{"3": [999, 5]}`, `{"x": [3]}`, `{"2": [5000, 1]}`, `{"3": "x"}`} {
		_, err := diffusion.New(t.Context(), cpu.New(), tunedModel(t, `{"steps": 3, "guidance": 1, "timesteps": `+bad+`}`), nil)
		if !errors.Is(err, diffusion.ErrBadModel) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestTune: what is found can be visited, in the steps asked for, and is the
// same for the same seeds; what it tells of its gain is so.
func TestTune(t *testing.T) {
	p, err := diffusion.New(t.Context(), cpu.New(), tunedModel(t, `{"steps": 3, "guidance": 1}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := p.Defaults()
	r.Width, r.Height = 16, 16
	prompts := []string{"red cat", "the house"}
	found, err := p.Tune(t.Context(), r, prompts, func(int, int) {})
	if err != nil || len(found.Timesteps) != 3 {
		t.Fatal(found, err)
	}
	for i := 1; i < 3; i++ {
		if !(found.Timesteps[i] < found.Timesteps[i-1]) {
			t.Errorf("%v", found.Timesteps)
		}
	}
	if !(found.After < found.Before) {
		t.Errorf("diffusers' schedule ends its last step where it begins: %v", found)
	}
	again, err := p.Tune(t.Context(), r, prompts, func(int, int) {})
	if err != nil || fmt.Sprint(again) != fmt.Sprint(found) {
		t.Errorf("%v, then %v, %v", found, again, err)
	}
	t.Logf("%.4f from the exact solution before, %.4f after, at %v", found.Before, found.After, found.Timesteps)
	for field, r := range map[string]diffusion.Request{"steps": {Steps: 0}, "guidance": {Steps: 2, Guidance: -1}} {
		r.Width, r.Height = 16, 16
		if _, err := p.Tune(t.Context(), r, prompts, nil); !errors.Is(err, diffusion.ErrBadRequest) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
