package sampler

import "math"

// newRK45 is Dormand and Prince's method of orders five and four on the probability-flow equation, with steps as scipy's
// RK45 chooses them for a tolerance of 1e-5: the ode sampler of Score-SDE (Song et al. 2020, "Score-based generative
// modeling", appendix D.4) and of rectified flow (Liu et al. 2022).
//
// For the exact solution, to measure others by, and for straight flows; some 60 to 200 evaluations.
func newRK45(s settings, p Plan) (Sampler, error) {
	w, err := s.process(p)
	if err != nil {
		return nil, err
	}
	const tolerance = 1e-5
	slope := func(t float64) vec { return w.slope(w.at(t), t, 0.5) }
	h := (w.to - w.from) / 100
	first := run{level: w.at(w.from), keep: true, remember: slope(w.from), into: startSlope, move: theX.plus(unit(startSlope).times(h * dormandPrince[0].a[0]))}
	return newAdaptive(s, method{
		from: w.from, to: w.to, h: h, at: w.at, slope: slope, lead: dormandPrince[0].a[0],
		tolerance: func(_, x, prior float64) float64 { return tolerance * (1 + max(x, prior)) },
		judge: func(err float64, rejected bool) (bool, float64) {
			by := 0.9 * math.Pow(err, -0.2)
			switch {
			case err >= 1:
				return false, max(0.2, by)
			case rejected:
				return true, min(1, by)
			}
			return true, min(10, by)
		},
		trial: func(t, to float64, _ int) (runs []run) {
			h := to - t
			for i, stage := range dormandPrince {
				at := t + stage.c*h
				r := run{level: w.at(at), remember: slope(at), into: startSlope + 1 + i, move: theKept}
				if i+1 == len(dormandPrince) {
					r.remember, r.into, r.move = theX.minus(slope(at).times(h*errors7)), lowOrder, theX
					for k, e := range errorsOf {
						r.remember = r.remember.minus(unit(startSlope + k).times(h * e))
					}
				} else {
					for k, a := range dormandPrince[i+1].a {
						r.move = r.move.plus(unit(startSlope + k).times(h * a))
					}
				}
				runs = append(runs, r)
			}
			return runs
		},
	}, []run{first}, w.init), nil
}

// dormandPrince are the method's stages after the first: their times and the shares of the slopes before. The last is
// the result itself.
var dormandPrince = []struct {
	c float64
	a []float64
}{
	{1. / 5, []float64{1. / 5}},
	{3. / 10, []float64{3. / 40, 9. / 40}},
	{4. / 5, []float64{44. / 45, -56. / 15, 32. / 9}},
	{8. / 9, []float64{19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729}},
	{1, []float64{9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656}},
	{1, []float64{35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84}},
}

// errorsOf are the shares of the slopes in the difference from the result of order four, errors7 that of the last.
var errorsOf = []float64{71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525}

const errors7 = -1. / 40
