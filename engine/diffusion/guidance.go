package diffusion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"wisp/engine"
	"wisp/engine/sampler"
)

// Row is one evaluation of the denoiser in a step: the step's prediction is
// the sum of Weight times output, unless the request guides in another way.
type Row struct {
	In      Inputs
	Weight  float32
	Role    Role
	Beside  []float32 // (h, w, ·): channels after the sample's; see Latent
	Without uint64    // layers that the denoiser leaves out, a bit each; as in Size
}

// Role is what a row is to guidance.
type Role int

// The roles of rows.
const (
	Summed   Role = iota // nothing but its weight counts
	Positive             // what to draw
	Negative             // what to draw away from
	Empty                // no words at all
	Weak                 // what to draw, by a weaker network
	Source               // another drawing, whose attention is kept; the last of a step's rows
)

// guidance makes one prediction of the rows' predictions of a step.
type guidance struct {
	rows    []Row
	scale   float64
	rescale float64
	from    int // the first step that is guided
	to      int // the first that is no longer
	weak    weakened
	method  *method // nil: classifier-free guidance
	set     []float64
	split   bool // the sampler wants the negative row's prediction, too
	size    int  // of a prediction; a variance follows it where the latent varies
	channel int  // channels of the latent
	guides  int  // the first of them that are guided; 0 for all

	source *Row           // nil: none
	keeps  func(int) bool // whether a step asks it, too

	average []float64 // what a method remembers of earlier steps
}

// weakened is skip-layer guidance: away from what a network says that leaves
// some layers out, as in diffusers' StableDiffusion3Pipeline.
type weakened struct {
	layers   uint64 // 0: none
	scale    float64
	from, to float64 // the steps strictly between which it counts
}

// guidance encodes the prompts of a request, which s walks.
func (p *Pipeline) guidance(ctx context.Context, r Request, s sampler.Sampler, result *Result) (*guidance, error) {
	l, runs := p.kind.Latent(r), float64(len(s.Timesteps()))
	g := &guidance{scale: float64(r.Guidance), rescale: float64(r.GuidanceRescale), size: l.Height * l.Width * l.Channels, channel: l.Channels,
		from: int(float64(r.GuidanceStart) * runs), to: int(float64(r.guidanceEnd()) * runs), split: s.Splits()}
	if k, ok := p.kind.(scaling); ok {
		g.scale = float64(k.scale(r))
	}
	if k, ok := p.kind.(partlyGuided); ok {
		g.guides = k.guidedChannels()
	}
	if sampler.Chooses(s) { // the whole walk or none of it
		if r.GuidanceStart > 0 || r.guidanceEnd() < 1 || r.SkipLayers != "" {
			return nil, badRequest(errors.New("guidance for a part of the steps: the sampler chooses its steps as it goes, so that no part is known: choose another"))
		}
		g.to = math.MaxInt
	}
	var err error
	if g.method, g.set, err = readMethod(r.GuidanceMethod); err != nil {
		return nil, badRequest(err)
	}
	if g.weak, err = readSkipLayers(r.SkipLayers, p.kind.Fields().Layers, runs); err != nil {
		return nil, badRequest(err)
	}
	if g.split && (l.Varies || !p.kind.Fields().NegativePrompt) {
		return nil, badRequest(errors.New("the sampler wants a negative prompt's prediction, which this model does not make: choose another"))
	}
	g.rows, err = p.rows(ctx, r, g, result)
	return g, err
}

// rows are those of a request: the prompt alone or, with guidance g, 1 − g
// times the negative prompt's and g times the prompt's, in diffusers' order.
func (p *Pipeline) rows(ctx context.Context, r Request, g *guidance, result *Result) ([]Row, error) {
	positive := Prompt{Text: r.Prompt, Syntax: r.PromptSyntax, Second: r.SecondPrompt, ClipSkip: r.ClipSkip, Class: r.Class, Height: r.Height, Width: r.Width, worn: textKey(p.residency.worn)}
	cond, err := p.encode(ctx, positive, result)
	if err != nil {
		return nil, err
	}
	if !p.kind.Guided(r) && !g.split {
		return []Row{{In: cond, Weight: 1, Role: Positive}}, nil
	}
	negative := positive
	negative.Text, negative.Second, negative.Negative = r.NegativePrompt, "", true
	uncond, err := p.encode(ctx, negative, result)
	if err != nil {
		return nil, err
	}
	rows := []Row{{In: uncond, Weight: float32(1 - g.scale), Role: Negative}, {In: cond, Weight: float32(g.scale), Role: Positive}}
	if g.method != nil && g.method.empty {
		negative.Text = ""
		empty, err := p.encode(ctx, negative, result)
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row{In: empty, Role: Empty})
	}
	return rows, nil
}

