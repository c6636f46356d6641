package sampler

// newDPMSinglestep is diffusers' DPMSolverSinglestepScheduler (Lu et al. 2022, "DPM-Solver", algorithms 1 and 2): steps
// in groups of solver_order, in each of which the first, the second and the third go from the same start with ever more
// predictions.
//
// Without memory from one group to the next it is the steadiest of the DPM-Solvers at very few steps and strong
// guidance; the multistep form is more exact from ten steps on.
func newDPMSinglestep(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.dpmLevels(p.Steps, stepQuirks{plainLinspace: true, clipsLambda: true, round: true})
	if err != nil {
		return nil, err
	}
	orders := s.orders(p.Steps)
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		order := min(orders[i], i-p.Start+1)
		first := i - order + 1
		d := dpm{s: s, from: levels[first], to: levels[i+1]}
		for k := range order {
			d.predictions = append(d.predictions, memory(first-p.Start+k))
			d.lambdas = append(d.lambdas, levels[first+k].lambda())
		}
		x := theX
		if order > 1 {
			x = theKept
		}
		r := d.run(levels[i], x, d.singlestep())
		r.keep = order == 1
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// singlestep gives D0, D1 and D2 from predictions made at the start of the group and at the places after it.
func (d dpm) singlestep() []vec {
	m, at := d.predictions, d.lambdas
	h := d.to.lambda() - d.from.lambda()
	if len(m) == 1 {
		return m
	}
	last := len(m) - 1
	r0 := (at[last] - at[0]) / h
	D1 := m[last].minus(m[0]).times(1 / r0)
	if len(m) == 2 || d.s.SolverType == "midpoint" {
		return []vec{m[0], D1}
	}
	r1 := (at[1] - at[0]) / h
	middle := m[1].minus(m[0]).times(1 / r1)
	return []vec{m[0], middle.times(r0).minus(D1.times(r1)).times(1 / (r0 - r1)), D1.minus(middle).times(2 / (r0 - r1))}
}

// orders are those of all steps. diffusers lowers the last ones where the steps do not fill groups or end at no noise.
func (s settings) orders(steps int) []int {
	whole := steps%s.SolverOrder == 0
	lower := s.LowerOrderFinal || !whole || s.FinalSigmasType == "zero"
	orders := make([]int, steps)
	for i := range orders {
		orders[i] = i%s.SolverOrder + 1
	}
	if lower && whole && s.SolverOrder > 1 {
		orders[steps-1] = 1
		if s.SolverOrder == 3 {
			orders[steps-2] = 2
		}
	}
	if s.FinalSigmasType == "zero" {
		orders[steps-1] = 1
	}
	return orders
}
