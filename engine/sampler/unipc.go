package sampler

import "math"

// newUniPC is diffusers' UniPCMultistepScheduler with predict_x0 (Zhao et al. 2023, "UniPC"): a predictor like
// DPM-Solver++'s and, once the network has run at the new place, a corrector that takes that step again.
func newUniPC(s settings, steps int) (Sampler, error) {
	if s.SolverOrder < 1 || s.SolverOrder > 3 {
		return nil, bad("solver_order", s.SolverOrder)
	}
	if err := s.solver("bh2", "bh1", "midpoint", "heun", "logrho"); err != nil {
		return nil, err
	}
	if !s.PredictX0 {
		return nil, bad("predict_x0", false)
	}
	w, levels, err := solverWalk(s, steps, true)
	if err != nil {
		return nil, err
	}
	disabled := map[int]bool{}
	for _, i := range s.DisableCorrector {
		disabled[i] = true
	}
	m := &multistep{walk: w}
	for i := range steps {
		m.denoised = append(m.denoised, solverDenoised(s, levels[i]))
		if i == 0 || disabled[i-1] {
			m.correct = append(m.correct, combo{skip: true})
		} else {
			m.correct = append(m.correct, uniStep(s, levels, i-1, uniOrder(s, i-1, steps), true))
		}
		m.predict = append(m.predict, uniStep(s, levels, i, uniOrder(s, i, steps), false))
	}
	return m, nil
}

// uniOrder grows with the predictions there are and, with lower_order_final, shrinks towards the end. A last step
// to no noise at all can only be of order 1.
func uniOrder(s settings, i, steps int) int {
	order := min(s.SolverOrder, i+1)
	if s.LowerOrderFinal || s.FinalSigmasType == "zero" && i == steps-1 {
		order = min(order, steps-i)
	}
	return order
}

// uniStep goes from level i to i+1 with the predictions at i, i-1, ..., order of them, and when correcting also the
// one at i+1. Letters as in the paper's section 3: r the places of the earlier predictions in units of h, rho the
// weights of their differences from the one at i, B the function that scales them.
func uniStep(s settings, levels []level, i, order int, correcting bool) combo {
	from, to := levels[i], levels[i+1]
	h := to.lambda - from.lambda
	if h == 0 {
		return combo{x: 1}
	}
	phi := math.Expm1(-h)
	b := phi
	if s.SolverType == "bh1" {
		b = -h
	}
	var r []float64
	for k := 1; k < order; k++ {
		r = append(r, (levels[i-k].lambda-from.lambda)/h)
	}
	c := combo{x: float32(to.sigma / from.sigma)}
	first := 0 // index in past of the prediction at i
	if correcting {
		first = 1
		r = append(r, 1)
	}
	own := -to.alpha * phi // weight of the prediction at i
	for k, rho := range uniWeights(r, h, phi, b) {
		weight := -to.alpha * b * rho / r[k]
		own -= weight
		at := first + 1 + k
		if correcting && k == len(r)-1 {
			at = 0
		}
		c.m[at] = float32(weight)
	}
	c.m[first] = float32(own)
	return c
}

// uniWeights solves sum over k of rho[k] r[k]^j = phi_(j+2)(h) (j+1)! / B for j = 0, 1, ... A single weight is 1/2, as
// in diffusers.
func uniWeights(r []float64, h, phi, b float64) []float64 {
	if len(r) <= 1 {
		return []float64{0.5}[:len(r)]
	}
	n := len(r)
	rows := make([][]float64, n)
	next, factorial := phi/-h-1, 1.0
	for j := range rows {
		for _, v := range r {
			rows[j] = append(rows[j], math.Pow(v, float64(j)))
		}
		rows[j] = append(rows[j], next*factorial/b)
		factorial *= float64(j + 2)
		next = next/-h - 1/factorial
	}
	return solve(rows)
}

// solve is Gaussian elimination on n rows of n coefficients and a right-hand side. The places r are distinct, so
// it is never singular.
func solve(rows [][]float64) []float64 {
	n := len(rows)
	for p := range rows {
		best := p
		for i := p; i < n; i++ {
			if math.Abs(rows[i][p]) > math.Abs(rows[best][p]) {
				best = i
			}
		}
		rows[p], rows[best] = rows[best], rows[p]
		for i := range rows {
			if i == p {
				continue
			}
			f := rows[i][p] / rows[p][p]
			for j := p; j <= n; j++ {
				rows[i][j] -= f * rows[p][j]
			}
		}
	}
	x := make([]float64, n)
	for i, row := range rows {
		x[i] = row[n] / row[i]
	}
	return x
}
