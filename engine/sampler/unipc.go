package sampler

import "math"

// newUniPC is diffusers' UniPCMultistepScheduler (Zhao et al. 2023, "UniPC"): a predictor like DPM-Solver++'s and, once
// the network has run at the new place, a corrector that takes that step again with what it said there.
//
// The most exact at five to ten steps, with one evaluation a step. bh1 suits weak guidance, bh2 strong.
func newUniPC(s settings, p Plan) (Sampler, error) {
	if err := s.solver("bh2", "bh1", "midpoint", "heun", "logrho"); err != nil {
		return nil, err
	}
	switch {
	case s.SolverOrder < 1 || s.SolverOrder > 3:
		return nil, bad("solver_order", s.SolverOrder)
	case !s.PredictX0 && s.FinalSigmasType == "zero":
		return nil, bad("predict_x0 false with final_sigmas_type", s.FinalSigmasType)
	case !s.PredictX0 && s.PredictionType == "flow_prediction":
		return nil, bad("predict_x0 false with prediction_type", s.PredictionType)
	case !s.PredictX0:
		s.Thresholding = false // of the picture, which is not predicted
	}
	levels, init, err := s.solverLevels(p.Steps, stepQuirks{round: true, repeats: true, flowUp: true})
	if err != nil {
		return nil, err
	}
	disabled := map[int]bool{}
	for _, i := range s.DisableCorrector {
		disabled[i] = true
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		r := run{level: levels[i], remember: theZero, keep: true}
		if !s.PredictX0 {
			r.remember = levels[i].dpmNoise(s)
		}
		if i > p.Start && !disabled[i-1] {
			r.correct = s.uniStep(levels, p, i-1, s.uniOrder(p, i-1), theKept, true)
		}
		r.move = s.uniStep(levels, p, i, s.uniOrder(p, i), theX, false)
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// uniOrder grows with the predictions there are and, with lower_order_final, shrinks towards the end. A last step to no
// noise at all can only be of order 1.
func (s settings) uniOrder(p Plan, i int) int {
	order := min(s.SolverOrder, i-p.Start+1)
	if s.LowerOrderFinal || s.FinalSigmasType == "zero" && i == p.Steps-1 {
		order = min(order, p.Steps-i)
	}
	return order
}

// uniStep goes from x at level i to i+1 with the predictions at i, i-1, ..., order of them, and when correcting also the
// one at i+1. Letters as in the paper's section 3: r the places of the earlier predictions in units of h, rho the
// weights of their differences from the one at i, B the function that scales them.
func (s settings) uniStep(levels []level, p Plan, i, order int, x vec, correcting bool) vec {
	from, to := levels[i], levels[i+1]
	h := to.lambda() - from.lambda()
	if h == 0 {
		return x
	}
	hh, scale := -h, to.alpha // what the paper's phi are of
	move := x.times(to.sigma / from.sigma)
	if !s.PredictX0 {
		hh, scale = h, to.sigma
		move = x.times(to.alpha / from.alpha)
	}
	phi := math.Expm1(hh)
	B := phi
	if s.SolverType == "bh1" {
		B = hh
	}
	m0 := memory(i - p.Start)
	move = move.minus(m0.times(scale * phi))
	var r []float64
	var m []vec
	for k := 1; k < order; k++ {
		r = append(r, (levels[i-k].lambda()-from.lambda())/h)
		m = append(m, memory(i-p.Start-k))
	}
	if correcting {
		r, m = append(r, 1), append(m, memory(i-p.Start+1))
	}
	for k, rho := range uniWeights(r, hh, phi, B) {
		move = move.minus(m[k].minus(m0).times(scale * B * rho / r[k]))
	}
	return move
}

// uniWeights solves sum over k of rho[k] r[k]^j = phi_(j+2)(hh) (j+1)! / B for j = 0, 1, ... A single weight is 1/2, as
// in diffusers.
func uniWeights(r []float64, hh, phi, B float64) []float64 {
	if len(r) <= 1 {
		return []float64{0.5}[:len(r)]
	}
	n := len(r)
	rows := make([][]float64, n)
	next, factorial := phi/hh-1, 1.0
	for j := range rows {
		for _, v := range r {
			rows[j] = append(rows[j], math.Pow(v, float64(j)))
		}
		rows[j] = append(rows[j], next*factorial/B)
		factorial *= float64(j + 2)
		next = next/hh - 1/factorial
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
