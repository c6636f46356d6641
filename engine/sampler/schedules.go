package sampler

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Schedules are the names WithSchedule takes besides "", in the order shown to people.
var Schedules = []Info{
	{"karras", "Karras"}, {"exponential", "Exponential"}, {"polyexponential", "Polyexponential"}, {"beta", "Beta"},
	{"leading", "Leading"}, {"trailing", "Trailing"}, {"linspace", "Evenly spaced"}, {"simple", "Simple"},
	{"normal", "Normal"}, {"sgm_uniform", "SGM Uniform"}, {"ddim_uniform", "DDIM Uniform"}, {"kl_optimal", "KL Optimal"},
	{"linear_quadratic", "Linear-quadratic"}, {"laplace", "Laplace"}, {"ays", "Align Your Steps"},
	{"ays_sdxl", "Align Your Steps, SDXL"}, {"gits", "Align Your Steps GITS"}, {"gits_sdxl", "Align Your Steps GITS, SDXL"},
	{"beta_steps", "Beta over steps"}, {"lu", "Lambdas"},
}

// WithSchedule is the config with another schedule, as if its file asked for it; "" leaves it as it is. A list of
// timesteps, latest first, is one, too: "999 749 499 249", which is what the network is told, for as many steps; a flow
// model's are a thousandth of its noise levels where it was trained on a thousand. New refuses one that the sampler
// cannot have. The error wraps ErrRequest.
func (c Config) WithSchedule(name string) (Config, error) {
	for _, s := range Schedules {
		if s.Name == name {
			c.schedule = name
			return c, nil
		}
	}
	if name == "" {
		return c, nil
	}
	if name[0] >= '0' && name[0] <= '9' {
		visits, err := readTimesteps(name)
		c.schedule, c.visits = listed, visits
		return c, err
	}
	return c, fmt.Errorf("sampler: no schedule %q%s: %w", name, meant(name, Schedules), ErrRequest)
}

// listed is the schedule that lists its timesteps.
const listed = "timesteps"

func readTimesteps(text string) ([]float64, error) {
	var list []float64
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil || !(v >= 0 && v < 1e5) || len(list) > 0 && v >= list[len(list)-1] || len(list) == MaxSteps {
			return nil, fmt.Errorf("sampler: the schedule's timestep %.40q: give numbers from the latest down to 0, each below the one before: %w", word, ErrRequest)
		}
		list = append(list, v)
	}
	return list, nil
}

// visit gives the timesteps that the schedule lists; nil where it lists none.
func (s settings) visit(steps int) ([]float64, error) {
	switch {
	case s.schedule != listed:
		return nil, nil
	case len(s.visits) != steps:
		return nil, fmt.Errorf("sampler: the schedule lists %d timesteps, of %d steps: %w", len(s.visits), steps, ErrRequest)
	case s.visits[0] > float64(s.NumTrainTimesteps) || s.family != flowFamily && s.visits[0] > float64(s.NumTrainTimesteps-1):
		return nil, fmt.Errorf("sampler: the schedule begins at timestep %g of %d: %w", s.visits[0], s.NumTrainTimesteps, ErrRequest)
	}
	return append([]float64{}, s.visits...), nil
}

// reschedule puts into s what WithSchedule asked for. Its names are diffusers' fields and values, and for the rest
// s.schedule, which table and respaced read.
func (c Config) reschedule(s *settings) {
	if c.schedule == "" {
		return
	}
	s.rescheduled, s.schedule, s.visits = true, c.schedule, c.visits
	if c.schedule != "trailing" || s.family != flowFamily { // of a flow those are where its spacing is respaced to
		s.UseKarrasSigmas, s.UseExponentialSigmas = c.schedule == "karras", c.schedule == "exponential"
		s.UseBetaSigmas, s.UseLuLambdas = c.schedule == "beta", c.schedule == "lu"
	}
	switch c.schedule {
	case "leading", "trailing", "linspace":
		s.TimestepSpacing = c.schedule
	}
}

// spacingOnly refuses schedules that a sampler of whole training steps cannot have.
func (s settings) spacingOnly() error {
	switch s.schedule {
	case "", "leading", "trailing", "linspace", listed:
		return nil
	}
	return fmt.Errorf("sampler: the schedule %q does not go with this sampler, which visits training steps: choose leading, trailing or linspace: %w",
		s.schedule, ErrRequest)
}

// table has the schedules that are picked from the training's noise levels, those of ComfyUI's comfy/samplers.py, with
// 0 at the end; nil where another was asked for.
func (s settings) table(steps int, train []float32) (t, sigmas []float64, err error) {
	n := len(train)
	switch s.schedule {
	case "simple": // every so many from the last
		for i := range steps {
			t = append(t, float64(n-1-int(float64(i)*(float64(n)/float64(steps)))))
		}
	case "ddim_uniform": // every so many from the second
		stride := max(n/steps, 1)
		for k := 1; k < n; k += stride {
			t = append([]float64{float64(k)}, t...)
		}
		if len(t) != steps {
			return nil, nil, fmt.Errorf("sampler: the schedule ddim_uniform makes %d steps of %d: choose a divisor of %d: %w", len(t), steps, n, ErrRequest)
		}
	case "normal":
		for i := range steps {
			t = append(t, lerp(float64(n-1), 0, i, steps))
		}
	case "beta_steps": // rounded quantiles of the beta distribution
		for i := range steps {
			t = append(t, math.RoundToEven(betaQuantile(1-float64(i)/float64(steps))*float64(n-1)))
		}
	case "sgm_uniform":
		for i := range steps {
			t = append(t, lerp(float64(n-1), 0, i, steps+1))
		}
	default:
		return nil, nil, nil
	}
	for _, v := range t {
		sigmas = append(sigmas, logInterp(train, v))
	}
	return t, append(sigmas, 0), nil
}

