package sampler

import (
	"fmt"
	"math"
)

// newDPMFast is k-diffusion's sample_dpm_fast: DPM-Solver-fast (Lu et al. 2022, "DPM-Solver", section 3.4), steps of
// third order and a last of lower, evenly spaced in lambda, with as many evaluations in all as there are steps. It ends
// at the schedule's least level, not at 0.
//
// For 12 to 20 evaluations without strong guidance; DPM++ 2M is the better choice with it.
func newDPMFast(s settings, p Plan) (Sampler, error) {
	w, err := s.process(p)
	if err != nil {
		return nil, err
	}
	n := p.Steps - p.Start
	if n < 2 {
		return nil, fmt.Errorf("sampler: %d steps, this sampler takes 2 and more: %w", n, ErrRequest)
	}
	orders := dpmFastOrders(n)
	at, runs := w.at(w.from), []run(nil)
	for i, order := range orders {
		next := w.at(lerp(w.from, w.to, i+1, len(orders)+1))
		runs = append(runs, s.dpmSolverStep(at, next, order, len(runs), w.logs)...)
		at = next
	}
	return newSolver(s, runs, at, w.init), nil
}

// dpmFastOrders are those of the steps that n evaluations are spent on.
func dpmFastOrders(n int) (orders []int) {
	for range n/3 - 1 {
		orders = append(orders, 3)
	}
	switch {
	case n < 3:
		return append(orders, n)
	case n%3 == 0:
		return append(orders, 2, 1)
	}
	return append(orders, 3, n%3)
}

// dpmSolverStep is a step of DPM-Solver-1, 2 or 3 (the same paper, algorithms 1 and 2) in the prediction of the noise,
// whose first run is the nth.
func (s settings) dpmSolverStep(from, to level, order, n int, logs []float32) []run {
	h := math.Log(from.sigma / to.sigma)
	first := run{level: from, keep: true, remember: from.slope()}
	eps, e := memory(n), math.Expm1(h)
	straight := func(x vec, sigma, h float64) vec { return x.minus(eps.times(sigma * math.Expm1(h))) }
	if order == 1 {
		first.move = straight(theX, to.sigma, h)
		return []run{first}
	}
	r1 := map[int]float64{2: 0.5, 3: 1. / 3}[order]
	s1 := s.between(from, math.Exp(math.Log(from.sigma)-r1*h), logs)
	first.move = straight(theX, s1.sigma, r1*h)
	second := run{level: s1, remember: s1.slope()}
	bend := memory(n + 1).minus(eps)
	if order == 2 {
		second.move = straight(theKept, to.sigma, h).minus(bend.times(to.sigma / (2 * r1) * e))
		return []run{first, second}
	}
	const r2 = 2. / 3
	s2 := s.between(from, math.Exp(math.Log(from.sigma)-r2*h), logs)
	second.move = straight(theKept, s2.sigma, r2*h).minus(bend.times(s2.sigma * r2 / r1 * (math.Expm1(r2*h)/(r2*h) - 1)))
	third := run{level: s2, remember: s2.slope()}
	third.move = straight(theKept, to.sigma, h).minus(memory(n + 2).minus(eps).times(to.sigma / r2 * (e/h - 1)))
	return []run{first, second, third}
}
