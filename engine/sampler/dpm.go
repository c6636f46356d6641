package sampler

import (
	"math"
	"slices"
)

// newDPM is diffusers' DPMSolverMultistepScheduler of order 1 to 3 and its EDM form: an exponential integrator, exact
// in the linear part of the ODE, with a polynomial in lambda through the last predictions for the rest. It integrates
// the prediction of the picture (algorithm_type dpmsolver++: Lu et al. 2022, "DPM-Solver++", algorithm 2) or of the
// noise (dpmsolver: "DPM-Solver"), either also as an SDE (sde-), which adds fresh noise at each step.
//
// DPM++ 2M, with Karras's levels, is the choice for 10 to 30 steps with guidance; the third order where guidance is
// weak. As an SDE it takes 20 steps and more, and errors of early steps are forgotten.
func newDPM(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.dpmLevels(p.Steps, stepQuirks{clipsLambda: true})
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		few := s.LowerOrderFinal && p.Steps < 15
		order := min(s.SolverOrder, i-p.Start+1)
		switch {
		case i == p.Steps-1 && (s.EulerAtFinal || few || s.FinalSigmasType == "zero"):
			order = 1
		case i == p.Steps-2 && few:
			order = min(order, 2)
		}
		d := dpm{s: s, from: levels[i], to: levels[i+1]}
		for k := range order {
			d.predictions = append(d.predictions, memory(i-p.Start-k))
			d.lambdas = append(d.lambdas, levels[i-k].lambda())
		}
		runs = append(runs, d.run(levels[i], theX, d.multistep()))
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// dpmLevels checks the fields that the DPM-Solvers have in common.
func (s *settings) dpmLevels(steps int, q stepQuirks) ([]level, float64, error) {
	if err := s.solver("midpoint", "heun", "logrho", "bh1", "bh2"); err != nil {
		return nil, 0, err
	}
	if s.AlgorithmType == "deis" { // another class's, which diffusers takes so
		s.AlgorithmType = "dpmsolver++"
	}
	noise := s.AlgorithmType == "dpmsolver" || s.AlgorithmType == "sde-dpmsolver"
	switch {
	case s.SolverOrder < 1 || s.SolverOrder > 3:
		return nil, 0, bad("solver_order", s.SolverOrder)
	case !noise && s.AlgorithmType != "dpmsolver++" && s.AlgorithmType != "sde-dpmsolver++",
		noise && s.family == edmFamily, s.AlgorithmType == "sde-dpmsolver" && q.plainLinspace:
		return nil, 0, bad("algorithm_type", s.AlgorithmType)
	case noise && s.FinalSigmasType == "zero":
		return nil, 0, bad("final_sigmas_type zero with algorithm_type", s.AlgorithmType)
	case noise && s.PredictionType == "flow_prediction":
		return nil, 0, bad("prediction_type flow_prediction with algorithm_type", s.AlgorithmType)
	case s.SolverOrder == 3 && s.AlgorithmType == "sde-dpmsolver":
		return nil, 0, bad("solver_order 3 with algorithm_type", s.AlgorithmType)
	case s.UseDynamicShifting && s.TimeShiftType != "exponential":
		return nil, 0, bad("time_shift_type", s.TimeShiftType)
	}
	return s.solverLevels(steps, q)
}

// dpm is one step of DPM-Solver from a level to another, with predictions at places lambda, the first of which is the
// one that its terms begin with.
type dpm struct {
	s           settings
	from, to    level
	predictions []vec
	lambdas     []float64
}

// noisy is whether the step is the SDE's.
func (d dpm) noisy() bool { return d.s.AlgorithmType[0] == 's' }

// ofNoise is whether the noise is integrated, not the picture.
func (d dpm) ofNoise() bool {
	return d.s.AlgorithmType == "dpmsolver" || d.s.AlgorithmType == "sde-dpmsolver"
}

// run is the evaluation at l and the move from x, given the differences D0, D1, D2 of the predictions.
func (d dpm) run(l level, x vec, D []vec) run {
	r := run{level: l, remember: theZero, noisy: d.noisy()}
	if d.ofNoise() {
		r.remember = l.dpmNoise(d.s)
	}
	h := d.to.lambda() - d.from.lambda()
	if h == 0 {
		r.move = x
		return r
	}
	c, noise := d.weights(h)
	r.move = x.times(c[0])
	for k, D := range D {
		r.move = r.move.plus(D.times(c[k+1]))
	}
	r.move = r.move.plus(theNoise.times(noise))
	return r
}

// dpmNoise is the prediction of the noise as the solvers work it out.
func (l level) dpmNoise(s settings) vec {
	if s.limit().on() {
		return l.noise()
	}
	switch s.PredictionType {
	case "v_prediction":
		return theOut.times(l.alpha).plus(theX.times(l.sigma))
	case "epsilon":
		return theOut
	}
	return l.noise()
}

// weights are those of x, D0, D1, D2 and of fresh noise. With one difference D1, midpoint takes half of D0's weight for
// it, heun the exact integral.
func (d dpm) weights(h float64) (c [4]float64, noise float64) {
	from, to := d.from, d.to
	if d.ofNoise() {
		e := math.Expm1(h)
		c = [4]float64{to.alpha / from.alpha, -to.sigma * e, -to.sigma * (e/h - 1), -to.sigma * ((e-h)/(h*h) - 0.5)}
		if d.noisy() {
			c[1], c[2] = 2*c[1], 2*c[2]
			noise = to.sigma * math.Sqrt(math.Expm1(2*h))
		}
	} else {
		x := to.sigma / from.sigma
		if d.noisy() {
			x *= math.Exp(-h)
			h *= 2
			noise = to.sigma * math.Sqrt(-math.Expm1(-h))
		}
		e := math.Expm1(-h) // -1 where the next level is the picture itself
		c = [4]float64{x, -to.alpha * e, to.alpha * (e/h + 1), -to.alpha * ((e/h+1)/h - 0.5)}
		if d.noisy() {
			c[3] = to.alpha * ((-e-h)/(h*h) - 0.5)
		}
	}
	if d.s.SolverType == "midpoint" && len(d.predictions) == 2 {
		c[2] = c[1] / 2
	}
	return c, noise
}

// multistep gives D0, D1 and D2 from predictions made at the start of this step and of those before it.
func (d dpm) multistep() []vec {
	m, at := d.predictions, d.lambdas
	h := d.to.lambda() - d.from.lambda()
	if len(m) == 1 {
		return m
	}
	r0 := (at[0] - at[1]) / h
	D1 := m[0].minus(m[1]).times(1 / r0)
	if len(m) == 2 {
		return []vec{m[0], D1}
	}
	r1 := (at[1] - at[2]) / h
	before := m[1].minus(m[2]).times(1 / r1)
	bend := D1.minus(before)
	return []vec{m[0], D1.plus(bend.times(r0 / (r0 + r1))), bend.times(1 / (r0 + r1))}
}

// solver checks what the solvers' classes have in common: types are the values of solver_type, of which diffusers takes
// those beyond the second, other classes', for the first.
func (s *settings) solver(types ...string) error {
	switch at := slices.Index(types, s.SolverType); {
	case at < 0:
		return bad("solver_type", s.SolverType)
	case at > 1:
		s.SolverType = types[0]
	}
	switch {
	case s.SolverP != nil:
		return bad("solver_p", s.SolverP)
	case s.VarianceType != nil && (*s.VarianceType != "learned" && *s.VarianceType != "learned_range" || !s.varies):
		return bad("variance_type", *s.VarianceType)
	case s.UseDynamicShifting && s.family != flowFamily:
		return bad("use_dynamic_shifting without use_flow_sigmas", true)
	}
	return nil
}
