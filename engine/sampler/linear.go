package sampler

import (
	"math"
	"slices"
)

// vec is a linear combination of what a step can reach: x, the network's output, the prediction of the picture, x as
// it was kept, fresh noise, and what was remembered of earlier runs. A sampler's formulas are written with vecs, in
// double precision, and become coefficients when it is made. The zero vec is none of anything. A vec never changes: a
// pointer, since formulas that hand arrays on by value are ten times the code.
type vec struct{ c *[slots + 6]float64 }

// The elements of a vec.
const (
	xNow  = iota // x
	xOut         // the network's output
	xZero        // the prediction of the picture, clipped where the config says so
	xKept        // x as the last run with keep had it
	xNew         // fresh unit noise
	xFree        // the network's output for the negative prompt alone
	slots        // the first of four memories and two that are spare
)

// unit is the combination of one element.
func unit(element int) vec {
	var c [slots + 6]float64
	c[element] = 1
	return vec{&c}
}

var (
	theX     = unit(xNow)
	theOut   = unit(xOut)
	theZero  = unit(xZero)
	theKept  = unit(xKept)
	theNoise = unit(xNew)
	theFree  = unit(xFree)
)

// memory is what run i remembered, which the fourth run after it forgets.
func memory(i int) vec { return unit(slots + i&3) }

func (v vec) plus(w vec) vec {
	if v.c == nil {
		return w
	}
	sum := *v.c
	if w.c != nil {
		for k, c := range w.c {
			sum[k] += c
		}
	}
	return vec{&sum}
}

func (v vec) minus(w vec) vec { return v.plus(w.times(-1)) }

func (v vec) times(by float64) vec {
	if v.c == nil {
		return v
	}
	product := *v.c
	for k, c := range v.c {
		if c != 0 { // by may be infinite
			product[k] = c * by
		}
	}
	return vec{&product}
}

// at puts another combination in an element's place.
func (v vec) at(element int, w vec) vec {
	if v.c == nil || v.c[element] == 0 {
		return v
	}
	rest := *v.c
	rest[element] = 0
	return vec{&rest}.plus(w.times(v.c[element]))
}

// run is one evaluation of the network and the move of x after it.
type run struct {
	level
	remember vec  // before x moves; zero: nothing
	into     int  // the element that remembers; 0: that of memory(i)
	correct  vec  // x again from what is known by now, before it moves; zero: it stays. x0 and remember are of x before.
	keep     bool // x is kept before it moves
	move     vec  // the next x
	noisy    bool // fresh noise is drawn, be its coefficient zero
	logVar   *[2]float64

	noiseInto int         // the element that remembers the noise after the correction; 0: none
	span      *[2]float64 // the noise levels between which the noise is a Brownian path's increment; nil: it is independent
}

// level is a place on the way from noise to picture: x = alpha x0 + sigma noise.
type level struct {
	t            float64 // what the network is told
	shown        float64 // sigma/alpha, or a flow's sigma, as Sigmas gives it
	alpha, sigma float64
	scale        float64 // the network's input is scale times x; 0 stands for 1
	zero         vec     // the prediction of the picture, of x and the output
}

// lambda is half the logarithm of the signal-to-noise ratio, in which the solvers' polynomials are.
func (l level) lambda() float64 { return math.Log(l.alpha) - math.Log(l.sigma) }

// noise is the prediction of the noise.
func (l level) noise() vec { return theX.minus(theZero.times(l.alpha)).times(1 / l.sigma) }

// term is one element with its coefficient.
type term struct {
	element int
	c       float32
}

func terms(v vec) []term {
	var t []term
	if v.c == nil {
		return nil
	}
	for k, c := range v.c {
		if c != 0 {
			t = append(t, term{k, float32(c)})
		}
	}
	return t
}

// step is a run as its coefficients.
type step struct {
	zero, remember, correct, move []term
	into, noiseInto               int
	span                          *[2]float64
	scale                         float32
	clean, noise                  float32 // of AddNoise
	keep, noisy                   bool
	logVar                        *[2]float64
}

// solver is every sampler whose steps are linear in x, outputs and noise but for the limit on the prediction.
type solver struct {
	timesteps, sigmas []float32
	init              float32
	steps             []step
	limit             limit
	splits            bool
	elements          [slots + 6][]float32
}

// newSolver makes the sampler of the runs, which end at level last; init is what multiplies the first noise.
func newSolver(s settings, runs []run, last level, init float64) *solver {
	p := &solver{init: float32(init), limit: s.limit()}
	for _, r := range runs {
		p.add(r)
	}
	p.end(last)
	return p
}

// add is one run more.
func (p *solver) add(r run) {
	if !r.noisy {
		r.move = r.move.at(xNew, vec{})
	}
	if !p.limit.on() { // then the prediction is of x and out, too
		r.remember, r.move = r.remember.at(xZero, r.zero), r.move.at(xZero, r.zero)
	}
	if r.into == 0 {
		r.into = slots + len(p.timesteps)&3
	}
	p.timesteps = append(p.timesteps, float32(r.t))
	p.sigmas = append(p.sigmas, float32(r.shown))
	p.steps = append(p.steps, step{into: r.into, noiseInto: r.noiseInto, span: r.span, zero: terms(r.zero), remember: terms(r.remember), correct: terms(r.correct), move: terms(r.move),
		scale: float32(r.scale), clean: float32(r.alpha), noise: float32(r.sigma), keep: r.keep, noisy: r.noisy, logVar: r.logVar})
}