// guided tells whether the step has more than the prompt.
func (g *guidance) guided(step int) bool {
	return g.from <= step && step < g.to && g.row(Positive) >= 0 && g.row(Negative) >= 0
}

// row is the place of the first row of a role, −1 where there is none.
func (g *guidance) row(role Role) int {
	return slices.IndexFunc(g.rows, func(r Row) bool { return r.Role == role })
}

// weakens tells whether the step asks the weaker network, too.
func (g *guidance) weakens(step int) bool {
	return g.weak.layers != 0 && float64(step) > g.weak.from && float64(step) < g.weak.to && g.row(Negative) >= 0
}

// at gives the rows that the denoiser is asked at a step.
func (g *guidance) at(step int) []Row {
	rows := g.asks(step)
	if g.source != nil && g.keeps(step) {
		rows = append(slices.Clone(rows), *g.source)
	}
	return rows
}

// asks are the rows that the step's prediction is made of.
func (g *guidance) asks(step int) []Row {
	positive := g.row(Positive)
	if positive < 0 || len(g.rows) == 1 {
		return g.rows
	}
	rows := g.rows
	if !g.guided(step) && !g.split && g.row(Negative) >= 0 {
		rows = []Row{g.rows[positive]}
	}
	if g.weakens(step) {
		weak := g.rows[positive]
		weak.Role, weak.Weight, weak.Without = Weak, 0, g.weak.layers
		rows = append(slices.Clone(rows), weak)
	}
	return rows
}

// combine makes one prediction of the predictions out of the rows at a step,
// each (h, w, c), and after it the variance where the latent varies, or the
// negative row's prediction where the sampler wants it.
func (g *guidance) combine(step int, rows []Row, out [][]float32) []float32 {
	sum := make([]float32, len(out[0]))
	for i, r := range rows {
		for j, v := range out[i] {
			sum[j] += r.Weight * v
		}
	}
	of := func(role Role) []float32 {
		for i, r := range rows {
			if r.Role == role {
				return out[i][:g.size]
			}
		}
		return nil
	}
	cond, uncond, prediction := of(Positive), of(Negative), sum[:g.size]
	switch {
	case cond == nil || len(g.rows) == 1:
	case !g.guided(step) && g.row(Negative) >= 0:
		copy(sum, out[slices.IndexFunc(rows, func(r Row) bool { return r.Role == Positive })])
	case g.method != nil:
		g.method.combine(g, step, prediction, cond, uncond, of(Empty))
	}
	if cond != nil && g.guides > 0 {
		for j := range prediction {
			if j%g.channel >= g.guides {
				prediction[j] = cond[j]
			}
		}
	}
	if weak := of(Weak); weak != nil {
		for j := range prediction {
			prediction[j] += float32(g.weak.scale) * (cond[j] - weak[j])
		}
	}
	if g.rescale > 0 && cond != nil {
		rescale(prediction, cond, g.rescale)
	}
	if g.split {
		sum = append(sum, uncond...)
	}
	return sum
}

// rescale brings the deviation of a guided prediction towards that of the
// prompt's alone, by a share: Lin et al. 2023, "Common diffusion noise schedules
// and sample steps are flawed", section 3.4; diffusers' rescale_noise_cfg.
func rescale(prediction, cond []float32, share float64) {
	have := deviation(prediction)
	if have == 0 {
		return
	}
	c := float32(share*deviation(cond)/have + 1 - share)
	for j := range prediction {
		prediction[j] *= c
	}
}

func deviation(x []float32) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range x {
		sum += float64(v)
	}
	mean := sum / float64(len(x))
	for _, v := range x {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	return math.Sqrt(squares / float64(len(x)))
}

// guidanceEnd is GuidanceEnd, to the last step where it is not said.
func (r Request) guidanceEnd() float32 { return cmp.Or(r.GuidanceEnd, 1) }

