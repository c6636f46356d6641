package sampler

import (
	"fmt"
	"math"
)

// cld walks critically damped Langevin diffusion backwards (Dockhorn et al. 2021, "Score-based generative modeling with
// critically-damped Langevin diffusion"): each number of a picture has a velocity, noise enters there alone, and the
// network gives the score of the velocities.
//
// A latent's first half is x, its second w = v/sqrt(M), which is unit noise at the start as x is; so is the network's
// output: its first half is not read, its second is the score with respect to w. In these units the paper's equations
// have one constant, b = beta/sqrt(M): dx = w b dt, dw = -(x + 2 w) b dt + 2 sqrt(b) dW.
//
// For checkpoints with velocities, in 150 steps and more. No pipeline that wisp opens has them: see Config.Velocities.
type cld struct {
	timesteps, sigmas []float32
	moves             []cldMove
	marginals         []cldMarginal // at each run's time, and 0
	begins            []cldMarginal // where AddNoise puts x: half a step further on, where the walk is split
	x0                [][3]float32  // of Denoised: the weights of x, w and the score
}

// cldMove has the next x and w of (x, w, score, noise of x, noise of w).
type cldMove [2][5]float32

// cldMarginal is the law of (x, w) given the picture: its mean is mean times the picture, its covariance that of root,
// a triangle (xx, wx, ww), times unit noise.
type cldMarginal struct{ mean, root [2]pair }

// pair is one row of what acts on (x, w).
type pair [2]float64

// cldStart is the variance of w in the data, the paper's gamma.
const cldStart = 0.04

// newCLD is the paper's symmetric splitting (algorithm 1): half a step of the part that is solved exactly, a step of the
// score's, half a step. Two halves that meet are one step here, and the first, which leaves unit noise unit noise, none.
func newCLD(s settings, p Plan) (Sampler, error) {
	return s.damped(p, func(h, after float64) cldMove {
		free, root := cldFree(after)
		return cldMove{
			{float32(free[0][0]), float32(free[0][1] * (1 + 4*h)), float32(free[0][1] * 4 * h), float32(root[0][0]), 0},
			{float32(free[1][0]), float32(free[1][1] * (1 + 4*h)), float32(free[1][1] * 4 * h), float32(root[1][0]), float32(root[1][1])},
		}
	}, 0.5)
}

// newCLDEuler is Euler and Maruyama's method on the same equations (the paper's appendix D.1); it takes a thousand steps.
func newCLDEuler(s settings, p Plan) (Sampler, error) {
	return s.damped(p, func(h, _ float64) cldMove { return cldEuler(h, 2*math.Sqrt(h)) }, 0)
}

// cldEuler goes a step of length h in b t, with noise of so much in w.
func cldEuler(h, noise float64) cldMove {
	return cldMove{{1, float32(-h)}, {float32(h), float32(1 + 2*h), float32(4 * h), 0, float32(noise)}}
}

// cldFree is (x, w) after a time of the reversed equations without the score's part, and the root of the covariance of
// the noise that came in, I - free freeᵀ: unit noise is stationary there.
func cldFree(tau float64) (free, root [2]pair) {
	e := math.Exp(-tau)
	free = [2]pair{{e * (1 + tau), -e * tau}, {e * tau, e * (1 - tau)}}
	// Of a short time the differences of near numbers are their series.
	xx := -math.Expm1(-2*tau) - e*e*(2*tau+2*tau*tau)
	if tau < 1e-2 {
		xx = tau * tau * tau * (4./3 - 2*tau + 8./5*tau*tau)
	}
	wx := -2 * e * e * tau * tau
	ww := -math.Expm1(-2*tau) + e*e*(2*tau-2*tau*tau)
	return free, triangle(xx, wx, ww)
}

// triangle is the root of a covariance.
func triangle(xx, wx, ww float64) [2]pair {
	a := math.Sqrt(max(xx, 0))
	if a == 0 {
		return [2]pair{{}, {0, math.Sqrt(max(ww, 0))}}
	}
	return [2]pair{{a, 0}, {wx / a, math.Sqrt(max(ww-wx*wx/(a*a), 0))}}
}

// cldAt is the law at time tau = b t of the noising, which goes from a picture and a velocity of variance cldStart.
func cldAt(tau float64) cldMarginal {
	free, root := cldFree(tau)
	free[0][1], free[1][0], root[1][0] = -free[0][1], -free[1][0], -root[1][0] // forwards, velocities point the other way
	return cldMarginal{mean: [2]pair{{free[0][0]}, {free[1][0]}}, root: rootOf(root, [2]pair{{free[0][1] * math.Sqrt(cldStart)}, {free[1][1] * math.Sqrt(cldStart)}})}
}

// after is the law after a time of the reversed equations without the score's part.
func (m cldMarginal) after(tau float64) cldMarginal {
	free, root := cldFree(tau)
	return cldMarginal{mean: product(free, m.mean), root: rootOf(product(free, m.root), root)}
}

func product(a, b [2]pair) (c [2]pair) {
	for i := range 2 {
		for j := range 2 {
			c[i][j] = a[i][0]*b[0][j] + a[i][1]*b[1][j]
		}
	}
	return c
}

