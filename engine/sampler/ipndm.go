package sampler

import "math"

// newIPNDM is diffusers' IPNDMScheduler, of v-diffusion-pytorch: PLMS (pndm.go) without its first correction, for models
// whose x = alpha x0 + sigma noise goes by the cosine of a crash-course schedule and that predict v.
func newIPNDM(s settings, p Plan) (Sampler, error) {
	if s.TrainedBetas != nil {
		return nil, bad("trained_betas of length", len(s.TrainedBetas))
	}
	levels := make([]level, p.Steps+1)
	for i, step := range linspace32(1, 0, p.Steps+1) {
		beta := math.Pow(math.Sin(float64(step)*math.Pi/2), 2)
		alpha := math.Sqrt(1 - beta*beta)
		l := level{t: math.Atan2(beta, alpha) / math.Pi * 2, shown: beta, alpha: alpha, sigma: beta}
		l.zero = theX.times(alpha).minus(theOut.times(beta))
		levels[i] = l
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n, l, next := i-p.Start, levels[i], levels[i+1]
		var ets []vec
		for k := range min(n+1, 4) {
			ets = append(ets, memory(n-k))
		}
		e := adamsBashforth(ets)
		r := run{level: l, remember: theX.times(l.sigma).plus(theOut.times(l.alpha)), move: e.times(next.sigma)}
		if l.alpha > 1e-8 {
			r.move = theX.minus(e.times(l.sigma)).times(next.alpha / l.alpha).plus(r.move)
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}

// newKIPNDM is ComfyUI's ipndm: the same coefficients of Adams and Bashforth on the ODE of euler.go, as if the noise
// levels were evenly spaced (Zhang and Chen 2022, "Fast sampling of diffusion models with exponential integrator",
// section 4).
//
// One evaluation a step, and steady where LMS's exact coefficients grow large.
func newKIPNDM(s settings, p Plan) (Sampler, error) { return s.ipndm(p, false) }

// newIPNDMV is ComfyUI's ipndm_v, of zju-pi's diff-sampler: the same with coefficients for noise levels at any distance,
// in that package's form.
func newIPNDMV(s settings, p Plan) (Sampler, error) { return s.ipndm(p, true) }

func (s settings) ipndm(p Plan, variable bool) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n := i - p.Start
		var slopes []vec
		for k := range min(n+1, 4) {
			slopes = append(slopes, memory(n-k))
		}
		l, next := levels[i], levels[i+1]
		mean := adamsBashforth(slopes)
		if variable {
			var h []float64 // the way ahead, and those behind
			for k := range len(slopes) {
				h = append(h, levels[i+1-k].sigma-levels[i-k].sigma)
			}
			mean = variableAdams(slopes, h)
		}
		r := run{level: l, remember: l.slope(), move: theX.plus(mean.times(next.sigma - l.sigma))}
		if next.sigma == 0 {
			r.move = theZero
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// variableAdams is the mean slope over a step of length h[0] after those of h[1] and so on, of slopes newest first.
func variableAdams(d []vec, h []float64) vec {
	if len(d) == 1 {
		return d[0]
	}
	c := []float64{(2 + h[0]/h[1]) / 2, -h[0] / h[1] / 2, 0, 0}
	if len(d) > 2 {
		bend := (1 - h[0]/(3*(h[0]+h[1]))*(h[0]*(h[0]+h[1]))/(h[1]*(h[1]+h[2]))) / 2
		c[0], c[1], c[2] = c[0]+bend, c[1]-(1+h[1]/h[2])*bend, bend*h[1]/h[2]
	}
	if len(d) > 3 {
		third := ((1-h[0]/(3*(h[0]+h[1])))/2 + (1-h[0]/(2*(h[0]+h[1])))*h[0]/(6*(h[0]+h[1]+h[2]))) *
			(h[0] * (h[0] + h[1]) * (h[0] + h[1] + h[2])) / (h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3]))
		ratio := h[1] * (h[1] + h[2]) / (h[2] * (h[2] + h[3]))
		c[0], c[1] = c[0]+third, c[1]-(1+h[1]/h[2]+ratio)*third
		c[2], c[3] = c[2]+(h[1]/h[2]+ratio*(1+h[2]/h[3]))*third, -third*ratio*h[1]/h[2]
	}
	var mean vec
	for k, slope := range d {
		mean = mean.plus(slope.times(c[k]))
	}
	return mean
}
