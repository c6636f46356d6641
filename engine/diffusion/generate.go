package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"strings"
	"time"

	"wisp/engine"
	"wisp/engine/rng"
	"wisp/engine/sampler"
)

// The bounds of a request.
const (
	maxSize  = 2048
	maxCount = 64
)

func badRequest(err error) error { return fmt.Errorf("%w: %v", ErrBadRequest, err) }

// check names the first field that cannot be.
func (p *Pipeline) check(r Request) error {
	scale := p.vaeFacts.Factor
	switch {
	case strings.TrimSpace(r.Prompt) == "":
		return errors.New("the prompt is empty: say what to draw")
	case r.Steps < 1 || r.Steps > sampler.MaxSteps:
		return fmt.Errorf("steps is %d: choose 1 to %d", r.Steps, sampler.MaxSteps)
	case r.Width < scale || r.Width > maxSize || r.Width%scale != 0:
		return fmt.Errorf("width is %d: choose a multiple of %d up to %d", r.Width, scale, maxSize)
	case r.Height < scale || r.Height > maxSize || r.Height%scale != 0:
		return fmt.Errorf("height is %d: choose a multiple of %d up to %d", r.Height, scale, maxSize)
	case r.Count < 1 || r.Count > maxCount:
		return fmt.Errorf("count is %d: choose 1 to %d", r.Count, maxCount)
	case math.IsNaN(float64(r.Guidance)) || r.Guidance < 0 || r.Guidance > 100:
		return fmt.Errorf("guidance is %v: choose 0 to 100", r.Guidance)
	}
	return nil
}

// batch is how many latents a UNet evaluation takes: with guidance the
// unconditional and the conditional one together.
func (p *Pipeline) batch(r Request) int {
	if r.Guidance > 1 {
		return 2
	}
	return 1
}

// Generate draws r.Count pictures. on, which may be nil, hears of each stage
// and step. A cancelled ctx ends it with ctx.Err().
func (p *Pipeline) Generate(ctx context.Context, r Request, on func(Event)) (*Result, error) {
	if on == nil {
		on = func(Event) {}
	}
	if err := p.check(r); err != nil {
		return nil, badRequest(err)
	}
	s, err := p.sampler(r.Sampler, r.Schedule, r.Steps)
	if err != nil && r.Schedule != "" {
		return nil, badRequest(fmt.Errorf("the schedule %q does not go with this sampler and model: choose another (%v)", r.Schedule, err))
	}
	if err != nil {
		return nil, badRequest(err)
	}
	result := &Result{Seed: r.Seed}
	start := time.Now()
	on(Event{Stage: "text"})
	text, err := p.textStates(ctx, r, result)
	if err != nil {
		return nil, err
	}
	result.Timings.Text = time.Since(start)
	for i := range r.Count {
		if err := p.draw(ctx, r, i, s, text, result, on); err != nil {
			return nil, err
		}
	}
	result.Timings.Total = time.Since(start)
	return result, nil
}

// draw makes picture i of the request.
func (p *Pipeline) draw(ctx context.Context, r Request, i int, s sampler.Sampler, text []float32, result *Result, on func(Event)) error {
	start := time.Now()
	x, err := p.denoise(ctx, r, i, s, text, on)
	if err != nil {
		return err
	}
	result.Timings.Denoise += time.Since(start)
	start = time.Now()
	on(Event{Stage: "decode"})
	img, err := p.decode(ctx, r, x)
	if err != nil {
		return err
	}
	result.Timings.Decode += time.Since(start)
	result.Images = append(result.Images, img)
	r.Seed += uint64(i)
	result.Parameters = append(result.Parameters, parameters(r, p.samplerLabel(r.Sampler), label(sampler.Schedules, r.Schedule), p.defaults.Name))
	return nil
}

// textStates is the text encoder's output for a batch of the UNet,
// (batch, tokens, d): first the negative prompt, where there is guidance, then
// the prompt.
func (p *Pipeline) textStates(ctx context.Context, r Request, result *Result) ([]float32, error) {
	states, truncated, err := p.encode(ctx, r.Prompt)
	if err != nil || p.batch(r) == 1 {
		result.Truncated = truncated
		return states, err
	}
	negative, cut, err := p.encode(ctx, r.NegativePrompt)
	result.Truncated = truncated || cut
	return append(append([]float32{}, negative...), states...), err
}

// cachedPrompts bounds the memory of encoded prompts.
const cachedPrompts = 64

// encode runs the text encoder on a prompt, (tokens, d).
func (p *Pipeline) encode(ctx context.Context, prompt string) (states []float32, truncated bool, err error) {
	ids, truncated := p.tokenizer.Encode(prompt)
	key := fmt.Sprint(ids)
	if states, ok := p.hidden[key]; ok {
		return states, truncated, nil
	}
	prog, err := p.textProgram(ctx)
	if err != nil {
		return nil, false, err
	}
	out := engine.NewTensor(engine.F32, 1, len(ids), p.unetFacts.Context)
	in := map[string]engine.Tensor{"ids": engine.FromInt32s(ids, 1, len(ids))}
	if err := prog.Run(ctx, in, map[string]engine.Tensor{"hidden": out}); err != nil {
		return nil, false, fmt.Errorf("text encoder: %w", err)
	}
	if len(p.hidden) >= cachedPrompts {
		clear(p.hidden)
	}
	p.hidden[key] = out.Float32s()
	return p.hidden[key], truncated, nil
}

