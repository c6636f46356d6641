package sampler

import "math"

// adaptive is a solver that chooses its steps as it walks. A trial is a few runs from time t to t + h; the last remembers
// a result of lower order and moves x to the one of higher. How far they are apart says whether x stays there or goes
// back, and how long the next trial is. So Timesteps and Sigmas grow with each trial; the number of steps asked for
// counts for nothing.
type adaptive struct {
	*solver
	method
	begun []run // before the first trial: what its stages want to know
	size  int   // runs of the first trial
	now   struct {
		t, h, to float64
		rejected bool
	}
	prior []float32 // the lower-order result of the step before
}

// method is a way to choose steps.
type method struct {
	from, to   float64 // times
	h          float64 // of the first step, signed
	trial      func(t, to float64, n int) []run
	at         func(t float64) level
	tolerance  func(low, x, prior float64) float64                        // of one number
	judge      func(err float64, rejected bool) (accept bool, by float64) // by is what h is multiplied by
	slope      func(t float64) vec                                        // what a step's last run leaves for the next trial, whose first run is then left out; nil for none
	lead       float64                                                    // with slope: what x is moved by before a trial, a share of h
	overshoots bool                                                       // a step that the end cut short is remembered as it would have been
}

// The elements that a trial's last run leaves its lower-order result in, and that holds the slope at its start.
const (
	lowOrder   = slots + 4
	startSlope = slots
)

// shortest is the share of the walk that a step is never shorter than: so it ends, whatever the network says.
const shortest = 1. / 1000

// newAdaptive makes the sampler; a walk that begins at its end is one step to the picture.
func newAdaptive(s settings, m method, begun []run, init float64) Sampler {
	if !(m.from-m.to > 1e-6) {
		return newSolver(s, []run{{level: m.at(m.from), move: theZero}}, level{alpha: 1}, init)
	}
	a := &adaptive{method: m, begun: begun, solver: newSolver(s, begun, level{}, init)}
	a.reset()
	a.size = len(a.timesteps)
	return a
}

// reset is the walk before its first run.
func (a *adaptive) reset() {
	a.cut(0)
	a.now.t, a.now.h, a.now.rejected, a.prior = a.from, a.h, false, a.prior[:0]
	for _, r := range a.begun {
		a.add(r)
	}
	a.try()
}

// cut forgets all runs but the first n.
func (a *adaptive) cut(n int) {
	a.timesteps, a.sigmas, a.steps = a.timesteps[:n], a.sigmas[:n], a.steps[:n]
}

// try lists the runs of the next trial.
func (a *adaptive) try() {
	a.cut(len(a.timesteps))
	if a.now.to = a.now.t + a.now.h; (a.to-a.now.to)*a.h < 1e-9 {
		if a.now.to = a.to; !a.overshoots {
			a.now.h = a.to - a.now.t
		}
	}
	for _, r := range a.trial(a.now.t, a.now.to, len(a.timesteps)) {
		a.add(r)
	}
	a.end(a.at(a.now.to))
}

func (a *adaptive) Step(i int, x, out, noise []float32) {
	if i == 0 && len(a.timesteps) != a.size {
		a.reset()
	}
	a.solver.Step(i, x, out, noise)
	if i+1 < len(a.timesteps) {
		return
	}
	err := a.distance(a.elements[lowOrder], x)
	accept, by := a.judge(err, a.now.rejected)
	least := shortest * (a.to - a.from)
	if accept || err != err || math.Abs(a.now.h) <= math.Abs(least) {
		if a.now.t = a.now.to; a.now.t == a.to {
			return
		}
		a.now.rejected = false
		a.prior = append(a.prior[:0], a.elements[lowOrder]...)
		if a.slope != nil {
			a.elements[xNow], a.elements[xOut] = x, out
			slope := a.slope(a.now.t)
			if !a.limit.on() {
				slope = slope.at(xZero, a.at(a.now.t).zero)
			}
			a.mix(a.elements[startSlope], terms(slope))
			a.elements[xNow], a.elements[xOut] = nil, nil
		}
	} else {
		a.now.rejected = true
		copy(x, a.elements[xKept])
	}
	if a.now.h *= by; !(math.Abs(a.now.h) > math.Abs(least)) {
		a.now.h = least
	}
	a.try()
	if a.slope != nil {
		copy(a.elements[xKept], x)
		for j, v := range a.elements[startSlope] {
			x[j] += float32((a.now.to-a.now.t)*a.lead) * v
		}
	}
}

// distance is the root of the mean square of the results' difference, in units of the tolerance.
func (a *adaptive) distance(low, x []float32) float64 {
	prior := a.prior
	if a.slope != nil || len(prior) != len(x) {
		prior = a.elements[xKept] // what the step began with
	}
	sum := 0.0
	for j, v := range x {
		d := (float64(low[j]) - float64(v)) / a.tolerance(math.Abs(float64(low[j])), math.Abs(float64(v)), math.Abs(float64(prior[j])))
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(x)))
}

// The tolerances of DPM-Solver-12 and -23 and of Gotta Go Fast: of one grey level of 256 where values are of -1 to 1, or
// a share of the larger of two results of lower order.
func relative(share float64) func(low, x, prior float64) float64 {
	return func(low, _, prior float64) float64 { return max(0.0078, share*max(low, prior)) }
}
