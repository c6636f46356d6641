package sampler

import "math"

// newSEEDS2 and newSEEDS3 are ComfyUI's seeds_2 and seeds_3: exponential solvers of the SDE with two and three stages
// (Gonzalez et al. 2023, "SEEDS: exponential SDE solvers for fast high-quality sampling from diffusion models",
// algorithms 3 and 4), whose noise in a step is one path.
//
// Two and three evaluations a step; 10 to 20 steps for an SDE's detail with an exact mean.
func newSEEDS2(s settings, p Plan) (Sampler, error) {
	return s.seeds(p, p.eta(1), []float64{0.5}, false)
}

func newSEEDS3(s settings, p Plan) (Sampler, error) {
	return s.seeds(p, p.eta(1), []float64{1. / 3, 2. / 3}, true)
}

// newExpHeun and newExpHeunSDE are ComfyUI's exp_heun_2_x0 and exp_heun_2_x0_sde: Heun's method as an exponential
// integrator of the prediction of the picture, which is SEEDS with its second stage at the end of the step.
func newExpHeun(s settings, p Plan) (Sampler, error) { return s.seeds(p, 0, []float64{1}, true) }

func newExpHeunSDE(s settings, p Plan) (Sampler, error) {
	return s.seeds(p, p.eta(1), []float64{1}, true)
}

// seeds has its inner stages at the shares r of a step in lambda. phi2 weighs the last two predictions by the exact
// integral, else by their difference alone.
func (s settings) seeds(p Plan, eta float64, r []float64, phi2 bool) (Sampler, error) {
	levels, init, err := s.snrLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	logs, err := s.trainLogs()
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, to := levels[i], levels[i+1]
		if to.sigma == 0 {
			runs = append(runs, run{level: l, move: theZero})
			continue
		}
		st := seedsStep{from: l, h: to.lambda() - l.lambda(), eta: eta, first: len(runs), phi2: phi2}
		places := append(append([]float64{}, r...), 1)
		at := l
		for k, share := range places {
			end := to
			if k < len(r) && share < 1 {
				end = s.atLambda(l, l.lambda()+share*st.h, logs)
			}
			next := run{level: at, keep: k == 0, remember: theZero, noisy: eta > 0, noiseInto: slots + 4 + k}
			if k == len(r) {
				next.noiseInto = 0
			}
			before := append([]float64{0}, places[:k]...)
			next.move = st.move(end, share, before).plus(st.noise(end, share, before))
			runs = append(runs, next)
			at = end
		}
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// seedsStep is a step of SEEDS from a level over h in lambda; first is the run at its start.
type seedsStep struct {
	from   level
	h, eta float64
	first  int
	phi2   bool
}

// move goes to a level at a share of the step, with the predictions at the shares before, the first of which is 0.
func (st seedsStep) move(to level, share float64, before []float64) vec {
	x := theKept
	if len(before) == 1 {
		x = theX
	}
	z := -share * st.h * (1 + st.eta)
	phi1 := math.Expm1(z)
	last := len(before) - 1
	w := 0.0 // of the last prediction
	switch {
	case last == 0:
	case st.phi2:
		w = (phi1 - z) / z * share / before[last]
	default:
		w = phi1 / (2 * before[last])
	}
	first, second := memory(st.first), memory(st.first+last)
	return x.times(to.sigma / st.from.sigma * math.Exp(-share*st.h*st.eta)).minus(first.times(to.alpha * (phi1 - w))).minus(second.times(to.alpha * w))
}

// noise is that of the path from the start of the step: what was drawn for the parts before, faded, and what is fresh.
func (st seedsStep) noise(to level, share float64, before []float64) vec {
	var sum vec
	for k, from := range before {
		until := share
		if k+1 < len(before) {
			until = before[k+1]
		}
		n := theNoise
		if k+1 < len(before) {
			n = unit(slots + 4 + k)
		}
		fresh := math.Sqrt(-math.Expm1(-2 * (until - from) * st.h * st.eta))
		sum = sum.plus(n.times(fresh * math.Exp(-(share-until)*st.h*st.eta)))
	}
	return sum.times(to.sigma)
}

// atLambda is the level with half the logarithm of its signal-to-noise ratio, between those of the schedule that l is of.
func (s settings) atLambda(l level, lambda float64, logs []float32) level {
	if s.family == flowFamily {
		return s.between(l, 1/(1+math.Exp(lambda)), logs)
	}
	return s.between(l, math.Exp(-lambda), logs)
}