// denoise runs the sampling loop for picture i and returns its latents,
// (h, w, c).
func (p *Pipeline) denoise(ctx context.Context, r Request, i int, s sampler.Sampler, text []float32, on func(Event)) ([]float32, error) {
	key := p.unetKey(r)
	prog, err := p.unetProgram(ctx, key)
	if err != nil {
		return nil, err
	}
	noise := newNoise(r.Seed+uint64(i), key.h*key.w, p.vaeFacts.Latent)
	x := noise.next()
	for j := range x {
		x[j] *= s.InitSigma()
	}
	u := unetRun{p: p, prog: prog, key: key, guidance: r.Guidance, text: text}
	runs := len(s.Timesteps())
	for step, t := range s.Timesteps() {
		out, err := u.run(ctx, s, step, t, x)
		if err != nil {
			return nil, fmt.Errorf("unet: %w", err)
		}
		event := Event{Stage: "denoise", Step: i*runs + step + 1, Steps: r.Count * runs}
		if r.Previews && !p.frugal {
			if event.Preview, err = p.preview(ctx, r, s, step, x, out); err != nil {
				return nil, err
			}
		}
		var extra []float32
		if s.NeedsNoise(step) {
			extra = noise.next()
		}
		s.Step(step, x, out, extra)
		on(event)
	}
	return x, nil
}

// unetRun holds what stays the same over the steps of one picture.
type unetRun struct {
	p        *Pipeline
	prog     engine.Program
	key      unetKey
	guidance float32
	text     []float32
}

// run evaluates the UNet on x (h, w, c) at step i and applies guidance:
// uncond + guidance·(cond − uncond).
func (u unetRun) run(ctx context.Context, s sampler.Sampler, i int, t float32, x []float32) ([]float32, error) {
	facts := u.p.unetFacts
	sample := make([]float32, 0, u.key.batch*len(x))
	times := make([]float32, u.key.batch)
	for b := range times {
		sample = append(sample, x...)
		times[b] = t
	}
	s.Scale(i, sample)
	tokens := len(u.text) / u.key.batch / facts.Context
	shape := []int{u.key.batch, u.key.h, u.key.w, facts.In}
	out := engine.NewTensor(engine.F32, shape...)
	in := map[string]engine.Tensor{
		"sample":             engine.FromFloat32s(sample, shape...),
		"timestep_embedding": engine.FromFloat32s(facts.TimestepEmbedding(times), u.key.batch, facts.Embedding),
		"context":            engine.FromFloat32s(u.text, u.key.batch, tokens, facts.Context),
	}
	if err := u.prog.Run(ctx, in, map[string]engine.Tensor{"sample": out}); err != nil {
		return nil, err
	}
	v := out.Float32s()
	if u.key.batch == 1 {
		return v, nil
	}
	uncond, cond := v[:len(x)], v[len(x):]
	for j := range cond {
		cond[j] = uncond[j] + u.guidance*(cond[j]-uncond[j])
	}
	return cond, nil
}

// preview decodes the sampler's prediction of the clean latents.
func (p *Pipeline) preview(ctx context.Context, r Request, s sampler.Sampler, i int, x, out []float32) (*image.NRGBA, error) {
	x0 := make([]float32, len(x))
	s.Denoised(i, x, out, x0)
	return p.decode(ctx, r, x0)
}

// decode turns latents (h, w, c) into a picture.
func (p *Pipeline) decode(ctx context.Context, r Request, x []float32) (*image.NRGBA, error) {
	key := p.vaeKey(r)
	prog, err := p.vaeProgram(ctx, key)
	if err != nil {
		return nil, err
	}
	latents := make([]float32, len(x))
	for i, v := range x {
		latents[i] = v/p.vaeFacts.Scaling + p.vaeFacts.Shift
	}
	out := engine.NewTensor(engine.F32, 1, r.Height, r.Width, 3)
	in := map[string]engine.Tensor{"latents": engine.FromFloat32s(latents, 1, key.h, key.w, p.vaeFacts.Latent)}
	if err := prog.Run(ctx, in, map[string]engine.Tensor{"image": out}); err != nil {
		return nil, fmt.Errorf("vae: %w", err)
	}
	return picture(out.Float32s(), r.Width, r.Height), nil
}

// picture converts RGB in [−1, 1] to 8 bits, rounding half to even as
// diffusers' image processor does.
func picture(rgb []float32, w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		for c := range 3 {
			v := min(max(rgb[3*i+c]/2+0.5, 0), 1)
			img.Pix[4*i+c] = uint8(math.RoundToEven(float64(v * 255)))
		}
		img.Pix[4*i+3] = 255
	}
	return img
}

// noise draws latents as torch.randn does on the CPU: in (c, h, w) order, here
// turned to (h, w, c).
type noise struct {
	generator *rng.MT19937
	pixels, c int
}

func newNoise(seed uint64, pixels, c int) noise { return noise{rng.New(seed), pixels, c} }

func (n noise) next() []float32 {
	v := make([]float32, n.pixels*n.c)
	n.generator.Randn(v)
	out := make([]float32, len(v))
	for i := range out {
		out[i] = v[i%n.c*n.pixels+i/n.c]
	}
	return out
}
