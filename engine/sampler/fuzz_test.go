package sampler

import (
	"errors"
	"math"
	"math/rand"
	"testing"
)

// fuzzed are configs of each family.
var fuzzed = []string{
	`{"_class_name":"EulerDiscreteScheduler","beta_schedule":"scaled_linear","beta_start":0.00085,"beta_end":0.012}`,
	`{"_class_name":"DDIMScheduler","prediction_type":"v_prediction","rescale_betas_zero_snr":true,"timestep_spacing":"trailing"}`,
	`{"_class_name":"DPMSolverMultistepScheduler","beta_schedule":"squaredcos_cap_v2","prediction_type":"sample"}`,
	`{"_class_name":"FlowMatchEulerDiscreteScheduler","shift":3.0}`,
	`{"_class_name":"FlowMatchEulerDiscreteScheduler","use_dynamic_shifting":true}`,
	`{"_class_name":"EDMEulerScheduler"}`, `{"_class_name":"CMStochasticIterativeScheduler"}`, `{"_class_name":"SCMScheduler"}`,
	`{"_class_name":"IPNDMScheduler"}`, `{"_class_name":"ScoreSdeVeScheduler"}`, `{"_class_name":"ScoreSdeVpScheduler"}`,
	`{"_class_name":"CLDScheduler"}`,
}

// Whatever is asked for: a walk of finite numbers from levels that fall to the last, or an error of the request's or
// the config's.
func FuzzWalk(f *testing.F) {
	random := rand.New(rand.NewSource(1))
	for range 600 {
		f.Add(uint8(random.Intn(256)), uint8(random.Intn(256)), uint8(random.Intn(256)), uint16(1+random.Intn(1+random.Intn(1000))), uint16(random.Intn(1+random.Intn(40))), random.Int63(), uint8(random.Intn(256)))
	}
	f.Fuzz(func(t *testing.T, config, name, schedule uint8, steps, start uint16, seed int64, more uint8) {
		c := parse(t, fuzzed[int(config)%len(fuzzed)])
		list := List(c)
		info := list[int(name)%len(list)]
		what := ""
		if k := int(schedule) % (2 * len(Schedules)); k < len(Schedules) {
			what = Schedules[k].Name
			c, _ = c.WithSchedule(what)
		}
		p := Plan{Steps: int(steps) % 1002, Start: int(start), Tokens: 1024}
		if more&1 != 0 {
			eta := float64(more>>3) / 31
			p.Eta = &eta
		}
		if more&6 == 6 {
			p.Churn = &Churn{S: float64(more), Min: 0.05, Max: 50, Noise: 1.003}
		}
		s, err := New(info.Name, c, p)
		if err != nil {
			if !errors.Is(err, ErrRequest) && !errors.Is(err, ErrConfig) {
				t.Fatal(err)
			}
			return
		}
		defer func() {
			levels := s.Sigmas() // those of a sampler that chooses are known when it has walked
			if last := levels[len(levels)-1]; last > 0.15 || last > levels[0] {
				t.Fatalf("%s, schedule %q, %+v: ends at %v", info.Name, what, p, last)
			}
		}()
		levels, times := s.Sigmas(), s.Timesteps()
		single := len(times) == p.Steps-p.Start && p.Churn == nil // else it goes up on purpose
		for i, v := range levels {
			if v != v || v < 0 || single && i > 0 && !(v < levels[i-1]) && i < len(levels)-1 {
				t.Fatalf("%s, schedule %q, %+v: level %d of %v", info.Name, what, p, i, levels)
			}
			if i > 0 && i < len(times) && single && !(times[i] <= times[i-1]) {
				t.Fatalf("%s, schedule %q, %+v: timestep %d of %v", info.Name, what, p, i, times)
			}
		}
		random := rand.New(rand.NewSource(seed))
		fill := func(x []float32) {
			for j := range x {
				x[j] = float32(random.NormFloat64())
			}
		}
		x, out, noise := make([]float32, 6), make([]float32, 12), make([]float32, 6)
		fill(x)
		for j := range x {
			x[j] *= s.InitSigma()
		}
		in := make([]float32, 6)
		for i := 0; i < len(s.Timesteps()); i++ {
			copy(in, x)
			s.Scale(i, in)
			fill(out)
			fill(noise)
			s.Step(i, x, out, noise)
		}
		for _, v := range append(in, x...) {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("%s, schedule %q, %+v: %v", info.Name, what, p, x)
			}
		}
	})
}

// BenchmarkStep is a solver's arithmetic on a latent of Stable Diffusion: a step of the network takes a second and more
// there, so a millisecond is a thousandth of it.
func BenchmarkStep(b *testing.B) {
	for _, name := range []string{"euler", "dpmpp_2m", "unipc", "er_sde", "seeds_3"} {
		b.Run(name, func(b *testing.B) {
			c, err := ParseConfig([]byte(fuzzed[0]))
			if err != nil {
				b.Fatal(err)
			}
			s, err := New(name, c, Plan{Steps: 20})
			if err != nil {
				b.Fatal(err)
			}
			const n = 64 * 64 * 4
			x, out, noise := make([]float32, n), make([]float32, 2*n), make([]float32, n)
			for b.Loop() {
				for i := range s.Timesteps() {
					s.Step(i, x, out, noise)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(s.Timesteps())), "ns/step")
		})
	}
}
