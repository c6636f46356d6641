package sampler

import "math"

// newRestart is AUTOMATIC1111's Restart (Xu et al. 2023, "Restart sampling for improving generative processes",
// algorithm 1): Heun's method that, from 20 steps on, goes back up to a noise level of 2 once it is down at 0.1, by fresh
// noise, and walks down again; from 36 on it does so twice. The noise undoes errors of the first way down.
//
// Two evaluations a step, 20 steps and more.
func newRestart(s settings, p Plan) (Sampler, error) {
	levels, init, err := s.kLevels(p.Steps)
	if err != nil {
		return nil, err
	}
	logs, err := s.trainLogs()
	if err != nil {
		return nil, err
	}
	l := levels[p.Start]
	var walk []level // pairs: from, to
	down := func(levels []level) {
		for i := 1; i < len(levels); i++ {
			walk = append(walk, levels[i-1], levels[i])
		}
	}
	place := func(sigmas []float64) (list []level) {
		for _, v := range sigmas {
			list = append(list, s.between(l, float64(float32(v)), logs))
		}
		return list
	}
	n, end := p.Steps-p.Start, levels[p.Steps]
	if n < 20 || end.sigma != 0 {
		down(levels[p.Start:])
	} else {
		again, times := 9, 1
		if n >= 36 {
			again, times = n/4, 2
		}
		way := append(place(karras(levels[p.Steps-1].sigma, l.sigma, 7, n-again*times)), end)
		way[0] = l
		low, high := nearest(way, 0.1), nearest(way, 2)
		down(way[:low+1])
		for range times {
			if high < low {
				down(place(karras(way[low].sigma, way[high].sigma, 7, again+1)))
			}
		}
		down(way[low:])
	}
	return newSolver(s, restarting(walk), end, init), nil
}

// restarting is Heun's method from each first level of a pair to the second, with noise between pairs that do not meet.
func restarting(walk []level) (runs []run) {
	for i := 0; i < len(walk); i += 2 {
		l, next := walk[i], walk[i+1]
		n := len(runs)
		runs = append(runs, run{level: l, keep: true, remember: l.slope(), move: eulerStep(l, next.sigma)})
		if next.sigma > 0 {
			mean := memory(n).plus(next.slope()).times(0.5)
			runs = append(runs, run{level: next, move: theKept.plus(mean.times(next.sigma - l.sigma))})
		}
		if i+2 < len(walk) && walk[i+2].sigma > next.sigma {
			last := &runs[len(runs)-1]
			last.noisy = true
			last.move = last.move.plus(theNoise.times(math.Sqrt(walk[i+2].sigma*walk[i+2].sigma - next.sigma*next.sigma)))
		}
	}
	return runs
}

// nearest is the place of the level with the noise nearest to sigma.
func nearest(levels []level, sigma float64) int {
	best := 0
	for i, l := range levels {
		if math.Abs(l.sigma-sigma) < math.Abs(levels[best].sigma-sigma) {
			best = i
		}
	}
	return best
}
