package sampler

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
)

// golden is one run of a diffusers scheduler; see tests/golden/sampler/make.py.
type golden struct {
	Config    Config
	Steps     int
	Timesteps []float32
	Sigmas    []float32 // none: the scheduler has none
	Init      float32
	Final     []float32
	Denoised  []float32 // at the first step; none: the scheduler does not say
	Asked     []int     // the steps at which it drew noise
}

func TestMatchesDiffusers(t *testing.T) {
	for _, f := range []struct {
		file, name string
		rounding   float64 // of x at its largest, in units of its last place
	}{
		{"euler", "euler", 1}, {"ddim", "ddim", 1}, {"flow_euler", "euler", 1}, {"euler_ancestral", "euler_a", 1},
		{"heun", "heun", 16}, // the second slope divides by a sigma that may be much the smaller
		{"plms", "plms", 1}, {"dpmpp_2m", "", 1}, {"dpmpp_2m_sde", "", 1}, {"unipc", "", 1}, {"lcm", "lcm", 1},
		{"tcd", "tcd", 1},
	} {
		data, err := os.ReadFile("../../tests/golden/sampler/" + f.file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Cases []golden }
		if err := json.Unmarshal(nullNonNumbers(data), &file); err != nil {
			t.Fatalf("%s: %v", f.file, err)
		}
		if len(file.Cases) == 0 {
			t.Fatalf("%s: no cases", f.file)
		}
		for i, c := range file.Cases {
			t.Run(fmt.Sprintf("%s/%d_%dsteps", f.file, i, c.Steps), func(t *testing.T) { c.check(t, f.name, f.rounding) })
		}
	}
}

func (c golden) check(t *testing.T, name string, rounding float64) {
	defer func() {
		if t.Failed() {
			t.Logf("config %s", c.Config.raw)
		}
	}()
	s, err := New(name, c.Config, c.Steps)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "timesteps", s.Timesteps(), c.Timesteps, 0)
	if c.Sigmas != nil {
		near(t, "sigmas", s.Sigmas(), c.Sigmas, 0)
	}
	if len(s.Sigmas()) != len(s.Timesteps())+1 {
		t.Fatalf("%d sigmas for %d timesteps", len(s.Sigmas()), len(s.Timesteps()))
	}
	near(t, "init", []float32{s.InitSigma()}, []float32{c.Init}, 0)
	slack := rounding * float64(c.Init) * 0x1p-23 // x starts this large, and both sides hold it in float32
	first, final, asked := drive(s, len(c.Final))
	if c.Denoised != nil {
		near(t, "denoised", first, c.Denoised, slack)
	}
	near(t, "final", final, c.Final, slack)
	if !slices.Equal(asked, c.Asked) {
		t.Errorf("drew noise at %v, diffusers at %v", asked, c.Asked)
	}
	if _, again, _ := drive(s, len(c.Final)); !slices.Equal(again, final) {
		t.Error("a second run with the same sampler differs")
	}
}

// drive runs the made-up network of make.py over n elements. It gives the first step's prediction, the last x,
// and the steps that drew noise.
func drive(s Sampler, n int) (first, x []float32, asked []int) {
	x = make([]float32, n)
	for k := range x {
		x[k] = s.InitSigma() * float32(1.5*math.Sin(float64(12*k+1)))
	}
	in, out, noise := make([]float32, n), make([]float32, n), make([]float32, n)
	first = make([]float32, n)
	for i := range s.Timesteps() {
		copy(in, x)
		s.Scale(i, in)
		for k := range out {
			out[k] = float32(0.5*math.Sin(float64(in[k])+float64(i)) + 0.1*math.Cos(float64(7*k)))
			noise[k] = float32(1.4 * math.Cos(float64(5*k+3*i)))
		}
		if i == 0 {
			s.Denoised(i, x, out, first)
		}
		if s.NeedsNoise(i) {
			asked = append(asked, i)
			s.Step(i, x, out, noise)
		} else {
			s.Step(i, x, out, nil)
		}
	}
	return first, x, asked
}

// near allows 1e-5 of the largest value expected, and slack.
func near(t *testing.T, what string, got, want []float32, slack float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	scale, worst, at := 0.0, 0.0, 0
	for i, w := range want {
		scale = max(scale, math.Abs(float64(w)))
		if d := math.Abs(float64(got[i]) - float64(w)); !(d <= worst) {
			worst, at = d, i
		}
	}
	if allowed := 1e-5*scale + slack; !(worst <= allowed) {
		t.Errorf("%s[%d]: got %v want %v (allowed %.2g)", what, at, got[at], want[at], allowed)
	}
}
