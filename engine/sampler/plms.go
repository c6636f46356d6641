package sampler

import (
	"fmt"
	"math"
)

// plms is diffusers' PNDMScheduler with skip_prk_steps: the pseudo linear multistep method, Adams-Bashforth on the
// network's outputs (Liu et al. 2022, "Pseudo numerical methods for diffusion models"). The second run corrects the
// first step, so there is one run more than steps.
type plms struct {
	walk
	denoised []linear     // (runs) x0 from x and out
	step     []linear     // (runs) the next x from x and the combined output
	start    []float32    // x before the first run
	past     [4][]float32 // outputs, newest first
	mean     []float32    // the combined output
}

func newPLMS(s settings, steps int) (Sampler, error) {
	if !s.SkipPRKSteps && !s.named {
		return nil, bad("skip_prk_steps", false)
	}
	if s.PredictionType == "sample" {
		return nil, bad("prediction_type", s.PredictionType)
	}
	s.RescaleBetasZeroSNR = false // not a field of this class
	bar, err := alphasCumprod(s)
	if err != nil {
		return nil, err
	}
	spaced, err := spaced(s, steps)
	if err != nil {
		return nil, err
	}
	stride := s.NumTrainTimesteps / steps
	var t []int
	for i, v := range spaced {
		t = append(t, int(math.RoundToEven(v)))
		if i == 1 {
			t = append(t, t[1])
		}
	}
	p := &plms{}
	for i, step := range t {
		from, to := step, step-stride
		if i == 1 {
			from, to = step+stride, step
		}
		if max(step, from) >= len(bar) {
			return nil, fmt.Errorf("sampler: %d steps with steps_offset %d start at training step %d of %d: %w",
				steps, s.StepsOffset, max(step, from), len(bar), ErrRequest)
		}
		x0, _ := varianceOne(s.PredictionType, root(bar[step]), root(1-bar[step]))
		p.denoised = append(p.denoised, x0)
		p.step = append(p.step, plmsStep(s, bar, from, to))
	}
	p.walk = varianceOneWalk(bar, t)
	return p, nil
}

// plmsStep is eq. 9 of the paper, with the network's output turned to noise where it predicts v.
func plmsStep(s settings, bar []float32, from, to int) linear {
	alpha, prev := float64(bar[from]), 1.0
	if to >= 0 {
		prev = float64(bar[to])
	} else if !s.SetAlphaToOne {
		prev = float64(bar[0])
	}
	a := math.Sqrt(prev / alpha)
	b := -(prev - alpha) / (alpha*math.Sqrt(1-prev) + math.Sqrt(alpha*(1-alpha)*prev))
	if s.PredictionType == "v_prediction" {
		a, b = a+b*math.Sqrt(1-alpha), b*math.Sqrt(alpha)
	}
	return linear{float32(a), float32(b)}
}

func root(x float32) float64 { return math.Sqrt(float64(x)) }

func (p *plms) Step(i int, x, out, _ []float32) {
	if len(p.mean) != len(x) {
		p.start, p.mean = make([]float32, len(x)), make([]float32, len(x))
		for k := range p.past {
			p.past[k] = make([]float32, len(x))
		}
	}
	if i == 0 {
		copy(p.start, x)
	}
	if i == 1 { // the first step again, from where it began
		copy(x, p.start)
		for j := range p.mean {
			p.mean[j] = (out[j] + p.past[0][j]) / 2
		}
	} else {
		oldest := p.past[3]
		copy(p.past[1:], p.past[:3])
		p.past[0] = oldest
		copy(oldest, out)
		p.adamsBashforth(min(max(i, 1), 4))
	}
	p.step[i].into(x, x, p.mean)
}

// adamsBashforth puts the order-n combination of past outputs into mean.
func (p *plms) adamsBashforth(n int) {
	c := [5][4]float32{1: {1}, 2: {3. / 2, -1. / 2}, 3: {23. / 12, -16. / 12, 5. / 12},
		4: {55. / 24, -59. / 24, 37. / 24, -9. / 24}}[n]
	for j := range p.mean {
		p.mean[j] = c[0]*p.past[0][j] + c[1]*p.past[1][j] + c[2]*p.past[2][j] + c[3]*p.past[3][j]
	}
}

func (p *plms) Denoised(i int, x, out, x0 []float32) { p.denoised[i].into(x0, x, out) }
