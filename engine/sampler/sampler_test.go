package sampler

import (
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func parse(t *testing.T, file string) Config {
	t.Helper()
	c, err := ParseConfig([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewErrors(t *testing.T) {
	const euler = `{"_class_name":"EulerDiscreteScheduler"`
	const ddim = `{"_class_name":"DDIMScheduler"`
	const flow = `{"_class_name":"FlowMatchEulerDiscreteScheduler"`
	for _, c := range []struct {
		name, config string
		steps        int
		want         error
		text         string
	}{
		{"", euler + `}`, 0, ErrRequest, "0 steps"},
		{"", euler + `}`, -1, ErrRequest, "-1 steps"},
		{"", euler + `}`, 1001, ErrRequest, "1001 steps"},
		{"", euler + `,"num_train_timesteps":100}`, 101, ErrRequest, "1 to 100"},
		{"dpmpp2m", euler + `}`, 4, ErrRequest, `no "dpmpp2m" for this model (did you mean dpmpp_2m?)`},
		{"ddim", flow + `}`, 4, ErrRequest, `no "ddim"`},
		{"", `{"_class_name":"RePaintScheduler"}`, 4, ErrConfig, "_class_name: RePaintScheduler is not supported; name one of euler, "},
		{"", `{"_class_name":"DPMSolverMultistepScheduler","algorithm_type":"dpmsolver"}`, 4, ErrConfig, "final_sigmas_type zero with algorithm_type: dpmsolver"},
		{"", `{"_class_name":"DPMSolverMultistepScheduler","solver_order":4}`, 4, ErrConfig, "solver_order: 4"},
		{"", `{"_class_name":"DPMSolverMultistepScheduler"}`, 1000, ErrRequest, "too many for this schedule"},
		{"", `{"_class_name":"DPMSolverMultistepScheduler","variance_type":"learned"}`, 4, ErrConfig, "variance_type: learned"},
		{"", `{"_class_name":"UniPCMultistepScheduler","predict_x0":false}`, 4, ErrConfig, "predict_x0"},
		{"", `{"_class_name":"UniPCMultistepScheduler","solver_order":4}`, 4, ErrConfig, "solver_order: 4"},
		{"", `{"_class_name":"UniPCMultistepScheduler","use_flow_sigmas":true,"use_karras_sigmas":true}`, 4, ErrConfig, "together"},
		{"", `{"_class_name":"PNDMScheduler"}`, 3, ErrRequest, "skip_prk_steps"},
		{"", `{"_class_name":"LCMScheduler"}`, 51, ErrRequest, "1 to 50"},
		{"", `{"_class_name":"TCDScheduler","original_inference_steps":0}`, 4, ErrConfig, "original_inference_steps"},
		{"", euler + `,"prediction_type":"score"}`, 4, ErrConfig, "prediction_type: score"},
		{"", euler + `,"beta_schedule":"odd"}`, 4, ErrConfig, "beta_schedule: odd"},
		{"", euler + `,"beta_start":-1}`, 4, ErrConfig, "beta_start"},
		{"", euler + `,"beta_end":1}`, 4, ErrConfig, "beta_end"},
		{"", euler + `,"beta_end":"x"}`, 4, ErrConfig, "beta_end"},
		{"", euler + `,"num_train_timesteps":0}`, 4, ErrConfig, "num_train_timesteps"},
		{"", euler + `,"num_train_timesteps":1000000000}`, 4, ErrConfig, "num_train_timesteps"},
		{"", euler + `,"num_train_timesteps":1,"rescale_betas_zero_snr":true}`, 1, ErrConfig, "signal variance"},
		{"", euler + `,"beta_start":0.9,"beta_end":0.99}`, 4, ErrConfig, "signal variance"},
		{"", euler + `,"beta_start":1e-12}`, 4, ErrConfig, "signal variance"},
		{"", euler + `,"trained_betas":[0.1]}`, 1, ErrConfig, "trained_betas"},
		{"", euler + `,"trained_betas":[2],"num_train_timesteps":1}`, 1, ErrConfig, "trained_betas"},
		{"", euler + `,"timestep_spacing":"odd"}`, 4, ErrConfig, "timestep_spacing: odd"},
		{"", euler + `,"steps_offset":-1}`, 4, ErrConfig, "steps_offset"},
		{"", euler + `,"use_beta_sigmas":true,"use_karras_sigmas":true}`, 4, ErrConfig, "use_beta_sigmas"},
		{"", euler + `,"use_karras_sigmas":true,"use_exponential_sigmas":true}`, 4, ErrConfig, "together"},
		{"", euler + `,"sigma_min":0}`, 4, ErrConfig, "sigma_min"},
		{"", euler + `,"sigma_max":1e300}`, 4, ErrConfig, "sigma_max"},
		{"", euler + `,"final_sigmas_type":"x"}`, 4, ErrConfig, "final_sigmas_type"},
		{"", euler + `,"interpolation_type":"cubic"}`, 4, ErrConfig, "interpolation_type"},
		{"", ddim + `,"thresholding":true,"sample_max_value":-1}`, 4, ErrConfig, "sample_max_value"},
		{"", ddim + `,"steps_offset":1}`, 1000, ErrRequest, "steps_offset 1"},
		{"", ddim + `,"rescale_betas_zero_snr":true,"timestep_spacing":"trailing"}`, 4, ErrConfig, "epsilon"},
		{"", flow + `,"shift":0}`, 4, ErrConfig, "shift"},
		{"", flow + `,"use_dynamic_shifting":true}`, 4, ErrConfig, "use_dynamic_shifting"},
		{"", flow + `,"shift_terminal":1}`, 4, ErrConfig, "shift_terminal"},
	} {
		_, err := New(c.name, parse(t, c.config), Plan{Steps: c.steps})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("New(%q, %s, %d): got %v, want %v with %q", c.name, c.config, c.steps, err, c.want, c.text)
		}
	}
	for _, p := range []Plan{{Steps: 4, Start: 4}, {Steps: 4, Start: -1}, {Steps: 4, Eta: new(float64(1.5))}} {
		if _, err := New("", parse(t, ddim+"}"), p); !errors.Is(err, ErrRequest) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if _, err := New("", Config{}, Plan{Steps: 4}); !errors.Is(err, ErrConfig) {
		t.Errorf("zero config: %v", err)
	}
	for _, file := range []string{"", "[]", "{}", `{"_class_name":3}`, `{"_class_name":"X"`} {
		if _, err := ParseConfig([]byte(file)); !errors.Is(err, ErrConfig) {
			t.Errorf("ParseConfig(%q): %v", file, err)
		}
	}
}

func TestListFitsTheModel(t *testing.T) {
	for _, class := range []string{"DDIMScheduler", "LMSDiscreteScheduler", "RePaintScheduler", "EDMEulerScheduler", "FlowMatchEulerDiscreteScheduler"} {
		c := parse(t, `{"_class_name":"`+class+`"}`)
		list := List(c)
		if len(list) == 0 {
			t.Fatalf("%s: empty", class)
		}
		seen := map[string]bool{}
		for _, info := range list {
			if seen[info.Name] || info.Label == "" {
				t.Errorf("%s: bad entry %+v", class, info)
			}
			seen[info.Name] = true
			if _, err := New(info.Name, c, Plan{Steps: 7}); err != nil {
				t.Errorf("%s: %s: %v", class, info.Name, err)
			}
		}
		own, err := New("", c, Plan{Steps: 7})
		if err != nil {
			continue // RePaint: wisp has no such class
		}
		first, err := New(list[0].Name, c, Plan{Steps: 7})
		if err != nil {
			t.Fatal(err)
		}
		_, a, _ := drive(own, begin(own, 4, 0), false)
		_, b, _ := drive(first, begin(first, 4, 0), false)
		if [4]float32(a) != [4]float32(b) {
			t.Errorf("%s: %q listed first is not the config's own", class, list[0].Name)
		}
	}
}

func TestConfigRoundTrip(t *testing.T) {
	const file = `{"pipeline":{"_class_name":"DDIMScheduler","clip_sample":false}}`
	var model struct {
		Pipeline Config `json:"pipeline"`
	}
	if err := json.Unmarshal([]byte(file), &model); err != nil {
		t.Fatal(err)
	}
	if out, err := json.Marshal(model); err != nil || string(out) != file {
		t.Errorf("got %s, %v", out, err)
	}
	if model.Pipeline.Class() != "DDIMScheduler" || model.Pipeline.Flow() {
		t.Errorf("class %q flow %v", model.Pipeline.Class(), model.Pipeline.Flow())
	}
}

func TestEveryStepCountIsFinite(t *testing.T) {
	for _, class := range []string{"EulerDiscreteScheduler", "DDIMScheduler", "FlowMatchEulerDiscreteScheduler"} {
		for _, spacing := range []string{"leading", "trailing", "linspace"} {
			c := parse(t, `{"_class_name":"`+class+`","timestep_spacing":"`+spacing+`"}`)
			for _, info := range List(c) {
				for _, steps := range []int{1, 2, 3, 7, 61, 103, 999, 1000} {
					s, err := New(info.Name, c, Plan{Steps: steps})
					if errors.Is(err, ErrRequest) && (steps > 50 || (info.Name == "pndm" || info.Name == "perflow") && steps < 4 || info.Name == "dpm_fast" && steps < 2) {
						continue // what these solvers cannot divide into
					}
					if err != nil {
						t.Fatalf("%s %s %d: %v", info.Name, spacing, steps, err)
					}
					first, x, _ := drive(s, begin(s, 8, 0), Chooses(s))
					for _, v := range append(first, x...) {
						if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
							t.Fatalf("%s %s %d steps: %v", info.Name, spacing, steps, v)
						}
					}
				}
			}
		}
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	for _, class := range []string{"EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler"} {
		c := parse(t, `{"_class_name":"`+class+`"}`)
		x, out, noise := make([]float32, 64), make([]float32, 128), make([]float32, 64)
		for _, info := range List(c) {
			s, err := New(info.Name, c, Plan{Steps: 8})
			if err != nil {
				t.Fatal(err)
			}
			if Chooses(s) {
				continue // a trial's coefficients are made when it is known: see TestChoosingStepsIsCheap
			}
			for i := range s.Timesteps() { // may set memory aside
				s.Step(i, x, out, noise)
			}
			i := 0
			if n := testing.AllocsPerRun(6, func() {
				i++
				i %= len(s.Timesteps())
				s.Scale(i, x)
				s.Denoised(i, x, out, noise)
				s.Step(i, x, out, noise)
			}); n != 0 {
				t.Errorf("%s: %v allocations a step", info.Name, n)
			}
		}
	}
}

// A sampler that chooses its steps allocates what describes them, never a latent's size.
func TestChoosingStepsIsCheap(t *testing.T) {
	for _, name := range []string{"dpm_adaptive", "rk45", "gotta_go_fast"} {
		s, err := New(name, parse(t, `{"_class_name":"EulerDiscreteScheduler"}`), Plan{Steps: 8})
		if err != nil {
			t.Fatal(err)
		}
		const n = 1 << 16
		x, out, noise := make([]float32, n), make([]float32, n), make([]float32, n)
		walk := func() (steps uint64) {
			for i := 0; i < len(s.Timesteps()); i++ {
				s.Step(i, x, out, noise)
			}
			return uint64(len(s.Timesteps()))
		}
		walk() // sets memory aside
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		steps := walk()
		runtime.ReadMemStats(&after)
		if per := (after.TotalAlloc - before.TotalAlloc) / steps; per > n/8 {
			t.Errorf("%s: %d bytes a step of %d", name, per, 4*n)
		}
	}
}

func TestWithSchedule(t *testing.T) {
	c := parse(t, `{"_class_name":"EulerDiscreteScheduler","beta_schedule":"scaled_linear","use_exponential_sigmas":true}`)
	for _, schedule := range Schedules {
		asked := `{"_class_name":"EulerDiscreteScheduler","beta_schedule":"scaled_linear"`
		switch schedule.Name {
		case "karras", "exponential", "beta":
			asked += `,"use_` + schedule.Name + `_sigmas":true}`
		case "leading", "trailing", "linspace":
			asked += `,"timestep_spacing":"` + schedule.Name + `"}`
		default:
			continue // TestSchedules
		}
		with, err := c.WithSchedule(schedule.Name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := New("euler", with, Plan{Steps: 9})
		if err != nil {
			t.Fatal(err)
		}
		want, err := New("euler", parse(t, asked), Plan{Steps: 9})
		if err != nil {
			t.Fatal(err)
		}
		if [10]float32(got.Sigmas()) != [10]float32(want.Sigmas()) {
			t.Errorf("%s: got %v want %v", schedule.Name, got.Sigmas(), want.Sigmas())
		}
	}
	if _, err := c.WithSchedule("karas"); !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), "did you mean karras?") {
		t.Errorf("unknown schedule: %v", err)
	}
}

func TestNonNumbersAreNull(t *testing.T) {
	const in = `{"a":-Infinity,"b":[NaN,Infinity],"c":"NaN \" -Infinity"}`
	const want = `{"a":null,"b":[null,null],"c":"NaN \" -Infinity"}`
	if got := string(nullNonNumbers([]byte(in))); got != want {
		t.Errorf("got %s", got)
	}
}

// Whatever the file, the name, the schedule, the steps and the start: a typed error, or a walk that stays finite.
func FuzzNew(f *testing.F) {
	f.Add("euler", `{"_class_name":"EulerDiscreteScheduler","beta_schedule":"scaled_linear"}`, "", 20, 0)
	f.Add("", `{"_class_name":"DDIMScheduler","rescale_betas_zero_snr":true,"num_train_timesteps":2}`, "", 2, 1)
	f.Add("", `{"_class_name":"FlowMatchEulerDiscreteScheduler","shift":3}`, "trailing", 4, 2)
	f.Add("dpmpp_2m", `{"_class_name":"DPMSolverMultistepScheduler","use_flow_sigmas":true,"prediction_type":"flow_prediction","flow_shift":3}`, "", 4, 0)
	f.Add("unipc", `{"_class_name":"UniPCMultistepScheduler","solver_order":3,"final_sigmas_type":"sigma_min"}`, "karras", 9, 3)
	f.Add("lcm", `{"_class_name":"LCMScheduler","timestep_scaling":1e300}`, "", 4, 0)
	f.Add("plms", `{"_class_name":"PNDMScheduler","skip_prk_steps":true,"steps_offset":1}`, "", 3, 1)
	for _, r := range table {
		f.Add("", `{"_class_name":"`+r.class+`"}`, "", 7, 2)
		f.Add(r.Name, `{"_class_name":"EulerDiscreteScheduler","timestep_spacing":"leading"}`, "kl_optimal", 5, 0)
	}
	f.Fuzz(func(t *testing.T, name, file, schedule string, steps, start int) {
		c, err := ParseConfig([]byte(file))
		if err == nil {
			c, err = c.WithSchedule(schedule)
		}
		var s Sampler
		if err == nil {
			s, err = New(name, c, Plan{Steps: steps, Start: start, Tokens: 64, Varies: varies(c)})
		}
		if err != nil {
			if !errors.Is(err, ErrRequest) && !errors.Is(err, ErrConfig) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		_, x, _ := drive(s, begin(s, 2, start), Chooses(s))
		for i, v := range slices.Concat(s.Sigmas()[:len(s.Timesteps())], s.Timesteps(), x) {
			if !(math.Abs(float64(v)) <= math.MaxFloat32) {
				t.Errorf("%s %s %s, %d steps from %d: %v at %d", name, file, schedule, steps, start, v, i)
				break
			}
		}
	})
}

// The trailing schedule of the flow sampler is np.linspace(1, 1/n, n), shifted once, as diffusers' Flux pipeline has it.
func TestFlowTrailing(t *testing.T) {
	config, err := ParseConfig([]byte(`{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3}`))
	if err != nil {
		t.Fatal(err)
	}
	if config, err = config.WithSchedule("trailing"); err != nil {
		t.Fatal(err)
	}
	s, err := New("", config, Plan{Steps: 4})
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{1, 0.9, 0.75, 0.5, 0}
	for i, got := range s.Sigmas() {
		if math.Abs(float64(got-want[i])) > 1e-6 {
			t.Errorf("sigma %d is %v, want %v", i, got, want[i])
		}
	}
}

// A name that stands for fields of a class is drawn with them, whatever the file has.
func TestNamesSetTheirFields(t *testing.T) {
	const class = `{"_class_name":"UniPCMultistepScheduler"`
	for name, field := range map[string]string{"unipc": `"bh2"`, "unipc_bh1": `"bh1"`} {
		for _, file := range []string{class + `}`, class + `,"solver_type":"bh1"}`} {
			named, err := New(name, parse(t, file), Plan{Steps: 6})
			if err != nil {
				t.Fatal(err)
			}
			own, err := New("", parse(t, class+`,"solver_type":`+field+`}`), Plan{Steps: 6})
			if err != nil {
				t.Fatal(err)
			}
			_, a, _ := drive(named, begin(named, 4, 0), false)
			_, b, _ := drive(own, begin(own, 4, 0), false)
			if [4]float32(a) != [4]float32(b) {
				t.Errorf("%s of %s is %v, want %v", name, file, a, b)
			}
		}
	}
	if first := List(parse(t, class+`,"solver_type":"bh1"}`))[0]; first.Name != "unipc_bh1" {
		t.Errorf("the list begins with %v", first)
	}
}

// The largest noise level of the training is its last step, also where rounding puts it just below.
func TestFirstTimestep(t *testing.T) {
	for _, file := range []string{
		`{"_class_name":"DPMSolverMultistepScheduler","beta_schedule":"squaredcos_cap_v2","use_karras_sigmas":true}`,
		`{"_class_name":"DPMSolverMultistepScheduler","beta_schedule":"squaredcos_cap_v2","use_exponential_sigmas":true}`,
		`{"_class_name":"EulerDiscreteScheduler","beta_end":0.0195,"rescale_betas_zero_snr":true,"timestep_spacing":"trailing","use_karras_sigmas":true}`,
	} {
		for _, steps := range []int{1, 2, 8, 25} {
			s, err := New("", parse(t, file), Plan{Steps: steps})
			if err != nil {
				t.Fatal(err)
			}
			if first := s.Timesteps()[0]; first != 999 {
				t.Errorf("%s: %d steps begin at %v", file, steps, first)
			}
		}
	}
}

// A walk that begins later visits what is left of the whole walk, from a picture with as much noise as that has there.
func TestStartIsTheRestOfTheWalk(t *testing.T) {
	for _, class := range []string{"EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", "CMStochasticIterativeScheduler",
		"SCMScheduler", "IPNDMScheduler", "ScoreSdeVeScheduler", "ScoreSdeVpScheduler", "CLDScheduler"} {
		c := parse(t, `{"_class_name":"`+class+`","beta_schedule":"scaled_linear"}`)
		for _, info := range List(c) {
			whole, err := New(info.Name, c, Plan{Steps: 12})
			if err != nil {
				t.Fatal(info.Name, err)
			}
			if info.Name == "dpm_fast" || Chooses(whole) {
				continue // which spends what is left in its own way
			}
			for _, start := range []int{1, 5, 11} {
				part, err := New(info.Name, c, Plan{Steps: 12, Start: start})
				if errors.Is(err, ErrRequest) && info.Name == "pndm" {
					continue
				}
				if err != nil {
					t.Fatal(info.Name, err)
				}
				left := part.Timesteps()
				if len(left) == 0 || !slices.Equal(left, whole.Timesteps()[len(whole.Timesteps())-len(left):]) {
					t.Errorf("%s from %d visits %v of %v", info.Name, start, left, whole.Timesteps())
				}
				x, again := []float32{1, -2}, []float32{1, -2}
				part.AddNoise(0, x, []float32{3, 4})
				whole.AddNoise(len(whole.Timesteps())-len(left), again, []float32{3, 4})
				if !slices.Equal(x, again) {
					t.Errorf("%s from %d begins with %v, want %v", info.Name, start, x, again)
				}
				goesDown(t, info.Name, part)
			}
		}
	}
}