// rootOf is the root of a aᵀ + b bᵀ.
func rootOf(a, b [2]pair) [2]pair {
	sum := func(i, j int) float64 { return a[i][0]*a[j][0] + a[i][1]*a[j][1] + b[i][0]*b[j][0] + b[i][1]*b[j][1] }
	return triangle(sum(0, 0), sum(1, 0), sum(1, 1))
}

// damped makes the walk: move has a step's length and that of the free part after it, both in b t; ahead is the share of
// a step's free part that goes before its score's.
func (s settings) damped(p Plan, move func(h, after float64) cldMove, ahead float64) (Sampler, error) {
	switch {
	case !(s.Beta > 0 && s.Beta < 1000):
		return nil, bad("beta", s.Beta)
	case !(s.InverseMass > 0 && s.InverseMass < 1e6):
		return nil, bad("m_inv", s.InverseMass)
	case !(s.SamplingEps > 0 && s.SamplingEps < 1):
		return nil, bad("sampling_eps", s.SamplingEps)
	case s.Striding != "linear" && s.Striding != "quadratic":
		return nil, bad("striding", s.Striding)
	case s.schedule != "":
		return nil, fmt.Errorf("sampler: the schedule %q does not go with this sampler, which has its own: %w", s.schedule, ErrRequest)
	case p.Steps < 2:
		return nil, fmt.Errorf("sampler: %d steps, this sampler takes 2 and more: %w", p.Steps, ErrRequest)
	}
	b, times := s.Beta*math.Sqrt(s.InverseMass), s.strides(p.Steps)
	m := &cld{}
	for i := p.Start; i < p.Steps; i++ {
		h := b * (times[i] - times[i+1])
		law, next := cldAt(b*times[i]), cldEuler(h, 0) // the last step, which adds no noise
		begin := law
		if i+1 < p.Steps {
			after := (1 - ahead) * h
			if i+2 < p.Steps {
				after += ahead * b * (times[i+1] - times[i+2])
			}
			next, begin = move(h, after), law.after(ahead*h)
		}
		m.add(times[i], law, begin, next)
	}
	m.end()
	return m, nil
}

// strides are the times of the runs, from 1 to sampling_eps, and 0.
func (s settings) strides(steps int) []float64 {
	times := make([]float64, steps+1)
	for i := range steps {
		u := 1 - float64(i)/float64(steps-1)
		if s.Striding == "quadratic" {
			u *= u
		}
		times[i] = s.SamplingEps + (1-s.SamplingEps)*u
	}
	return times
}

func (m *cld) add(t float64, law, begin cldMarginal, move cldMove) {
	m.timesteps, m.moves = append(m.timesteps, float32(t)), append(m.moves, move)
	m.sigmas = append(m.sigmas, float32(law.root[0][0]/law.mean[0][0]))
	m.marginals, m.begins = append(m.marginals, law), append(m.begins, begin)
	// The score of w is P (mean x0 - (x, w)), its second row, with P the inverse of the covariance.
	a, c, d := law.root[0][0], law.root[1][0], law.root[1][1]
	wx, ww := -c/(a*d*d), 1/(d*d)
	per := wx*law.mean[0][0] + ww*law.mean[1][0]
	m.x0 = append(m.x0, [3]float32{float32(wx / per), float32(ww / per), float32(1 / per)})
}

func (m *cld) end() {
	m.sigmas = append(m.sigmas, 0)
	m.begins = append(m.begins, cldAt(0))
}

func (m *cld) Timesteps() []float32                 { return m.timesteps }
func (m *cld) Sigmas() []float32                    { return m.sigmas }
func (m *cld) InitSigma() float32                   { return 1 }
func (m *cld) Scale(int, []float32)                 {}
func (m *cld) NeedsNoise(i int) bool                { return i+1 < len(m.timesteps) }
func (m *cld) Splits() bool                         { return false }
func (m *cld) Span(int) (from, to float64, ok bool) { return 0, 0, false }

func (m *cld) AddNoise(i int, x, noise []float32) {
	half, l := len(x)/2, m.begins[i]
	for j, v := range x[:half] {
		zx, zw := float64(noise[j]), float64(noise[half+j])
		x[j] = float32(l.mean[0][0]*float64(v) + l.root[0][0]*zx)
		x[half+j] = float32(l.mean[1][0]*float64(v) + l.root[1][0]*zx + l.root[1][1]*zw)
	}
}

func (m *cld) Step(i int, x, out, noise []float32) {
	half, c := len(x)/2, m.moves[i]
	for j := range half {
		e := [5]float32{x[j], x[half+j], out[half+j]}
		if m.NeedsNoise(i) {
			e[3], e[4] = noise[j], noise[half+j]
		}
		x[j] = c[0][0]*e[0] + c[0][1]*e[1] + c[0][2]*e[2] + c[0][3]*e[3]
		x[half+j] = c[1][0]*e[0] + c[1][1]*e[1] + c[1][2]*e[2] + c[1][3]*e[3] + c[1][4]*e[4]
	}
}

// Denoised has the picture in its first half, and no velocities in its second.
func (m *cld) Denoised(i int, x, out, x0 []float32) {
	half, c := len(x)/2, m.x0[i]
	for j := range half {
		x0[j], x0[half+j] = c[0]*x[j]+c[1]*x[half+j]+c[2]*out[half+j], 0
	}
}
