package sampler

import "math"

// betas is the variance added at each training step, float32 as diffusers holds it.
func betas(s settings) ([]float32, error) {
	n := s.NumTrainTimesteps
	if s.TrainedBetas != nil {
		return trainedBetas(s)
	}
	if !(s.BetaStart > 0 && s.BetaStart < 1) {
		return nil, bad("beta_start", s.BetaStart)
	}
	if !(s.BetaEnd > 0 && s.BetaEnd < 1) {
		return nil, bad("beta_end", s.BetaEnd)
	}
	switch s.BetaSchedule {
	case "linear":
		return linspace32(s.BetaStart, s.BetaEnd, n), nil
	case "scaled_linear": // latent diffusion: linear in the square root
		b := linspace32(math.Sqrt(s.BetaStart), math.Sqrt(s.BetaEnd), n)
		for i, v := range b {
			b[i] = v * v
		}
		return b, nil
	case "squaredcos_cap_v2": // Nichol and Dhariwal 2021, eq. 17
		b := make([]float32, n)
		bar := func(i int) float64 {
			c := math.Cos((float64(i)/float64(n) + 0.008) / 1.008 * math.Pi / 2)
			return c * c
		}
		for i := range b {
			b[i] = float32(min(1-bar(i+1)/bar(i), 0.999))
		}
		return b, nil
	case "laplace": // diffusers' betas_for_alpha_bar with alpha_transform_type laplace
		b := make([]float32, n)
		bar := func(i int) float64 {
			t := float64(i) / float64(n)
			snr := math.Exp(-0.5 * math.Copysign(1, 0.5-t) * math.Log(1-2*math.Abs(0.5-t)+1e-6))
			return math.Sqrt(snr / (1 + snr))
		}
		for i := range b {
			b[i] = float32(min(1-bar(i+1)/bar(i), 0.999))
		}
		return b, nil
	case "sigmoid": // Xu et al. 2022, "GeoDiff"
		b := linspace32(-6, 6, n)
		for i, v := range b {
			b[i] = float32(1/(1+math.Exp(-float64(v))))*float32(s.BetaEnd-s.BetaStart) + float32(s.BetaStart)
		}
		return b, nil
	}
	return nil, bad("beta_schedule", s.BetaSchedule)
}

func trainedBetas(s settings) ([]float32, error) {
	if len(s.TrainedBetas) != s.NumTrainTimesteps {
		return nil, bad("trained_betas of length", len(s.TrainedBetas))
	}
	b := make([]float32, len(s.TrainedBetas))
	for i, v := range s.TrainedBetas {
		if !(v > 0 && v < 1) {
			return nil, bad("trained_betas with", v)
		}
		b[i] = float32(v)
	}
	return b, nil
}

// alphasCumprod is the share of signal variance left at each training step, alpha-bar in Ho et al. 2020. It is
// rounded to float32 where torch rounds, since the tail of the schedule amplifies the difference.
func alphasCumprod(s settings) ([]float32, error) {
	b, err := betas(s)
	if err != nil {
		return nil, err
	}
	if s.RescaleBetasZeroSNR {
		b = rescaleZeroSNR(b)
	}
	bar := cumprod(b)
	for i, a := range bar {
		zero := a == 0 && s.RescaleBetasZeroSNR && i > 0 && i == len(bar)-1
		if !(a > 0 && a < 1) && !zero {
			return nil, bad("beta schedule leaving a signal variance of", a)
		}
	}
	return bar, nil
}

// cumprod is the running product of 1-b. torch accumulates it in double precision.
func cumprod(b []float32) []float32 {
	bar := make([]float32, len(b))
	p := 1.0
	for i, v := range b {
		p *= float64(1 - v)
		bar[i] = float32(p)
	}
	return bar
}

// rescaleZeroSNR shifts and scales the schedule so that no signal is left at the last step (Lin et al. 2023,
// algorithm 1).
func rescaleZeroSNR(b []float32) []float32 {
	root := cumprod(b)
	for i, v := range root {
		root[i] = sqrt32(v)
	}
	last := root[len(root)-1]
	scale := root[0] / (root[0] - last)
	out := make([]float32, len(b))
	prev := float32(1)
	for i, v := range root {
		v = (v - last) * scale
		out[i] = 1 - v*v/prev
		prev = v * v
	}
	return out
}

// trainSigmas is sqrt((1 - bar)/bar): the noise level at each training step when the signal is scaled to one.
func trainSigmas(bar []float32) []float32 {
	sigmas := make([]float32, len(bar))
	for i, a := range bar {
		sigmas[i] = sqrt32((1 - a) / a)
	}
	return sigmas
}

