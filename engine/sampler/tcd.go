package sampler

import "math"

// tcd is diffusers' TCDScheduler: trajectory consistency distillation (Zheng et al. 2024, algorithm 4). The network
// jumps to a time s before the next one, and noise takes it back up. tcdGamma, the share of the way that is noise, is
// the paper's and the scheduler's default.
type tcd struct {
	walk
	x0    []linear // (steps) x0 from x and out
	eps   []linear // (steps) the predicted noise from x and out
	jump  []linear // (steps) x at time s from x0 and the predicted noise
	noise []linear // (steps) the next x from x at s and fresh noise
}

const tcdGamma = 0.3

func newTCD(s settings, steps int) (Sampler, error) {
	bar, err := alphasCumprod(s)
	if err != nil {
		return nil, err
	}
	t, err := distilled(s, steps)
	if err != nil {
		return nil, err
	}
	m := &tcd{walk: varianceOneWalk(bar, t)}
	for i, step := range t {
		prev := 0
		if i+1 < steps {
			prev = t[i+1]
		}
		alpha, alphaPrev := float64(bar[step]), float64(bar[prev])
		if alpha == 0 && s.PredictionType == "epsilon" {
			return nil, bad("prediction_type epsilon with rescale_betas_zero_snr at training step", step)
		}
		gamma := float32(1 - tcdGamma)
		alphaS := float64(bar[int(gamma*float32(prev))])
		x0, eps := varianceOne(s.PredictionType, math.Sqrt(alpha), math.Sqrt(1-alpha))
		m.x0, m.eps = append(m.x0, x0), append(m.eps, eps)
		m.jump = append(m.jump, linear{float32(math.Sqrt(alphaS)), float32(math.Sqrt(1 - alphaS))})
		m.noise = append(m.noise, linear{float32(math.Sqrt(alphaPrev / alphaS)), float32(math.Sqrt(1 - alphaPrev/alphaS))})
	}
	return m, nil
}

// NeedsNoise is true but at the last step.
func (m *tcd) NeedsNoise(i int) bool { return i+1 < len(m.timesteps) }

func (m *tcd) Step(i int, x, out, noise []float32) {
	x0, eps, jump := m.x0[i], m.eps[i], m.jump[i]
	out = out[:len(x)]
	for j, v := range x {
		x[j] = jump.a*(x0.a*v+x0.b*out[j]) + jump.b*(eps.a*v+eps.b*out[j])
	}
	if m.NeedsNoise(i) {
		m.noise[i].into(x, x, noise)
	}
}

func (m *tcd) Denoised(i int, x, out, x0 []float32) { m.x0[i].into(x0, x, out) }
