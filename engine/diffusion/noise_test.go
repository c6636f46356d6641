package diffusion

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
)

// A seed means what it means to AUTOMATIC1111 and ComfyUI, with subseeds, sizes
// and deltas: tests/golden/rng/noise.py.
func TestNoiseOfOtherPrograms(t *testing.T) {
	data, err := os.ReadFile("../../tests/golden/rng/noise.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Noise                         string
		Seed                          uint64
		Height, Width, Picture, Count int
		First, Next                   []float32
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) == 0 {
		t.Fatal(err, len(cases))
	}
	for _, c := range cases {
		l := Latent{Height: c.Height, Width: c.Width, Channels: 2}
		n := newNoise(Request{Noise: c.Noise, Seed: c.Seed, Count: c.Count}, c.Picture, l)
		for call, want := range [][]float32{c.First, c.Next} {
			got := n.next()
			for k, w := range want {
				i := 3 * k
				pixel, channel := i%(c.Height*c.Width), i/(c.Height*c.Width)
				if d := math.Abs(float64(got[pixel*2+channel] - w)); !(d < 2e-5) {
					t.Fatalf("%q, seed %d, call %d [%d]: %v, want %v", c.Noise, c.Seed, call, i, got[pixel*2+channel], w)
				}
			}
		}
	}
}

func TestNoiseIsChecked(t *testing.T) {
	for text, want := range map[string]string{"gpu": "noise is \"gpu\": choose torch", "cuda strength=2": "strength is \"2\"", "cuda seed=2": "\"seed=2\" is no parameter", "comfyui ensd=1": "comfyui has no parameters", "torch width=-8": "width is"} {
		if _, err := readSource(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