// spaced picks the training steps to visit, latest first (Lin et al. 2023, table 2). linspace gives fractions;
// the others whole numbers. Where rounding makes diffusers' trailing run one step too many, at timestep -1 (61
// steps of 1000, for one), this does not.
func spaced(s settings, steps int) ([]float64, error) {
	if t, err := s.visit(steps); t != nil || err != nil {
		return t, err
	}
	t := make([]float64, steps)
	n := float64(s.NumTrainTimesteps)
	switch s.TimestepSpacing {
	case "linspace":
		for i := range t {
			t[i] = lerp(0, n-1, steps-1-i, steps)
		}
	case "leading":
		for i := range t {
			t[i] = float64((steps-1-i)*(s.NumTrainTimesteps/steps) + s.StepsOffset)
		}
	case "trailing":
		step := (n - n/float64(steps)) - n // numpy's arange takes its stride from its first two elements
		for i := range t {
			t[i] = math.RoundToEven(n+float64(i)*step) - 1
		}
	default:
		return nil, bad("timestep_spacing", s.TimestepSpacing)
	}
	return t, nil
}

// karras spaces noise levels evenly in sigma^(1/rho) (Karras et al. 2022, eq. 5, with rho 7).
func karras(lo, hi, rho float64, steps int) []float64 {
	sigmas := make([]float64, steps)
	for i := range sigmas {
		sigmas[i] = math.Pow(lerp(math.Pow(hi, 1/rho), math.Pow(lo, 1/rho), i, steps), rho)
	}
	return sigmas
}

// exponential spaces noise levels evenly in their logarithm.
func exponential(lo, hi float64, steps int) []float64 {
	sigmas := make([]float64, steps)
	for i := range sigmas {
		sigmas[i] = math.Exp(lerp(math.Log(hi), math.Log(lo), i, steps))
	}
	return sigmas
}

// betaQuantile is the inverse of the regularised incomplete beta function with both parameters 0.6, by bisection.
func betaQuantile(p float64) float64 {
	switch {
	case p > 0.5:
		return 1 - betaQuantile(1-p)
	case p == 0.5:
		return 0.5
	}
	lo, hi := 0.0, 0.5
	for range 60 {
		if mid := (lo + hi) / 2; betaShare(mid) < p {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// betaShare is the regularised incomplete beta function at x up to one half: x^a times a power series (Abramowitz and
// Stegun, 26.5.4), whose terms halve at least.
func betaShare(x float64) float64 {
	const a = 0.6
	lg, _ := math.Lgamma(2 * a)
	lh, _ := math.Lgamma(a)
	sum, term := 1/a, 1.0
	for n := 1.0; n < 80; n++ {
		term *= (n - a) / n * x
		sum += term / (a + n)
	}
	return math.Exp(lg-2*lh) * math.Pow(x, a) * sum
}

// timestepsOf finds the fractional training steps with the noise levels sigmas, interpolating log sigma. It compares
// in float32 as numpy does, where the largest level of the training is the last step and not just below it.
func timestepsOf(sigmas []float64, train []float32) []float64 {
	logs := logarithms(train)
	t := make([]float64, len(sigmas))
	for i, sigma := range sigmas {
		t[i] = timestepOf(float32(math.Log(max(sigma, 1e-10))), logs)
	}
	return t
}

func logarithms(train []float32) []float32 {
	logs := make([]float32, len(train))
	for i, v := range train {
		logs[i] = float32(math.Log(float64(v)))
	}
	return logs
}

func timestepOf(log float32, logs []float32) float64 {
	if len(logs) < 2 {
		return 0
	}
	low := len(logs) - 1
	for low > 0 && log < logs[low] {
		low--
	}
	low = min(low, len(logs)-2)
	w := (logs[low] - log) / (logs[low] - logs[low+1])
	return float64(low) + float64(min(max(w, 0), 1))
}

// interp reads train at the fractional index t, clamped to its ends.
func interp(train []float32, t float64) float64 {
	if t >= float64(len(train)-1) {
		return float64(train[len(train)-1])
	}
	i := int(t)
	lo, hi := float64(train[i]), float64(train[i+1])
	return lo + (t-float64(i))*(hi-lo)
}

// lerp is element i of numpy's linspace(a, b, n), whose first element is a even for n = 1.
func lerp(a, b float64, i, n int) float64 {
	if i == 0 {
		return a
	}
	if i == n-1 {
		return b
	}
	return a + float64(i)*((b-a)/float64(n-1))
}

// linspace32 is torch.linspace in float32, which counts from the nearer end and rounds once (a fused multiply-add).
func linspace32(a, b float64, n int) []float32 {
	out := make([]float32, n)
	out[0] = float32(a)
	if n == 1 {
		return out
	}
	lo, hi := float32(a), float32(b)
	step := (hi - lo) / float32(n-1)
	for i := range out {
		if i < n/2 {
			out[i] = float32(float64(lo) + float64(step)*float64(i))
		} else {
			out[i] = float32(float64(hi) - float64(step)*float64(n-1-i))
		}
	}
	return out
}

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }
