package sampler

import "math"

// euler is diffusers' EulerDiscreteScheduler without churn: Euler's method on the probability-flow ODE
// dx/dsigma = (x - x0)/sigma (Karras et al. 2022, algorithm 2 with S_churn = 0).
type euler struct {
	walk
	scale    []float32 // (steps) 1/sqrt(sigma^2 + 1): x at unit variance
	denoised []linear  // (steps) x0 from x and out
	step     []linear  // (steps) the next x from x and out
}

func newEuler(s settings, steps int) (Sampler, error) {
	w, err := sigmaWalk(s, steps)
	if err != nil {
		return nil, err
	}
	e := &euler{walk: w}
	for i := range steps {
		e.add(s.PredictionType, float64(w.sigmas[i]), float64(w.sigmas[i+1]))
	}
	return e, nil
}

// add appends the step from noise level sigma down to next.
func (e *euler) add(prediction string, sigma, next float64) {
	a, b := sigmaDenoised(prediction, sigma)
	r := next / sigma // x' = x + (x - x0)/sigma (next - sigma) = r x + (1 - r) x0
	e.scale = append(e.scale, float32(1/math.Sqrt(sigma*sigma+1)))
	e.denoised = append(e.denoised, linear{float32(a), float32(b)})
	e.step = append(e.step, linear{float32(r + (1-r)*a), float32((1 - r) * b)})
}

func (e *euler) Scale(i int, x []float32) {
	for j := range x {
		x[j] *= e.scale[i]
	}
}

func (e *euler) Step(i int, x, out, _ []float32)      { e.step[i].into(x, x, out) }
func (e *euler) Denoised(i int, x, out, x0 []float32) { e.denoised[i].into(x0, x, out) }

// sigmaWalk is the schedule of the samplers that hold x at variance sigma^2 + 1 (k-diffusion's convention).
func sigmaWalk(s settings, steps int) (walk, error) {
	bar, err := alphasCumprod(s)
	if err != nil {
		return walk{}, err
	}
	if s.RescaleBetasZeroSNR {
		bar[len(bar)-1] = 0x1p-24 // diffusers: the least half float, so that the first sigma is finite
	}
	train := trainSigmas(bar)
	t, err := spaced(s, steps)
	if err != nil {
		return walk{}, err
	}
	sigmas := make([]float64, steps)
	for i := range t {
		t[i] = float64(float32(t[i]))
		sigmas[i] = interp(train, t[i])
	}
	sigmas, changed := respaced(s, sigmas)
	if changed {
		t = timestepsOf(sigmas, train)
	}
	last := 0.0
	if s.FinalSigmasType == "sigma_min" {
		last = float64(train[0])
	}
	w := walk{timesteps: toFloat32(t), sigmas: toFloat32(append(sigmas, last))}
	w.init = w.sigmas[0]
	if s.TimestepSpacing == "leading" {
		w.init = sqrt32(w.init*w.init + 1)
	}
	return w, nil
}

// sigmaDenoised gives x0 = a*x + b*out for x = x0 + sigma*noise.
func sigmaDenoised(prediction string, sigma float64) (a, b float64) {
	switch prediction {
	case "v_prediction": // Salimans and Ho 2022
		return 1 / (sigma*sigma + 1), -sigma / math.Sqrt(sigma*sigma+1)
	case "sample":
		return 0, 1
	}
	return 1, -sigma
}