// logInterp reads train at the fractional index t, interpolating logarithms.
func logInterp(train []float32, t float64) float64 {
	i := int(t)
	if float64(i) == t || i+1 >= len(train) {
		return float64(train[min(i, len(train)-1)])
	}
	lo, hi := math.Log(float64(train[i])), math.Log(float64(train[i+1]))
	return math.Exp(lo + (t-float64(i))*(hi-lo))
}

// respaced is use_karras_sigmas and its kin: noise levels of their own between lo and hi, or those given and false.
func (s settings) respaced(lo, hi float64, sigmas []float64) ([]float64, bool) {
	steps := len(sigmas)
	if s.SigmaMin != nil && s.family != edmFamily {
		lo = *s.SigmaMin
	}
	if s.SigmaMax != nil && s.family != edmFamily {
		hi = *s.SigmaMax
	}
	switch {
	case s.UseKarrasSigmas:
		return karras(lo, hi, 7, steps), true
	case s.UseExponentialSigmas, s.UseLuLambdas: // Lu et al. 2022, section 3.5: even in lambda, with no more to it
		return exponential(lo, hi, steps), true
	case s.UseBetaSigmas:
		return betaSigmas(lo, hi, steps), true
	}
	switch s.schedule {
	case "polyexponential": // k-diffusion's, whose rho is 1 where none is given
		return exponential(lo, hi, steps), true
	case "kl_optimal":
		return klOptimal(lo, hi, steps), true
	case "linear_quadratic":
		return linearQuadratic(hi, steps), true
	case "laplace":
		return laplace(lo, hi, steps), true
	}
	if levels, ok := found[s.schedule]; ok {
		return alignYourSteps(levels, steps), true
	}
	return sigmas, false
}

// klOptimal spaces noise levels evenly in their arcs (Sabour et al. 2024, "Align your steps", theorem 3.1 for data that
// is one Gaussian).
func klOptimal(lo, hi float64, steps int) []float64 {
	sigmas := make([]float64, steps)
	for i := range sigmas {
		sigmas[i] = math.Tan(lerp(math.Atan(hi), math.Atan(lo), i, steps))
	}
	return sigmas
}

// linearQuadratic falls slowly, by 0.025 of hi over the first half of the steps, then by a parabola (Polyak et al. 2024,
// "Movie Gen", section 3.4.2).
func linearQuadratic(hi float64, steps int) []float64 {
	const threshold = 0.025
	sigmas := make([]float64, steps)
	half := float64(steps / 2)
	rest := float64(steps) - half
	for i := range sigmas {
		x := float64(i)
		gone := 0.0
		switch {
		case half == 0:
		case x < half:
			gone = x * threshold / half
		default:
			short := half - threshold*float64(steps)
			q := short / (half * rest * rest)
			gone = q*x*x + (threshold/half-2*short/(rest*rest))*x + q*half*half
		}
		sigmas[i] = hi * (1 - gone)
	}
	return sigmas
}

// laplace has the quantiles of Laplace's distribution of log sigma, of mean 0 and scale 1/2 (Hang and Gu 2024, "Improved
// noise schedule for diffusion training"), as k-diffusion's forks have it.
func laplace(lo, hi float64, steps int) []float64 {
	sigmas := make([]float64, steps)
	for i := range sigmas {
		x := 0.5 - lerp(0, 1, i, steps)
		v := 0.5 * math.Copysign(1, x) * -math.Log(1-2*math.Abs(x)+1e-5)
		if x == 0 {
			v = 0
		}
		sigmas[i] = min(max(math.Exp(v), lo), hi)
	}
	return sigmas
}

// found are levels that a search gave for ten steps of Stable Diffusion 1.5 or XL: Sabour et al. 2024, "Align your
// steps", and Chen et al. 2024, "On the trajectory regularity of ODE-based diffusion sampling" (GITS), as Forge has them.
var found = map[string][11]float64{
	"ays":       {14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029},
	"ays_sdxl":  {14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029},
	"gits":      {14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029},
	"gits_sdxl": {14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029},
}

// alignYourSteps takes steps of the levels, in between by interpolating logarithms.
func alignYourSteps(levels [11]float64, steps int) []float64 {
	sigmas := make([]float64, steps)
	for i := range sigmas {
		at := lerp(0, 10, i, steps)
		k := min(int(at), 9)
		sigmas[i] = math.Exp(math.Log(levels[k]) + (at-float64(k))*(math.Log(levels[k+1])-math.Log(levels[k])))
	}
	return sigmas
}

// betaSigmas are the quantiles of the beta distribution with both parameters 0.6, scaled (Lee et al. 2024, "Beta
// sampling is all you need").
func betaSigmas(lo, hi float64, steps int) []float64 {
	sigmas := make([]float64, steps)
	for i := range sigmas {
		sigmas[i] = lo + betaQuantile(1-lerp(0, 1, i, steps))*(hi-lo)
	}
	return sigmas
}
