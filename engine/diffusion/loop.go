package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"
	"maps"
	"slices"
	"time"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/sampler"
)

func badRequest(err error) error {
	if errors.Is(err, ErrBadRequest) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrBadRequest, err)
}

// Generate draws r.Count pictures: all are denoised, then all decoded. on,
// which may be nil, hears of each stage and step. A cancelled ctx ends it with
// ctx.Err().
func (p *Pipeline) Generate(ctx context.Context, r Request, on func(Event)) (*Result, error) {
	if on == nil {
		on = func(Event) {}
	}
	var differs string
	r.Sampler, r.Schedule, differs = sampler.Called(p.scheduler, r.Sampler, r.Schedule)
	if r.Image != nil && r.Width == 0 && r.Height == 0 {
		r.Width, r.Height = p.sizeFor(r)
	}
	if k, ok := p.kind.(following); ok && len(r.References) > 0 && r.References[0] != nil && r.Width == 0 && r.Height == 0 {
		_, read := k.referred(r.References[0])
		r.Width, r.Height = read.X, read.Y
	}
	if r.upscales() {
		return p.hires(ctx, r, on)
	}
	r, byDDIM := p.inverting(r)
	asked := r
	r, worn, told, err := p.wear(r)
	if err != nil {
		return nil, badRequest(err)
	}
	if err := p.check(r); err != nil {
		return nil, badRequest(err)
	}
	modes, err := p.modes(r)
	if err != nil {
		return nil, badRequest(err)
	}
	plan := p.plan(r, modes...)
	s, err := p.sampler(r.Sampler, r.Schedule, plan)
	if err != nil {
		if _, bare := p.sampler(r.Sampler, "", plan); bare == nil {
			err = fmt.Errorf("the schedule %q does not go with this sampler and model: choose another (%v)", r.Schedule, err)
		}
		return nil, badRequest(err)
	}
	p.residency.on, p.residency.worn = on, worn
	defer func() { p.residency.on, p.residency.worn = func(Event) {}, nil }()
	result := &Result{Seed: r.Seed, Notices: slices.Concat(told, byDDIM, p.notices(r))}
	if differs != "" {
		result.Notices = append(result.Notices, "Sampler: "+differs)
	}
	start := time.Now()
	on(Event{Stage: "text"})
	guide, err := p.guidance(ctx, r, s, result)
	if err != nil {
		return nil, err
	}
	result.Timings.Text = time.Since(start)
	d := &drawing{p: p, r: r, asked: asked, s: s, guide: guide, latent: p.kind.Latent(r), on: on, modes: modes}
	d.reuse, _ = readReuse(r.Reuse, p.kind.Fields().Branches) // checked above
	nets := p.kind.Nets()
	d.net = nets[slices.IndexFunc(nets, func(n Net) bool { return n.Denoiser })]
	if err := d.draw(ctx, result); err != nil {
		return nil, err
	}
	result.Timings.Total = time.Since(start)
	return result, nil
}

// drawing is one request on its way.
type drawing struct {
	p       *Pipeline
	r       Request
	asked   Request // r with the adapters' tags in its prompt
	s       sampler.Sampler
	net     Net // the denoiser
	reuse   *reuse
	guide   *guidance
	latent  Latent
	modes   []mode
	picture int // its place in the request
	images  int // tokens of pictures that the denoiser reads
	on      func(Event)
}

// encode is where the latents of a picture's colours (height, width, 3) lie.
func (d *drawing) encode(ctx context.Context, rgb []float32) (posterior, error) {
	at, err := d.p.kind.Posterior(ctx, d.p.residency, d.r, rgb)
	if errors.Is(err, errNoWeight) {
		err = fmt.Errorf("%w: %w", errNoEncoder, err)
	}
	return at, err
}

func (d *drawing) draw(ctx context.Context, result *Result) error {
	start := time.Now()
	for _, m := range d.modes {
		if err := m.begin(ctx, d); err != nil {
			return err
		}
	}
	latents := make([][]float32, d.r.Count)
	for i := range latents {
		x, err := d.denoise(ctx, i)
		if err != nil {
			return err
		}
		latents[i] = x
	}
	result.Timings.Denoise = time.Since(start)
	start = time.Now()
	for i, x := range latents {
		if d.r.bare {
			result.latents = append(result.latents, x)
		} else {
			d.on(Event{Stage: "decode", Done: i, Total: len(latents)})
			img, err := d.decode(ctx, x)
			if err != nil {
				return err
			}
			for _, m := range d.modes {
				img = m.finish(d, img)
			}
			result.Images = append(result.Images, img)
		}
		r := d.p.tagged(d.asked)
		r.Seed, r.Width, r.Height = d.r.Seed+uint64(i), d.r.Width, d.r.Height
		result.Parameters = append(result.Parameters,
			parameters(r, d.p.samplerLabel(r.Sampler), scheduleLabel(r.Schedule), d.p.defaults.Name))
	}
	result.Timings.Decode = time.Since(start)
	return nil
}

