package diffusion

import (
	"context"

	"wisp/engine"
)

// Row is one evaluation of the denoiser in a step: the step's prediction is
// the sum of Weight times output.
type Row struct {
	In     Inputs
	Weight float32
}

// rows are those of a request: the prompt alone or, with guidance g, 1 − g
// times the negative prompt's and g times the prompt's, in diffusers' order.
func (p *Pipeline) rows(ctx context.Context, r Request, result *Result) ([]Row, error) {
	positive := Prompt{Text: r.Prompt, Syntax: r.PromptSyntax, Second: r.SecondPrompt, ClipSkip: r.ClipSkip, Class: r.Class, Height: r.Height, Width: r.Width}
	cond, err := p.encode(ctx, positive, result)
	if err != nil {
		return nil, err
	}
	if !p.kind.Guided(r) {
		return []Row{{cond, 1}}, nil
	}
	negative := positive
	negative.Text, negative.Second, negative.Negative = r.NegativePrompt, "", true
	uncond, err := p.encode(ctx, negative, result)
	if err != nil {
		return nil, err
	}
	g := r.Guidance
	if k, ok := p.kind.(scaling); ok {
		g = k.scale(r)
	}
	return []Row{{uncond, 1 - g}, {cond, g}}, nil
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

// addRows adds the rows' outputs, (batch, h, w, c) and weighted, to sum, which
// may be nil. Of a denoiser that learned a variance, too, whose channels are
// twice the latent's, it takes the prediction alone, unless the latent varies:
// then the sum has all predictions before all variances.
func addRows(sum []float32, rows []Row, out engine.Tensor, l Latent) []float32 {
	values, channels := out.Float32s(), out.Shape.Dim(-1)
	pixels, parts := l.Height*l.Width, 1
	if l.Varies {
		parts = 2
	}
	if sum == nil {
		sum = make([]float32, parts*pixels*l.Channels)
	}
	for i, r := range rows {
		for j := range parts * pixels {
			part, p := j/pixels, j%pixels
			from := values[(i*pixels+p)*channels+part*l.Channels:][:l.Channels]
			to := sum[j*l.Channels:][:l.Channels]
			for c, v := range from {
				to[c] += r.Weight * v
			}
		}
	}
	return sum
}
