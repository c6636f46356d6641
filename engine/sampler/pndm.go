package sampler

import (
	"fmt"
	"math"
)

// newPNDM is diffusers' PNDMScheduler (Liu et al. 2022, "Pseudo numerical methods for diffusion models"): a linear
// multistep method on the network's outputs, each step of which is the paper's transfer, eq. 11. With skip_prk_steps it
// is PLMS, whose second run corrects the first step, so there is one run more than steps; without, the first three
// steps are Runge and Kutta's, of four runs each.
//
// What Stable Diffusion 1 was published with, at 50 steps. The solvers in lambda (dpm.go, unipc.go) need half of them.
func newPNDM(s settings, p Plan) (Sampler, error) {
	if s.PredictionType != "epsilon" && s.PredictionType != "v_prediction" {
		return nil, bad("prediction_type", s.PredictionType)
	}
	if s.schedule == listed {
		return nil, fmt.Errorf("sampler: a list of timesteps does not go with this sampler, which steps evenly: %w", ErrRequest)
	}
	spaced, err := s.discreteSteps(p.Steps)
	if err != nil {
		return nil, err
	}
	m := pndm{s: s, stride: s.NumTrainTimesteps / p.Steps}
	if s.SkipPRKSteps {
		m.plms(spaced, p.Start)
	} else if err := m.prk(spaced, p.Start); err != nil {
		return nil, err
	}
	visited := make([]int, 0, len(m.steps))
	for _, st := range m.steps {
		for _, t := range []int{st.at, st.from} {
			if t >= s.NumTrainTimesteps {
				return nil, fmt.Errorf("sampler: %d steps with steps_offset %d start at training step %d of %d: %w",
					p.Steps, s.StepsOffset, t, s.NumTrainTimesteps, ErrRequest)
			}
		}
		visited = append(visited, st.at)
	}
	levels, bar, err := s.discreteLevels(visited)
	if err != nil {
		return nil, err
	}
	var runs []run
	for i, st := range m.steps {
		r := run{level: levels[i], into: st.into, keep: st.keep, move: s.pndmStep(bar, st)}
		if st.into > 0 {
			r.remember = theOut
		}
		runs = append(runs, r)
	}
	return newSolver(s, runs, levels[len(runs)], 1), nil
}

// pndm collects the runs. ets are the outputs that the multistep method goes by, newest first.
type pndm struct {
	s      settings
	stride int
	steps  []pndmRun
	ets    []vec
}

// pndmRun is one run: at is the training step that the network is told, from and to those of the transfer, x where it
// begins and mean the output that it uses; into is the element that remembers the output, if any.
type pndmRun struct {
	at, from, to int
	x, mean      vec
	keep         bool
	into         int
}

// et makes the output of the run to come one of ets, and gives its element.
func (m *pndm) et(n int) int {
	m.ets = append([]vec{memory(n)}, m.ets[:min(len(m.ets), 3)]...)
	return slots + n&3
}

// plms is the multistep method alone. Begun in the middle, its second run corrects the first step as ever, of which
// diffusers' second timestep knows nothing: they are taken as they come.
func (m *pndm) plms(spaced []int, start int) {
	var t []int
	for i, v := range spaced {
		if t = append(t, v); i == 1 {
			t = append(t, v)
		}
	}
	for i, at := range t[start:] {
		switch i {
		case 0:
			m.steps = append(m.steps, pndmRun{at, at, at - m.stride, theX, memory(0), true, m.et(0)})
		case 1: // the first step again, from where it began
			m.steps = append(m.steps, pndmRun{at, at + m.stride, at, theKept, memory(0).plus(theOut).times(0.5), false, 0})
		default:
			into := m.et(i - 1)
			m.steps = append(m.steps, pndmRun{at, at, at - m.stride, theX, adamsBashforth(m.ets), false, into})
		}
	}
}

// prk is three steps of Runge and Kutta, of four runs each, then the multistep method.
func (m *pndm) prk(spaced []int, start int) error {
	if len(spaced) < 4 {
		return fmt.Errorf("sampler: %d steps, skip_prk_steps false takes 4 and more: %w", len(spaced), ErrRequest)
	}
	if start > 0 {
		return fmt.Errorf("sampler: skip_prk_steps false cannot begin in the middle, at step %d: %w", start, ErrRequest)
	}
	half := m.stride / 2
	for k := range 3 {
		from, middle, to := spaced[k], spaced[k+1]+half, spaced[k+1] // as diffusers spaces them, from below
		second, third := slots+4, slots+5
		mean := memory(k).plus(theOut).times(1. / 6).plus(unit(second).plus(unit(third)).times(1. / 3))
		m.steps = append(m.steps,
			pndmRun{from, from, from - half, theX, memory(k), true, m.et(k)},
			pndmRun{middle, from, middle, theKept, theOut, false, second},
			pndmRun{middle, from, middle - half, theKept, theOut, false, third},
			pndmRun{to, from, to, theKept, mean, false, 0})
	}
	for i, at := range spaced[3:] {
		into := m.et(i + 3)
		m.steps = append(m.steps, pndmRun{at, at, at - m.stride, theX, adamsBashforth(m.ets), false, into})
	}
	return nil
}

// adamsBashforth is the combination of as many outputs as there are, newest first.
func adamsBashforth(ets []vec) vec {
	c := [5][]float64{1: {1}, 2: {3. / 2, -1. / 2}, 3: {23. / 12, -16. / 12, 5. / 12}, 4: {55. / 24, -59. / 24, 37. / 24, -9. / 24}}[len(ets)]
	var mean vec
	for k, w := range c {
		mean = mean.plus(ets[k].times(w))
	}
	return mean
}

// pndmStep is eq. 11 of the paper, with the network's output turned to noise where it predicts v.
func (s settings) pndmStep(bar []float64, st pndmRun) vec {
	alpha, prev := bar[st.from], s.barAt(bar, st.to)
	noise := st.mean
	if s.PredictionType == "v_prediction" {
		noise = noise.times(math.Sqrt(alpha)).plus(st.x.times(math.Sqrt(1 - alpha)))
	}
	b := (prev - alpha) / (alpha*math.Sqrt(1-prev) + math.Sqrt(alpha*(1-alpha)*prev))
	return st.x.times(math.Sqrt(prev / alpha)).minus(noise.times(b))
}
