package sampler

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// TestInverse: where the network predicts the same noise at every step, the way
// back to noise passes where DDIM's way from it does, and ends where that began.
func TestInverse(t *testing.T) {
	for _, config := range []string{
		`{"_class_name":"DDIMScheduler","set_alpha_to_one":false,"steps_offset":1,"clip_sample":false}`,
		`{"_class_name":"EulerDiscreteScheduler","timestep_spacing":"trailing"}`,
	} {
		c, err := ParseConfig([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		for _, plan := range []Plan{{Steps: 10}, {Steps: 7, Start: 3}} {
			back, err := Inverse(c, plan)
			if err != nil {
				t.Fatal(err)
			}
			ddim, err := New("ddim", c, plan)
			if err != nil {
				t.Fatal(err)
			}
			noise, picture := []float32{0.3, -1, 0.7}, []float32{1, -0.5, 0.25}
			x, way, told := slices.Clone(picture), [][]float32{}, slices.Clone(back.Timesteps())
			for i := range told {
				back.Step(i, x, noise, nil)
				way = append(way, slices.Clone(x))
			}
			slices.Reverse(way)
			if slices.Reverse(told); !slices.Equal(told, ddim.Timesteps()) {
				t.Errorf("%s %+v: told %v, want %v", config, plan, told, ddim.Timesteps())
			}
			for i, want := range append(way[1:], picture) {
				ddim.Step(i, x, noise, nil)
				for k := range x {
					if d := math.Abs(float64(x[k] - want[k])); !(d < 5e-5) {
						t.Errorf("%s %+v: %g beside the way after step %d", config, plan, d, i)
					}
				}
			}
		}
	}
	flow, err := ParseConfig([]byte(`{"_class_name":"FlowMatchEulerDiscreteScheduler"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Inverse(flow, Plan{Steps: 4}); !errors.Is(err, ErrRequest) {
		t.Errorf("a flow model by DDIM: %v", err)
	}
}
