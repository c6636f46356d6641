package diffusion

import (
	"slices"
	"testing"

	"wisp/engine/rng"
	"wisp/engine/sampler"
)

// TestBrownianNoise: where a sampler's noise is an increment of a path, it is
// that of the seed between the sampler's levels, whatever was drawn before.
func TestBrownianNoise(t *testing.T) {
	config, err := sampler.ParseConfig([]byte(`{"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear"}`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sampler.New("dpmpp_sde", config, sampler.Plan{Steps: 4})
	if err != nil {
		t.Fatal(err)
	}
	n := newNoise(Request{Seed: 9}, 0, Latent{Height: 3, Width: 1, Channels: 2})
	n.next()
	got := n.step(s, 0)
	levels := s.Sigmas()
	from, to, ok := s.Span(0)
	if !ok || from != float64(levels[0]) || to != float64(levels[1]) {
		t.Fatalf("span %v to %v of levels %v", from, to, levels)
	}
	want := make([]float32, 6)
	rng.NewBrownian(9, float64(levels[len(levels)-2]), float64(levels[0])).Increment(from, to, want)
	if turned := []float32{want[0], want[3], want[1], want[4], want[2], want[5]}; !slices.Equal(got, turned) {
		t.Errorf("got %v, want %v", got, turned)
	}
	if last := len(s.Timesteps()) - 1; n.step(s, last) != nil {
		t.Error("the last step draws noise")
	}
}
