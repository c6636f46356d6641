package sampler

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// golden is one run of a diffusers scheduler; see tests/golden/sampler/make.py.
type golden struct {
	Name      string // of the sampler; "": the file's
	Config    int    // its place among the file's configs
	Steps     int
	Start     int
	Tokens    int
	Eta       *float64
	Churn     string
	Still     bool // the network is the same at every run
	Timesteps []float32
	Sigmas    []float32 // none: the scheduler has none
	Init      float32
	Begin     []float32 // the first x of a walk that starts later
	Final     []float32
	Denoised  []float32 // at the first step; none: the scheduler does not say
	Asked     []int     // the steps at which it drew noise
}

// goldens are the files, with the sampler's name where their cases have none.
var goldens = []struct {
	file, name string
	rounding   float64 // of x at its largest, in units of its last place
}{
	{"euler", "euler", 1}, {"ddim", "ddim", 1}, {"flow_euler", "", 1}, {"euler_ancestral", "euler_a", 1},
	{"heun", "heun", 128}, // diffusers' second slope divides a difference of float32 by a sigma that may be much the smaller
	// solvers that integrate the noise divide by alpha of the first level, which is near 0, and so the rounding of x
	// (SA-Solver's coefficients besides cancel to a thousandth, in float32)
	{"plms", "plms", 1}, {"dpmpp_2m", "", 1}, {"dpmpp_2m_sde", "", 4}, {"unipc", "", 64}, {"lcm", "lcm", 1}, {"tcd", "tcd", 1},
	{"pndm", "", 1}, {"lms", "lms", 1}, {"dpm_2", "dpm_2", 1}, {"dpm_2_a", "dpm_2_a", 1}, {"ddpm", "", 16}, {"deis", "", 512},
	{"dpm_singlestep", "", 1}, {"dpmsolver", "", 1}, {"edm", "", 1},
	{"flow_more", "", 1}, {"consistency_models", "", 1}, {"scm", "", 1}, {"sa_solver", "", 4096}, {"score_sde", "", 4}, {"k_diffusion", "", 128}, {"comfyui", "", 4}, {"dpm_sde", "dpmpp_sde", 4}, {"papers", "", 4}, {"flow_invert", "euler", 1}, {"cld", "", 4},
}

func TestMatchesDiffusers(t *testing.T) {
	for _, f := range goldens {
		configs, cases := read(t, f.file)
		for i, c := range cases {
			t.Run(fmt.Sprintf("%s/%d_%dsteps", f.file, i, c.Steps), func(t *testing.T) { c.check(t, configs[c.Config], f.name, f.rounding) })
		}
	}
}

