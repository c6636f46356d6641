package sampler

import (
	"fmt"
	"math"
)

// newScoreVP is diffusers' ScoreSdeVpScheduler: Euler and Maruyama's method backwards along the variance-preserving SDE
// (Song et al. 2020, "Score-based generative modeling through stochastic differential equations", eq. 11), of which the
// network predicts the noise. It takes a thousand steps. The last adds no noise.
func newScoreVP(s settings, p Plan) (Sampler, error) {
	if err := s.checkScoreVP(); err != nil {
		return nil, err
	}
	levels := make([]level, p.Steps+1)
	for i, v := range linspace32(1, s.SamplingEps, p.Steps) {
		levels[i] = s.scoreVPLevel(float64(v))
	}
	levels[p.Steps] = level{alpha: 1}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, dt := levels[i], 1/float64(p.Steps)
		beta := s.scoreVPBeta(l.t)
		r := run{level: l, noisy: true, move: theX.times(1 + beta*dt/2).minus(theOut.times(beta * dt / l.sigma))}
		if i+1 < p.Steps {
			r.move = r.move.plus(theNoise.times(math.Sqrt(beta * dt)))
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}

func (s settings) checkScoreVP() error {
	switch {
	case !(s.BetaMax > 0 && s.BetaMax < 1000):
		return bad("beta_max", s.BetaMax)
	case !(s.BetaMin > 0 && s.BetaMin < s.BetaMax):
		return bad("beta_min", s.BetaMin)
	case !(s.SamplingEps > 0 && s.SamplingEps < 1):
		return bad("sampling_eps", s.SamplingEps)
	}
	return nil
}

func (s settings) scoreVPBeta(t float64) float64 { return s.BetaMin + t*(s.BetaMax-s.BetaMin) }

func (s settings) scoreVPLevel(t float64) level {
	alpha := math.Exp(-0.25*t*t*(s.BetaMax-s.BetaMin) - 0.5*t*s.BetaMin)
	l := level{t: t, alpha: alpha, sigma: math.Sqrt(1 - alpha*alpha)}
	l.shown, l.zero = l.sigma/alpha, l.predicted("epsilon")
	return l
}

// scoreVE is diffusers' ScoreSdeVeScheduler: predictor and corrector along the variance-exploding SDE (the same paper,
// algorithms 2 and 4). At each noise level annealed Langevin steps, whose size follows from the norms of the score and
// of the noise, then a step of the reversed SDE. The network predicts the score and is told the noise level. It takes
// a thousand steps and more. The last adds no noise.
type scoreVE struct {
	settings
	timesteps, sigmas []float32 // (runs), (runs+1): the noise level of each
	diffusion         []float32 // (runs) of the predictor; 0 at a corrector's run
}

func newScoreVE(s settings, p Plan) (Sampler, error) {
	if err := s.checkScoreVE(); err != nil {
		return nil, err
	}
	if p.Steps < 2 {
		return nil, fmt.Errorf("sampler: %d steps, this sampler takes 2 and more: %w", p.Steps, ErrRequest)
	}
	m := &scoreVE{settings: s}
	discrete := linspace32(math.Log(*s.SigmaMin), math.Log(*s.SigmaMax), p.Steps)
	at := func(k int) float64 {
		if k < 0 {
			return 0
		}
		return math.Exp(float64(discrete[k]))
	}
	for _, t := range linspace32(1, s.SamplingEps, p.Steps)[p.Start:] {
		sigma := float32(*s.SigmaMin * math.Pow(*s.SigmaMax / *s.SigmaMin, float64(t)))
		k := int(t * float32(p.Steps-1))
		diffusion := float32(math.Sqrt(at(k)*at(k) - at(k-1)*at(k-1)))
		for c := range s.CorrectSteps + 1 {
			m.timesteps, m.sigmas = append(m.timesteps, sigma), append(m.sigmas, sigma)
			if c < s.CorrectSteps {
				m.diffusion = append(m.diffusion, 0)
			} else {
				m.diffusion = append(m.diffusion, diffusion)
			}
		}
	}
	m.sigmas = append(m.sigmas, 0)
	return m, nil
}

func (s settings) checkScoreVE() error {
	switch {
	case s.SigmaMin == nil || s.SigmaMax == nil || !(*s.SigmaMin < *s.SigmaMax):
		return bad("sigma_min", "not below sigma_max")
	case !(s.SamplingEps > 0 && s.SamplingEps < 1):
		return bad("sampling_eps", s.SamplingEps)
	case !(s.SNR > 0 && s.SNR < 100):
		return bad("snr", s.SNR)
	case s.CorrectSteps < 0 || s.CorrectSteps > 100:
		return bad("correct_steps", s.CorrectSteps)
	}
	return nil
}

// scoreVELevel is a level of a network that predicts the score and is told the noise.
func scoreVELevel(sigma float64) level {
	return level{t: sigma, shown: sigma, alpha: 1, sigma: sigma, zero: theX.plus(theOut.times(sigma * sigma))}
}

func (m *scoreVE) Timesteps() []float32 { return m.timesteps }
func (m *scoreVE) Sigmas() []float32    { return m.sigmas }
func (m *scoreVE) InitSigma() float32   { return float32(*m.SigmaMax) }
func (m *scoreVE) Scale(int, []float32) {}
func (m *scoreVE) NeedsNoise(int) bool  { return true }

func (m *scoreVE) Splits() bool { return false }

func (m *scoreVE) Span(int) (from, to float64, ok bool) { return 0, 0, false }

func (m *scoreVE) AddNoise(i int, x, noise []float32) { mixed(x, noise, m.sigmas[i]) }

func (m *scoreVE) Step(i int, x, out, noise []float32) {
	g, out := m.diffusion[i], out[:len(x)]
	if g == 0 {
		ratio := m.SNR * norm(noise) / norm(out)
		size := float32(2 * ratio * ratio)
		mixed(x, out, size)
		mixed(x, noise, sqrt32(2*size))
		return
	}
	mixed(x, out, g*g)
	if i+1 < len(m.timesteps) {
		mixed(x, noise, g)
	}
}

func (m *scoreVE) Denoised(i int, x, out, x0 []float32) {
	for j := range x0 {
		x0[j] = x[j] + m.sigmas[i]*m.sigmas[i]*out[j]
	}
}

// mixed adds c times y to x.
func mixed(x, y []float32, c float32) {
	for j, v := range y[:len(x)] {
		x[j] += c * v
	}
}

// norm is Euclid's, never 0.
func norm(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(max(sum, 1e-30))
}