// end is where the walk is after the last run.
func (p *solver) end(last level) {
	p.sigmas = append(p.sigmas, float32(last.shown))
	p.steps = append(p.steps, step{clean: float32(last.alpha), noise: float32(last.sigma)})
}

func (p *solver) Timesteps() []float32  { return p.timesteps }
func (p *solver) Sigmas() []float32     { return p.sigmas }
func (p *solver) InitSigma() float32    { return p.init }
func (p *solver) NeedsNoise(i int) bool { return p.steps[i].noisy }

func (p *solver) Splits() bool { return p.splits }

func (p *solver) Scale(i int, x []float32) {
	if c := p.steps[i].scale; c != 0 {
		for j := range x {
			x[j] *= c
		}
	}
}

func (p *solver) AddNoise(i int, x, noise []float32) {
	s := p.steps[i]
	for j, n := range noise[:len(x)] {
		x[j] = s.clean*x[j] + s.noise*n
	}
}

func (p *solver) Step(i int, x, out, noise []float32) {
	s, e := &p.steps[i], &p.elements
	e[xNow], e[xOut], e[xNew] = x, out, noise
	if p.splits {
		e[xFree] = out[len(x):]
	}
	if p.limit.on() {
		e[xZero] = sized(e[xZero], len(x))
		p.mix(e[xZero], s.zero)
		p.limit.apply(e[xZero])
	}
	if s.remember != nil {
		e[s.into] = sized(e[s.into], len(x))
		p.mix(e[s.into], s.remember)
	}
	if s.correct != nil {
		p.mix(x, s.correct)
	}
	if s.keep {
		e[xKept] = sized(e[xKept], len(x))
		copy(e[xKept], x)
	}
	p.mix(x, s.move)
	if s.logVar != nil {
		learned(x, out[len(x):], noise, *s.logVar)
	}
	if s.noiseInto > 0 {
		e[s.noiseInto] = sized(e[s.noiseInto], len(x))
		copy(e[s.noiseInto], noise)
	}
	e[xNow], e[xOut], e[xNew], e[xFree] = nil, nil, nil, nil // they are the caller's
}

func (p *solver) Span(i int) (from, to float64, ok bool) {
	if s := p.steps[i].span; s != nil {
		return s[0], s[1], true
	}
	return 0, 0, false
}

// sized is memory of n numbers, made anew only where the latent's size changed.
func sized(v []float32, n int) []float32 {
	if len(v) != n {
		return make([]float32, n)
	}
	return v
}

// mix is the combination of the elements; dst may be one of them.
func (p *solver) mix(dst []float32, t []term) {
	var sums [256]float32
	for at := 0; at < len(dst); at += len(sums) {
		sum := sums[:min(len(sums), len(dst)-at)]
		clear(sum)
		for _, m := range t {
			for j, v := range p.elements[m.element][at:][:len(sum)] {
				sum[j] += m.c * v
			}
		}
		copy(dst[at:], sum)
	}
}

func (p *solver) Denoised(i int, x, out, x0 []float32) {
	p.elements[xNow], p.elements[xOut] = x, out
	p.mix(x0, p.steps[i].zero)
	p.elements[xNow], p.elements[xOut] = nil, nil
	p.limit.apply(x0)
}

// limit is what clip_sample and thresholding do to the prediction of the picture.
type limit struct {
	clip       float32 // clip_sample_range; 0: none
	ratio, max float32 // of dynamic thresholding (Saharia et al. 2022, "Imagen", section 2.3); 0: none
	sorted     []float32
}

func (s settings) limit() limit {
	switch {
	case s.Thresholding:
		return limit{ratio: float32(s.DynamicThresholdingRatio), max: float32(s.SampleMaxValue)}
	case s.ClipSample:
		return limit{clip: float32(s.ClipSampleRange)}
	}
	return limit{}
}

func (l limit) on() bool { return l.clip > 0 || l.max > 0 }

func (l *limit) apply(x0 []float32) {
	switch {
	case l.max > 0:
		s := min(max(l.quantile(x0), 1), l.max)
		for j, v := range x0 {
			x0[j] = min(max(v, -s), s) / s
		}
	case l.clip > 0:
		for j, v := range x0 {
			x0[j] = min(max(v, -l.clip), l.clip)
		}
	}
}

// quantile is that of the magnitudes, interpolated as torch.quantile does.
func (l *limit) quantile(x []float32) float32 {
	l.sorted = sized(l.sorted, len(x))
	for j, v := range x {
		l.sorted[j] = float32(math.Abs(float64(v)))
	}
	slices.Sort(l.sorted)
	rank := l.ratio * float32(len(x)-1)
	i := int(rank)
	if i+1 >= len(x) {
		return l.sorted[len(x)-1]
	}
	return l.sorted[i] + (rank-float32(i))*(l.sorted[i+1]-l.sorted[i])
}