func read(t *testing.T, name string) ([]Config, []golden) {
	t.Helper()
	data, err := os.ReadFile("../../tests/golden/sampler/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Configs []Config
		Cases   []golden
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(file.Cases) == 0 {
		t.Fatalf("%s: no cases", name)
	}
	return file.Configs, file.Cases
}

// Every sampler has goldens of 5, 10 and 20 steps; those of diffusers' classes for every prediction and spacing that the
// class has.
func TestGoldensCover(t *testing.T) {
	have, walks := map[string]bool{}, 0
	for _, f := range goldens {
		configs, cases := read(t, f.file)
		for _, c := range cases {
			walks++
			config := configs[c.Config]
			r, err := find(cmp.Or(c.Name, f.name), config)
			if err != nil {
				t.Fatal(err)
			}
			s, err := config.settings(r.reads(config), "")
			if err != nil {
				t.Fatal(err)
			}
			have[fmt.Sprint(r.Name, c.Steps)] = true
			have[fmt.Sprint(r.class, s.PredictionType, s.TimestepSpacing, c.Steps)] = true
		}
	}
	if t.Logf("%d walks", walks); walks < 200 {
		t.Errorf("%d walks, want 200 and more", walks)
	}
	for _, r := range table {
		for _, steps := range []int{5, 10, 20} {
			if r.family != consistencyFamily && !have[fmt.Sprint(r.Name, steps)] {
				t.Errorf("%s: no golden of %d steps", r.Name, steps)
			}
			for _, prediction := range predictions(r) {
				for _, spacing := range spacings(r) {
					if !have[fmt.Sprint(r.class, prediction, spacing, steps)] {
						t.Errorf("%s: no golden of %s, %s, %d steps", r.class, prediction, spacing, steps)
					}
				}
			}
		}
	}
}

// predictions are those of the class of a sampler of noise schedules; diffusers' own steps refuse the others.
func predictions(r row) []string {
	switch {
	case r.family != vpFamily || strings.Contains(r.class, "Parallel") || r.class == "":
		return nil
	case slices.Contains([]string{"EulerAncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "PNDMScheduler", "DPMSolverSDEScheduler"}, r.class):
		return []string{"epsilon", "v_prediction"}
	}
	return []string{"epsilon", "v_prediction", "sample"}
}

// spacings are those of the class: LCM and TCD have the field and never read it.
func spacings(r row) []string {
	field := string(classes()[r.class].fields["timestep_spacing"])
	switch {
	case r.class == "LCMScheduler" || r.class == "TCDScheduler":
		return []string{"leading"}
	case field == "":
		return []string{"linspace"} // the one that it has
	}
	return []string{"linspace", "leading", "trailing"}
}

func (c golden) check(t *testing.T, config Config, name string, rounding float64) {
	defer func() {
		if t.Failed() {
			t.Logf("start %d, config %s", c.Start, config.raw)
		}
	}()
	if c.Name != "" {
		name = c.Name
	}
	s, err := New(name, config, Plan{Steps: c.Steps, Start: c.Start, Tokens: c.Tokens, Eta: c.Eta, Varies: varies(config), Churn: churnOf(t, c.Churn)})
	if err != nil {
		t.Fatal(err)
	}
	if c.Timesteps != nil {
		near(t, "timesteps", s.Timesteps(), c.Timesteps, 0)
	}
	if c.Sigmas != nil {
		near(t, "sigmas", s.Sigmas(), c.Sigmas, 0)
	}
	if len(s.Sigmas()) != len(s.Timesteps())+1 {
		t.Fatalf("%d sigmas for %d timesteps", len(s.Sigmas()), len(s.Timesteps()))
	}
	if c.Init != 0 {
		near(t, "init", []float32{s.InitSigma()}, []float32{c.Init}, 0)
	}
	slack := rounding * float64(s.InitSigma()) * 0x1p-23 // x starts this large, and both sides hold it in float32
	begin := begin(s, len(c.Final), c.Start)
	if c.Begin != nil {
		near(t, "begin", begin, c.Begin, slack)
	}
	first, final, asked := drive(s, begin, c.Still)
	if c.Denoised != nil {
		near(t, "denoised", first, c.Denoised, slack)
	}
	if c.Still { // the lengths of its steps are the differences of numbers in float32
		slack += 1e-4
	}
	near(t, "final", final, c.Final, slack)
	if c.Timesteps != nil && !slices.Equal(asked, c.Asked) {
		t.Errorf("drew noise at %v, diffusers at %v", asked, c.Asked)
	}
	if _, again, _ := drive(s, begin, c.Still); !slices.Equal(again, final) {
		t.Error("a second run with the same sampler differs")
	}
}

// varies is whether make.py's network gives a variance to the scheduler.
func varies(c Config) bool {
	var file struct {
		VarianceType string `json:"variance_type"`
	}
	json.Unmarshal(c.raw, &file)
	return strings.HasPrefix(c.class, "DDPM") && strings.HasPrefix(file.VarianceType, "learned")
}

// begin is the x that make.py begins a walk with.
func begin(s Sampler, n, start int) []float32 {
	x, noise := make([]float32, n), make([]float32, n)
	for k := range x {
		noise[k] = float32(1.5 * math.Sin(float64(12*k+1)))
		if x[k] = noise[k] * s.InitSigma(); start > 0 {
			x[k] = float32(0.7 * math.Sin(float64(3*k)))
		}
	}
	if start > 0 {
		s.AddNoise(0, x, noise)
	}
	return x
}

// drive runs the made-up network of make.py from x, of which it makes a copy. It gives the first step's prediction, the
// last x, and the steps that drew noise.
func drive(s Sampler, begin []float32, still bool) (first, x []float32, asked []int) {
	n := len(begin)
	x = slices.Clone(begin)
	in, out, noise := make([]float32, n), make([]float32, 2*n), make([]float32, n)
	first = make([]float32, n)
	for i := 0; i < len(s.Timesteps()); i++ {
		copy(in, x)
		s.Scale(i, in)
		run := float64(i)
		if still {
			run = 0
		}
		for k := range in {
			out[k] = float32(0.5*math.Sin(float64(in[k])+run) + 0.1*math.Cos(float64(7*k)))
			out[n+k] = float32(0.3*math.Sin(float64(out[k])) + 0.5)
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

// churnOf reads what comfyui.py calls a churn.
func churnOf(t *testing.T, text string) *Churn {
	if text == "" {
		return nil
	}
	c := &Churn{Max: math.MaxFloat64, Noise: 1}
	if _, err := fmt.Sscanf(text, "%g min=%g max=%g noise=%g", &c.S, &c.Min, &c.Max, &c.Noise); err != nil && c.S == 0 {
		t.Fatal(err)
	}
	return c
}