// denoise runs the sampling loop for picture i and returns its latents,
// (h, w, c).
func (d *drawing) denoise(ctx context.Context, i int) ([]float32, error) {
	s, l := d.s, d.latent
	d.picture = i
	noise := newNoise(d.r, i, l)
	x := d.first(noise)
	for step := 0; step < len(s.Timesteps()); step++ { // which a sampler that chooses its steps adds to
		out, err := d.predict(ctx, step, s.Timesteps()[step], x)
		if err != nil {
			return nil, err
		}
		runs := len(s.Timesteps())
		if sampler.Chooses(s) {
			runs = max(runs, d.r.Steps)
		}
		event := Event{Stage: "denoise", Done: i*runs + step + 1, Total: d.r.Count * runs}
		if d.r.Previews && d.p.residency.budget == 0 {
			if event.Preview, err = d.preview(ctx, step, x, out); err != nil {
				return nil, err
			}
		}
		s.Step(step, x, out, noise.step(s, step))
		for _, m := range d.modes {
			m.after(d, step, x)
		}
		d.on(event)
	}
	return x, nil
}

// first is the x that a walk begins with: what a mode makes it, or noise.
func (d *drawing) first(n *noise) []float32 {
	for _, m := range d.modes {
		if x := m.first(d, n); x != nil {
			return x
		}
	}
	x := n.next()
	for j := range x {
		x[j] *= d.s.InitSigma()
	}
	return x
}

// predict evaluates the denoiser on x (h, w, c) at step i, once for each row,
// and returns what guidance makes of them. Rows of the same shapes go as one
// batch.
func (d *drawing) predict(ctx context.Context, i int, t float32, x []float32) ([]float32, error) {
	l, rows := d.latent, d.guide.at(i)
	scaled := slices.Clone(x)
	d.s.Scale(i, scaled)
	varying := d.p.kind.Inputs(d.r, t)
	if l.Beside == 0 {
		varying["sample"] = engine.FromFloat32s(scaled, 1, l.Height, l.Width, l.Channels)
	}
	var all [][]float32
	for number, rows := range batches(rows) {
		size := d.net.Size(d.r)
		size.Batch, size.Without = len(rows), rows[0].Without
		if context, ok := rows[0].In["context"]; ok {
			size.Tokens = context.Shape[1]
		}
		in := stack(rows, varying)
		if l.Beside != 0 {
			in["sample"] = besides(rows, scaled, l)
		}
		for _, m := range d.modes {
			if err := m.before(ctx, d, i, rows, in); err != nil {
				return nil, err
			}
		}
		size.Images = d.images
		steered(in, &size)
		if _, ok := in[model.KeptWords]; ok {
			size.Kept = 1 + positive(rows)
		}
		out, err := d.reuse.run(ctx, d, i, batch{number, size}, in)
		if err != nil {
			return nil, err
		}
		all = append(all, predictions(out["sample"], l)...)
	}
	return d.guide.combine(i, rows, all), nil
}

// preview decodes the sampler's prediction of the clean latents.
func (d *drawing) preview(ctx context.Context, i int, x, out []float32) (*image.NRGBA, error) {
	x0 := make([]float32, len(x))
	d.s.Denoised(i, x, out, x0)
	return d.decode(ctx, x0)
}

// decode turns latents (h, w, c) into a picture.
func (d *drawing) decode(ctx context.Context, x []float32) (*image.NRGBA, error) {
	rgb, err := d.p.kind.Decode(ctx, d.p.residency, d.r, x)
	if err != nil {
		return nil, err
	}
	return picture(rgb, d.r.Width, d.r.Height), nil
}

// cachedPrompts bounds the memory of encoded prompts.
const cachedPrompts = 64

// encode is the kind's Encode, once for each prompt.
func (p *Pipeline) encode(ctx context.Context, prompt Prompt, result *Result) (Inputs, error) {
	c, ok := p.encoded[prompt]
	if !ok {
		var err error
		if c, err = p.kind.Encode(ctx, p.residency, prompt); err != nil {
			return nil, err
		}
		if len(p.encoded) >= cachedPrompts {
			clear(p.encoded)
		}
		p.encoded[prompt] = c
	}
	result.Truncated = result.Truncated || c.Truncated
	return maps.Clone(c.Inputs), nil
}
