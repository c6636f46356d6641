package sampler

// newLMS is the linear multistep method of Adams and Bashforth on the ODE of euler.go, with coefficients for noise
// levels at any distance: k-diffusion's sample_lms and diffusers' LMSDiscreteScheduler, of order four.
//
// One evaluation a step. Older than the exponential integrators (dpm.go, deis.go, unipc.go), which need fewer steps.
func newLMS(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n := i - p.Start
		var sigmas []float64 // of this run and those before it, newest first
		for k := range min(n+1, 4) {
			sigmas = append(sigmas, levels[i-k].sigma)
		}
		move := theX
		for k := range sigmas {
			move = move.plus(memory(n - k).times(lagrange(sigmas, k, levels[i+1].sigma)))
		}
		runs = append(runs, run{level: levels[i], remember: levels[i].slope(), move: move})
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// lagrange is the integral from nodes[0] to end of the polynomial that is 1 at node k and 0 at the others, exact up to
// the third degree: Gauss and Legendre's rule with two points.
func lagrange(nodes []float64, k int, end float64) float64 {
	const root = 0.5773502691896257 // of 1/3
	middle, half := (nodes[0]+end)/2, (end-nodes[0])/2
	sum := 0.0
	for _, x := range []float64{middle - half*root, middle + half*root} {
		v := 1.0
		for j, node := range nodes {
			if j != k {
				v *= (x - node) / (nodes[k] - node)
			}
		}
		sum += v
	}
	return sum * half
}