// checkGuidance names the first field of guidance that cannot be.
func checkGuidance(r Request, f Fields) error {
	share := func(v float32) bool { return v >= 0 && v <= 1 }
	switch {
	case math.IsNaN(float64(r.Guidance)) || r.Guidance < 0 || r.Guidance > 100:
		return fmt.Errorf("guidance is %v: choose 0 to 100", r.Guidance)
	case !share(r.GuidanceRescale):
		return fmt.Errorf("guidance rescale is %v: choose 0 to 1", r.GuidanceRescale)
	case !share(r.GuidanceStart):
		return fmt.Errorf("guidance start is %v: choose 0 to 1", r.GuidanceStart)
	case !share(r.GuidanceEnd) || r.guidanceEnd() < r.GuidanceStart:
		return fmt.Errorf("guidance end is %v: choose %v, where it starts, to 1", r.GuidanceEnd, r.GuidanceStart)
	case r.Eta != nil && !share(*r.Eta):
		return fmt.Errorf("eta is %v: choose 0 to 1", *r.Eta)
	}
	if _, _, err := readMethod(r.GuidanceMethod); err != nil {
		return err
	}
	if _, err := readChurn(r.Churn); err != nil {
		return err
	}
	if _, err := readSource(r.Noise); err != nil {
		return err
	}
	if _, err := readReuse(r.Reuse, f.Branches); err != nil {
		return err
	}
	_, err := readSkipLayers(r.SkipLayers, f.Layers, 1)
	return err
}

// batches cuts rows into those that one evaluation of the denoiser takes.
func batches(rows []Row) (list [][]Row) {
	for _, r := range rows {
		last := len(list) - 1
		if last >= 0 && list[last][0].Without == r.Without && sameShapes(append(slices.Clone(list[last]), r)) {
			list[last] = append(list[last], r)
		} else {
			list = append(list, []Row{r})
		}
	}
	return list
}

// sameShapes reports whether rows can be evaluated as one batch.
func sameShapes(rows []Row) bool {
	for _, r := range rows[1:] {
		for name, t := range r.In {
			if !t.Shape.Equal(rows[0].In[name].Shape) {
				return false
			}
		}
	}
	return true
}

// stack lays the rows' inputs, and those that are the same for all, along the
// batch.
func stack(rows []Row, same Inputs) Inputs {
	along := func(first engine.Tensor, of func(Row) engine.Tensor) engine.Tensor {
		t := engine.Tensor{DType: first.DType, Shape: append(engine.Shape{len(rows)}, first.Shape[1:]...)}
		for _, r := range rows {
			t.Data = append(t.Data, of(r).Data...)
		}
		return t
	}
	in := Inputs{}
	for name, first := range rows[0].In {
		in[name] = along(first, func(r Row) engine.Tensor { return r.In[name] })
	}
	for name, one := range same {
		in[name] = along(one, func(Row) engine.Tensor { return one })
	}
	return in
}

// predictions splits a denoiser's output (batch, h, w, c) by rows. Of one that
// learned a variance, too, whose channels are twice the latent's, it takes the
// prediction alone, unless the latent varies: then all predictions come before
// all variances.
func predictions(out engine.Tensor, l Latent) (list [][]float32) {
	values, channels := out.Float32s(), out.Shape.Dim(-1)
	pixels, parts := l.Height*l.Width, 1
	if l.Varies {
		parts = 2
	}
	for i := range out.Shape[0] {
		row := make([]float32, 0, parts*pixels*l.Channels)
		for j := range parts * pixels {
			part, p := j/pixels, j%pixels
			row = append(row, values[(i*pixels+p)*channels+part*l.Channels:][:l.Channels]...)
		}
		list = append(list, row)
	}
	return list
}

// besides is the sample of rows that read more channels: (batch, h, w, ·).
func besides(rows []Row, x []float32, l Latent) engine.Tensor {
	values := make([]float32, 0, len(rows)*l.Height*l.Width*(l.Channels+l.Beside))
	for _, r := range rows {
		for i := range l.Height * l.Width {
			values = append(append(values, x[i*l.Channels:][:l.Channels]...), r.Beside[i*l.Beside:][:l.Beside]...)
		}
	}
	return engine.FromFloat32s(values, len(rows), l.Height, l.Width, l.Channels+l.Beside)
}
