package sampler

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// Every schedule against its formula, written out in tests/golden/sampler/schedules.py.
func TestSchedules(t *testing.T) {
	data, err := os.ReadFile("../../tests/golden/sampler/schedules.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name   string
		Steps  int
		Sigmas []float32
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) == 0 {
		t.Fatal(err, len(cases))
	}
	for _, c := range cases {
		config, err := parse(t, `{"_class_name":"EulerDiscreteScheduler","beta_schedule":"scaled_linear","beta_start":0.00085,"beta_end":0.012}`).WithSchedule(c.Name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New("", config, Plan{Steps: c.Steps})
		if err != nil {
			t.Errorf("%s, %d steps: %v", c.Name, c.Steps, err)
			continue
		}
		near(t, fmt.Sprint(c.Name, " ", c.Steps), s.Sigmas(), c.Sigmas, 0)
	}
}

// Each schedule with each sampler of each family goes down, or is refused in words.
func TestSchedulesGoDown(t *testing.T) {
	for _, class := range []string{"EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler"} {
		for _, schedule := range Schedules {
			config, err := parse(t, `{"_class_name":"`+class+`"}`).WithSchedule(schedule.Name)
			if err != nil {
				t.Fatal(err)
			}
			for _, info := range List(config) {
				for _, steps := range []int{1, 2, 5, 20} {
					s, err := New(info.Name, config, Plan{Steps: steps})
					if errors.Is(err, ErrRequest) || errors.Is(err, ErrConfig) {
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					goesDown(t, fmt.Sprint(class, schedule.Name, info.Name, steps), s)
				}
			}
		}
	}
}

// goesDown checks that noise levels never rise, that all is finite, and that a walk is.
func goesDown(t *testing.T, what string, s Sampler) {
	t.Helper()
	levels := s.Sigmas()
	for i := 1; i < len(levels); i++ {
		if !(levels[i] <= levels[i-1]) && !strings.Contains(what, "restart") && !strings.Contains(what, "heunpp2") { // which go back on purpose

			t.Errorf("%s: level %d of %v", what, i, levels)
		}
	}
	first, x, _ := drive(s, begin(s, 4, 0), Chooses(s))
	for _, v := range append(first, x...) {
		if v != v || v-v != 0 {
			t.Errorf("%s: %v", what, v)
			return
		}
	}
}

// TestFlowRespaced: what diffusers' set_timesteps(sigmas=linspace(1, 1/4, 4)) makes of a flow's schedule that is
// respaced, which FLUX's and Z-Image's pipelines ask for.
func TestFlowRespaced(t *testing.T) {
	for field, want := range map[string][]float64{
		"use_karras_sigmas":      {1, 0.746542, 0.55027, 0.4, 0},
		"use_exponential_sigmas": {1, 0.736806, 0.542884, 0.4, 0},
		"use_beta_sigmas":        {1, 0.834752, 0.565248, 0.4, 0},
	} {
		config, err := parse(t, `{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 2, "`+field+`": true}`).WithSchedule("trailing")
		if err != nil {
			t.Fatal(err)
		}
		s, err := New("", config, Plan{Steps: 4})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range s.Sigmas() {
			if math.Abs(float64(v)-want[i]) > 2e-6 {
				t.Errorf("%s: %v, want %v", field, s.Sigmas(), want)
				break
			}
		}
	}
}

// TestWalksEnd: whatever the schedule, a walk of any solver ends where there is next to no noise.
func TestWalksEnd(t *testing.T) {
	for _, text := range fuzzed[:5] {
		plain := parse(t, text)
		for _, info := range List(plain) {
			for _, schedule := range Schedules {
				for _, steps := range []int{1, 2, 4, 16} {
					c, err := plain.WithSchedule(schedule.Name)
					if err != nil {
						t.Fatal(err)
					}
					s, err := New(info.Name, c, Plan{Steps: steps, Tokens: 1024})
					if err != nil || Chooses(s) {
						continue
					}
					if last := s.Sigmas()[len(s.Sigmas())-1]; last > 0.05 {
						t.Errorf("%s, %s, %s, %d steps: ends at %v", plain.Class(), info.Name, schedule.Name, steps, last)
					}
				}
			}
		}
	}
}
