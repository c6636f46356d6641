package sampler

import (
	"fmt"
	"math"
)

// newPeRFlow is Yan et al. 2024, "PeRFlow: piecewise rectified flow as universal plug-and-play accelerator", section 3.3:
// the way is straight within each of a few windows of time, so that one step or a few cross it. What the network
// predicts tells where the window ends: "diff_eps" (plain noise schedules', too) by the noise added within it,
// "ddim_eps" by DDIM's, "velocity" directly. The PeRFlowScheduler of its authors.
//
// For models distilled so, and their LoRAs, in four to eight steps.
func newPeRFlow(s settings, p Plan) (Sampler, error) {
	windows := s.NumTimeWindows
	if windows == 0 {
		windows = 4
	}
	switch {
	case s.TNoise != 1 && s.family == perflowFamily:
		return nil, bad("t_noise", s.TNoise)
	case s.TClean != 0:
		return nil, bad("t_clean", s.TClean)
	case windows < 1 || windows > s.NumTrainTimesteps/2:
		return nil, bad("num_time_windows", windows)
	case p.Steps < windows:
		return nil, fmt.Errorf("sampler: %d steps, this sampler takes one for each of %d windows and more: %w", p.Steps, windows, ErrRequest)
	case s.schedule != "":
		return nil, fmt.Errorf("sampler: the schedule %q does not go with this sampler, which has its own: %w", s.schedule, ErrRequest)
	}
	bar, err := alphasCumprod(s)
	if err != nil {
		return nil, err
	}
	n := float64(s.NumTrainTimesteps)
	var levels []level
	var ends []float64
	for w := range windows {
		from, to := float64(windows-w)/float64(windows), float64(windows-w-1)/float64(windows)
		steps := p.Steps / windows
		if w < p.Steps%windows {
			steps++
		}
		for i := range steps {
			t := math.Trunc((float64(i)*((to-from)/float64(steps)) + from) * n)
			l := varianceOne(float64(bar[int(t)-1]))
			l.t = t
			end, err := s.windowEnd(from, to, t/n, bar)
			if err != nil {
				return nil, err
			}
			l.zero = end
			levels, ends = append(levels, l), append(ends, to)
		}
	}
	levels = append(levels, level{alpha: 1})
	s.ClipSample, s.Thresholding = false, false // not read by this class
	var runs []run
	for i := p.Start; i < p.Steps; i++ {
		l, at, next := levels[i], levels[i].t/n, levels[i+1].t/n
		runs = append(runs, run{level: l, move: towards(theX, 1-(at-next)/(at-ends[i]))})
	}
	return newSolver(s, runs, levels[p.Steps], 1), nil
}

// windowEnd is where x at time t, within a window, is at the window's end.
func (s settings) windowEnd(from, to, t float64, bar []float32) (vec, error) {
	n := float64(s.NumTrainTimesteps)
	a, b := float64(bar[int(from*n)-1]), float64(bar[max(int(to*n)-1, 0)]) // signal at the start and at the end
	grows := math.Sqrt(b / a)
	var noise float64
	switch s.PredictionType {
	case "velocity":
		return theX.minus(theOut.times(t - to)), nil
	case "ddim_eps":
		noise = math.Sqrt(1-b) - grows*math.Sqrt(1-a)
	case "diff_eps", "epsilon":
		noise = -grows * math.Sqrt(1-a/b)
	default:
		return vec{}, bad("prediction_type", s.PredictionType)
	}
	left := grows*(t-from) + to - t
	return theX.times(grows * (to - from) / left).plus(theOut.times(noise * (to - t) / left)), nil
}
