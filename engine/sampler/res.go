package sampler

import "math"

// newRES is ComfyUI's res_multistep: the second-order multistep form of the refined exponential solver (Zhang et al.
// 2023, "Improved order analysis and design of exponential integrator for diffusion models sampling", algorithm 2).
//
// One evaluation a step; at 6 to 20 steps like DPM++ 2M, whose order condition it meets exactly.
func newRES(s settings, p Plan) (Sampler, error) { return s.res(p, 0, false) }

// newRESAncestral is res_multistep_ancestral: the same to below the next level, and fresh noise up to it.
func newRESAncestral(s settings, p Plan) (Sampler, error) { return s.res(p, p.eta(1), false) }

// newRESUnguided and newRESAncestralUnguided are their forms with CFG++ (cfg_pp.go).
func newRESUnguided(s settings, p Plan) (Sampler, error) { return s.res(p, 0, true) }

func newRESAncestralUnguided(s settings, p Plan) (Sampler, error) { return s.res(p, p.eta(1), true) }

func (s settings) res(p Plan, eta float64, free bool) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	before := 0.0 // the level that the step before went down to
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n, l, next := i-p.Start, levels[i], levels[i+1]
		down, up := ancestral(l.sigma, next.sigma, eta)
		r := run{level: l, remember: theZero, noisy: up > 0}
		if free {
			r.remember = l.unguided()
		}
		switch h := math.Log(l.sigma / down); {
		case (down == 0 || n == 0) && free:
			r.move = theZero.plus(theX.minus(l.unguided()).times(down / l.sigma))
		case down == 0 || n == 0:
			r.move = eulerStep(l, down)
		default:
			c2 := math.Log(before/levels[i-1].sigma) / h
			phi1 := -math.Expm1(-h) / h
			phi2 := (1 - phi1) / h
			x := theX
			if free {
				x = x.plus(theZero).minus(l.unguided())
			}
			r.move = x.times(math.Exp(-h)).plus(memory(n).times(h * (phi1 - phi2/c2))).plus(memory(n - 1).times(h * phi2 / c2))
		}
		r.move = r.move.plus(theNoise.times(up))
		before = down
		runs = append(runs, r)
	}
	if free {
		return s.split(runs, levels[p.Steps], init), nil
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}
