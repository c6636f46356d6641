package sampler

import "math"

// newGottaGoFast is Jolicoeur-Martineau et al. 2021, "Gotta go fast when generating data with score-based models",
// algorithm 1: Euler and Maruyama's step of the reversed equation beside the improved one with the same noise, with
// steps as long as the difference allows, and on from the improved one.
//
// For models of Score-SDE's kind and wherever an SDE's pictures are wanted without choosing a number of steps.
func newGottaGoFast(s settings, p Plan) (Sampler, error) {
	w, err := s.process(p)
	if err != nil {
		return nil, err
	}
	return newAdaptive(s, method{
		from: w.from, to: w.to, h: (w.to - w.from) / 100, at: w.at, tolerance: relative(0.02),
		judge: func(err float64, _ bool) (bool, float64) { return err <= 1, 0.9 * math.Pow(err, -0.9) },
		trial: func(t, to float64, _ int) []run {
			h, from, next := t-to, w.at(t), w.at(to)
			root := math.Sqrt(h)
			const z = startSlope // what holds the step's noise
			return []run{
				{level: from, keep: true, noisy: true, noiseInto: z, move: theX.minus(w.slope(from, t, 1).times(h)).plus(theNoise.times(root * w.g(t)))},
				{level: next, remember: theX, into: lowOrder,
					move: theKept.plus(theX).minus(w.slope(next, to, 1).times(h)).plus(unit(z).times(root * w.g(to))).times(0.5)},
			}
		},
	}, nil, w.init), nil
}
