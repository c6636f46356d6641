package sampler

import "math"

// newDEISTab is ComfyUI's deis: tAB-DEIS of order 3 with the polynomial in the time t of a variance-preserving SDE
// whose noise levels at 0.001 and 1 are 0.002 and 80 (Zhang and Chen 2022; zju-pi's diff-sampler). deis.go has
// diffusers', whose polynomial is in log rho.
func newDEISTab(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		n, l, next := i-p.Start, levels[i], levels[i+1]
		order := min(3, n+1)
		if next.sigma == 0 {
			order = 1
		}
		r := run{level: l, remember: l.slope(), move: eulerStep(l, next.sigma)}
		if order > 1 {
			var t []float64
			for k := range order {
				t = append(t, edmTime(levels[i-k].sigma))
			}
			r.move = theX
			for k := range t {
				r.move = r.move.plus(memory(n - k).times(tabIntegral(t, k, edmTime(next.sigma))))
			}
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[p.Steps], init), nil
}

// The SDE's beta(t) = betaMin + betaD t.
var (
	edmBetaD   = 2 * (math.Log(0.002*0.002+1)/1e-3 - math.Log(80*80+1)) / (1e-3 - 1)
	edmBetaMin = math.Log(80*80+1) - edmBetaD/2
)

// edmTime is the SDE's time of a noise level, edmSlope the noise level's slope there.
func edmTime(sigma float64) float64 {
	return (math.Sqrt(edmBetaMin*edmBetaMin+2*edmBetaD*math.Log(sigma*sigma+1)) - edmBetaMin) / edmBetaD
}

func edmSlope(t float64) float64 {
	variance := math.Expm1(edmBetaD*t*t/2 + edmBetaMin*t)
	return (edmBetaD*t + edmBetaMin) * (variance + 1) / (2 * math.Sqrt(variance))
}

// tabIntegral is the integral over the noise level, from the time t[0] to end, of the polynomial that is 1 at t[k] and 0
// at the others: ComfyUI's sum of 10,000 places, both ends among them, which is the integral but for what it counts too
// much of the ends and too little of the rest.
func tabIntegral(t []float64, k int, end float64) float64 {
	f := func(x float64) float64 {
		v := edmSlope(x)
		for j, node := range t {
			if j != k {
				v *= (x - node) / (t[k] - node)
			}
		}
		return v
	}
	const parts, points = 64, 10_000
	sum, width := 0.0, (end-t[0])/parts
	for i := range parts { // Gauss and Legendre with two points
		middle, half := t[0]+(float64(i)+0.5)*width, width/2
		sum += half * (f(middle-half/math.Sqrt(3)) + f(middle+half/math.Sqrt(3)))
	}
	return sum*(1-1./points) + (end-t[0])/points*(f(t[0])+f(end))/2
}
