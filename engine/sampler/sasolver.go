package sampler

import "math"

// newSASolver is diffusers' SASolverScheduler (Xue et al. 2023, "SA-Solver: stochastic Adams solver"): Adams and
// Bashforth's prediction and Moulton's correction of the SDE whose share of noise is tau, 1 between the training steps
// 200 and 800 and 0 elsewhere. The correction reuses the noise of the step that it corrects.
//
// One evaluation a step; 15 to 50 steps for the best of an SDE and a solver of high order.
func newSASolver(s settings, p Plan) (Sampler, error) {
	data := s.AlgorithmType == "data_prediction"
	if err := s.solver(s.SolverType); err != nil {
		return nil, err
	}
	switch {
	case s.TauFunc != nil:
		return nil, bad("tau_func", s.TauFunc)
	case s.AlgorithmType != "data_prediction" && s.AlgorithmType != "noise_prediction":
		return nil, bad("algorithm_type", s.AlgorithmType)
	case s.PredictorOrder < 1 || s.PredictorOrder > 4:
		return nil, bad("predictor_order", s.PredictorOrder)
	case s.CorrectorOrder < 1 || s.CorrectorOrder > 4:
		return nil, bad("corrector_order", s.CorrectorOrder)
	case !data && s.PredictionType == "flow_prediction":
		return nil, bad("prediction_type flow_prediction with algorithm_type", s.AlgorithmType)
	case !data && s.Thresholding:
		return nil, bad("thresholding with algorithm_type", s.AlgorithmType)
	}
	levels, init, err := s.solverLevels(p.Steps, stepQuirks{round: true, ends: true, repeats: true, clipsLambda: true})
	if err != nil {
		return nil, err
	}
	lastNoise := slots + 5
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n := i - p.Start
		predict, correct := s.PredictorOrder, s.CorrectorOrder
		if s.LowerOrderFinal {
			predict, correct = min(predict, p.Steps-i), min(correct, p.Steps-i+2)
		}
		a := adams{s: s, levels: levels, data: data, at: i, newest: n}
		r := run{level: levels[i], remember: theZero, keep: true, noisy: true, noiseInto: lastNoise}
		if !data {
			r.remember = levels[i].dpmNoise(s)
		}
		if n > 0 {
			r.correct = a.step(i-1, min(correct, n+1), theKept, unit(lastNoise))
		}
		r.move = a.step(i, min(predict, n+1), theX, theNoise)
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// adams is a step of the stochastic Adams methods with predictions at the places at, at-1, ..., of which the first is
// memory newest.
type adams struct {
	s          settings
	levels     []level
	data       bool
	at, newest int
}

// step goes from x at level i to i+1 with as many predictions as its order says.
func (a adams) step(i, order int, x, noise vec) vec {
	from, to := a.levels[i], a.levels[i+1]
	tau := 0.0
	if from.t >= 200 && from.t <= 800 {
		tau = 1
	}
	start, end := from.lambda(), to.lambda()
	h := end - start
	if h == 0 {
		return x
	}
	var places []float64
	for k := range order {
		places = append(places, a.levels[a.at-k].lambda())
	}
	q := 1 + tau*tau
	c := make([]float64, order)
	for k := range c {
		for power, p := range lagrangePolynomial(places, k) {
			if a.data {
				c[k] += p * expPositive(power, start, end, q)
			} else {
				c[k] += p * expNegative(power, start, end)
			}
		}
	}
	if a.data && order == 2 { // the paper's appendix: makes the second order exact for SDEs
		e := math.Exp(q*end) * (h*h/2 - (h*q-1+math.Exp(-q*h))/(q*q))
		if a.at == i {
			e /= start - a.levels[i-1].lambda()
		} else {
			e /= h
		}
		c[0], c[1] = c[0]+e, c[1]-e
	}
	move, weight := x.times(to.alpha/from.alpha), -q*to.alpha
	deviation := tau * to.sigma * math.Sqrt(math.Expm1(2*h))
	if a.data {
		move, weight = x.times(math.Exp(-tau*tau*h)*to.sigma/from.sigma), q*to.sigma*math.Exp(-tau*tau*end)
		deviation = to.sigma * math.Sqrt(-math.Expm1(-2*tau*tau*h))
	}
	for k, v := range c {
		move = move.plus(memory(a.newest - k).times(weight * v))
	}
	return move.plus(noise.times(deviation))
}

// lagrangePolynomial has the coefficients, by power, of the polynomial that is 1 at place k and 0 at the others.
func lagrangePolynomial(places []float64, k int) []float64 {
	c := []float64{1}
	for j, p := range places {
		if j == k {
			continue
		}
		d := places[k] - p
		next := make([]float64, len(c)+1)
		for power, v := range c {
			next[power+1] += v / d
			next[power] -= v * p / d
		}
		c = next
	}
	return c
}

// expNegative is the integral of e^-x x^n from start to end, expPositive that of e^(q x) x^n.
func expNegative(n int, start, end float64) float64 {
	sum := func(x float64) float64 { return factorialSum(n, x, 1) }
	return math.Exp(-start)*sum(start) - math.Exp(-end)*sum(end)
}

func expPositive(n int, start, end, q float64) float64 {
	sum := func(x float64) float64 { return factorialSum(n, x, -1) }
	return (math.Exp(q*end)*sum(q*end) - math.Exp(q*start)*sum(q*start)) / math.Pow(q, float64(n+1))
}

// factorialSum is the sum over j of sign^(n-j) n!/j! x^j.
func factorialSum(n int, x, sign float64) float64 {
	sum, c := 0.0, 1.0
	for j := n; j >= 0; j-- {
		sum += c * math.Pow(x, float64(j))
		c *= sign * float64(j)
	}
	return sum
}
