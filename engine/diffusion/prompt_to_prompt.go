package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strconv"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/sampler"
)

// promptToPrompt draws what another prompt would be, with other words: Hertz et
// al. 2022, "Prompt-to-Prompt image editing with cross attention control". For a
// share of the steps the denoiser attends as it did for the source prompt, so the
// picture keeps its shape. The source is drawn first, of the same noise; or it is
// a picture, whose way to noise DDIM finds (see [sampler.Inverse]).
type promptToPrompt struct {
	unchanged
	source    string // the prompt
	image     *image.NRGBA
	start     int
	cross     float64 // shares of the steps that keep the attention to words,
	self      float64 // to pixels
	weights   map[string]float64
	texts     *clipText
	words     []float32   // as model.WithKept has them
	own       []float32   // likewise
	way       [][]float32 // x of the source at each step; nil for the drawing's own
	of        int         // the picture whose way that is
	inversion sampler.Sampler
}

// inverts tells whether a request finds the noise of its picture.
func (r Request) inverts() bool { return r.SourcePrompt != "" && r.Image != nil }

// inverting is a request as a picture's inversion has it: by DDIM, and guided
// away from the source's words, which then lead back to the picture: Miyake et al.
// 2023, "Negative-prompt inversion".
func (p *Pipeline) inverting(r Request) (Request, []string) {
	if !r.inverts() {
		return r, nil
	}
	var told []string
	if r.Sampler == "" && p.Samplers()[0].Name != "ddim" {
		r.Sampler = "ddim"
		told = append(told, "sampler: DDIM, by which a picture is inverted")
	}
	if r.NegativePrompt == "" && p.kind.Guided(r) {
		r.NegativePrompt = r.SourcePrompt
	}
	return r, told
}

func newPromptToPrompt(p *Pipeline, r Request) (mode, error) {
	if r.SourcePrompt == "" {
		return nil, nil
	}
	_, ok := p.kind.(steerable)
	m := &promptToPrompt{source: r.SourcePrompt, of: -1}
	switch {
	case !ok:
		return nil, errors.New("source prompt: this model's denoiser does not read words apart from pixels, as a UNet does")
	case strings.TrimSpace(r.SourcePrompt) == "":
		return nil, errors.New("source prompt is blank: say what the picture shows before the change")
	case r.Mask != nil || r.outpaint() != (margins{}) || p.kind.Latent(r).Beside != 0:
		return nil, errors.New("source prompt: not together with a mask, and not with a model that reads pictures")
	case len(r.References) > 0:
		return nil, errors.New("source prompt: not together with references")
	case r.SecondPrompt != "":
		return nil, errors.New("source prompt: not together with a second prompt")
	}
	var err error
	if m.cross, m.self, m.weights, err = readKept(r.Kept); err != nil {
		return nil, err
	}
	for _, c := range p.kind.(worded).clips() {
		if c != nil {
			m.texts = c
		}
	}
	if err := m.align(r); err != nil {
		return nil, err
	}
	if r.Image == nil {
		return m, nil
	}
	if m.image, err = r.Image, checkPicture("image", r.Image); err != nil {
		return nil, err
	}
	if m.start, err = p.skipped(r); err != nil {
		return nil, err
	}
	return m, m.invertible(p, r)
}

// invertible sets the inversion up.
func (m *promptToPrompt) invertible(p *Pipeline, r Request) error {
	if name := r.Sampler; name != "ddim" && (name != "" || p.Samplers()[0].Name != "ddim") {
		return fmt.Errorf("sampler is %s: a picture with a source prompt is inverted by DDIM: choose ddim", name)
	}
	config, err := p.scheduler.WithSchedule(r.Schedule)
	if err != nil {
		return err
	}
	plan := p.plan(r, m)
	if plan.Eta != nil && *plan.Eta > 0 {
		return errors.New("eta: a picture with a source prompt is inverted without fresh noise: choose 0")
	}
	m.inversion, err = sampler.Inverse(config, plan)
	return err
}

// readKept reads a request's Kept: shares of the steps, and weights of words:
// "cross=0.8 self=0.4 blue=2".
func readKept(text string) (cross, self float64, weights map[string]float64, err error) {
	cross, self, weights = 0.8, 0.4, map[string]float64{}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		name, value, _ := strings.Cut(word, "=")
		v, err := strconv.ParseFloat(value, 64)
		share := name == "cross" || name == "self"
		switch {
		case err != nil || name == "":
			return 0, 0, nil, fmt.Errorf("kept: %.40q is neither cross=SHARE, self=SHARE nor WORD=WEIGHT", word)
		case share && !(v >= 0 && v <= 1):
			return 0, 0, nil, fmt.Errorf("kept: %s is %.40q: choose 0 to 1", name, value)
		case !share && !(v >= -mostWeight && v <= mostWeight):
			return 0, 0, nil, fmt.Errorf("kept: the weight of %.40q is %.40q: choose -%d to %d", name, value, mostWeight, mostWeight)
		case name == "cross":
			cross = v
		case name == "self":
			self = v
		default:
			weights[name] = v
		}
	}
	return cross, self, weights, nil
}

// align finds which words the prompts share.
func (m *promptToPrompt) align(r Request) error {
	from, to := m.texts.tokensOf(m.source, r.PromptSyntax), m.texts.tokensOf(r.Prompt, r.PromptSyntax)
	if len(from) != len(to) {
		return fmt.Errorf("source prompt: it makes %d tokens, the prompt %d: shorten the longer one", len(from), len(to))
	}
	scale := slices.Repeat([]float32{1}, len(to))
	for word, weight := range m.weights {
		at := places(to, m.texts.ids(word))
		if len(at) == 0 {
			return fmt.Errorf("kept: the prompt has no word %.40q", word)
		}
		for _, i := range at {
			scale[i] = float32(weight)
		}
	}
	end := m.texts.tokenizer.EOS()
	if len(to) > m.texts.tokens() { // chunks, each with an end
		end = -1
	}
	m.words, m.own = shared(from, to, end, scale)
	return nil
}

// tokensOf are all ids of a text, chunk after chunk.
func (c *clipText) tokensOf(text, syntax string) (ids []int32) {
	chunks, _ := c.chunks(text, syntax)
	for _, part := range chunks {
		ids = append(ids, part.ids...)
	}
	return ids
}

// places are those of all tokens of a word among ids.
func places(ids, word []int32) (list []int) {
	for i := 0; len(word) > 0 && i+len(word) <= len(ids); i++ {
		if slices.Equal(ids[i:i+len(word)], word) {
			for k := range word {
				list = append(list, i+k)
			}
		}
	}
	return list
}

// shared tells what of a source's attention a prompt's tokens take, words (source,
// prompt), and what of their own: same tokens take the source's; tokens that stand
// in others' place take theirs, an even part of all where they are not as many
// ("replace"); what was put in has its own ("refine"). All is scaled by token
// ("reweight"). What follows the end token, if there is one, stays in its place.
func shared(from, to []int32, end int32, scale []float32) (words, own []float32) {
	n := len(to)
	words, own = make([]float32, n*n), make([]float32, n)
	used := func(ids []int32) int {
		if i := slices.Index(ids, end); i >= 0 {
			return i + 1
		}
		return n
	}
	a, b := used(from), used(to)
	i, j := 0, 0
	for _, pair := range append(common(from[:a], to[:b]), [2]int{a, b}) {
		replaced, by := pair[0]-i, pair[1]-j
		for t := j; t < pair[1]; t++ {
			if replaced == 0 {
				own[t] = scale[t]
			}
			for s := i; s < pair[0]; s++ {
				switch {
				case replaced != by:
					words[s*n+t] = scale[t] / float32(by)
				case s-i == t-j:
					words[s*n+t] = scale[t]
				}
			}
		}
		if i, j = pair[0]+1, pair[1]+1; pair[0] < a {
			words[pair[0]*n+pair[1]] = scale[pair[1]]
		}
	}
	for t := b; t < n; t++ {
		words[t*n+t] = scale[t]
	}
	return words, own
}

// common is a longest common subsequence of two lists of tokens: pairs of places.
func common(a, b []int32) (pairs [][2]int) {
	length := make([][]uint16, len(a)+1)
	for i := range length {
		length[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if length[i][j] = max(length[i+1][j], length[i][j+1]); a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

func (m *promptToPrompt) plan(p *sampler.Plan) { p.Start = m.start }

func (m *promptToPrompt) begin(ctx context.Context, d *drawing) error {
	if sampler.Chooses(d.s) {
		return badRequest(errors.New("source prompt: the sampler chooses its steps as it goes, so that two drawings have none in common: choose another"))
	}
	prompt := d.r
	prompt.Prompt = m.source
	guide, err := d.p.guidance(ctx, prompt, d.s, &Result{})
	if err != nil {
		return err
	}
	source := guide.rows[guide.row(Positive)]
	source.Role, source.Weight = Source, 0
	if m.keeps(d, 0) {
		d.guide.source, d.guide.keeps = &source, func(step int) bool { return m.keeps(d, step) }
	}
	if m.inversion == nil {
		return nil
	}
	return m.invert(ctx, d, source)
}

// keeps tells whether a step keeps any attention.
func (m *promptToPrompt) keeps(d *drawing, step int) bool {
	cross, self := m.until(d)
	return step < max(cross, self)
}

// until are the first steps without the source's attention to words and to pixels,
// as the published code counts them.
func (m *promptToPrompt) until(d *drawing) (cross, self int) {
	n := float64(len(d.s.Timesteps()))
	return int(m.cross * (n + 1)), int(m.self * n)
}

// invert walks from the picture to its noise.
func (m *promptToPrompt) invert(ctx context.Context, d *drawing, source Row) error {
	at, err := d.encode(ctx, colours(resized(m.image, d.r.Width, d.r.Height)))
	if err != nil {
		return err
	}
	source.Role, source.Weight = Positive, 1
	r := d.r
	r.Guidance = 1
	way := &drawing{p: d.p, r: r, s: m.inversion, net: d.net, guide: &guidance{rows: []Row{source}, size: d.guide.size, channel: d.guide.channel}, latent: d.latent, on: d.on}
	x, n := slices.Clone(at.mean), len(m.inversion.Timesteps())
	m.way = make([][]float32, n+1)
	for i, t := range m.inversion.Timesteps() {
		out, err := way.predict(ctx, i, t, x)
		if err != nil {
			return err
		}
		m.inversion.Step(i, x, out, nil)
		m.way[n-1-i] = slices.Clone(x)
		d.on(Event{Stage: "denoise", Done: i + 1, Total: n})
	}
	return nil
}

func (m *promptToPrompt) first(*drawing, *noise) []float32 {
	if m.inversion == nil {
		return nil
	}
	return slices.Clone(m.way[0])
}

// draw walks the source's way from the noise of a drawing's picture.
func (m *promptToPrompt) draw(ctx context.Context, d *drawing) error {
	r := d.r
	r.Prompt, r.SourcePrompt, r.Previews = m.source, "", false
	guide, err := d.p.guidance(ctx, r, d.s, &Result{})
	if err != nil {
		return err
	}
	walk := &walked{way: [][]float32{nil}}
	source := &drawing{p: d.p, r: r, asked: r, s: d.s, net: d.net, guide: guide, latent: d.latent, on: d.on, modes: []mode{walk}}
	for _, other := range d.modes {
		if other != mode(m) {
			source.modes = append(source.modes, other)
		}
	}
	_, err = source.denoise(ctx, d.picture)
	m.way, m.of = walk.way, d.picture
	return err
}

// walked notes the way of a drawing.
type walked struct {
	unchanged
	way [][]float32
}

func (w *walked) after(_ *drawing, _ int, x []float32) { w.way = append(w.way, slices.Clone(x)) }

func (m *promptToPrompt) before(ctx context.Context, d *drawing, step int, rows []Row, in Inputs) error {
	if !slices.ContainsFunc(rows, func(r Row) bool { return r.Role == Source }) {
		return nil
	}
	if len(rows) == 1 || positive(rows) < 0 {
		return badRequest(errors.New("source prompt: its text and the prompt's are of different lengths"))
	}
	if m.inversion == nil && m.of != d.picture {
		if err := m.draw(ctx, d); err != nil {
			return err
		}
	}
	if x := m.way[step]; x != nil {
		x = slices.Clone(x)
		d.s.Scale(step, x)
		sample := in["sample"].Float32s()
		copy(sample[len(sample)-len(x):], x)
		in["sample"] = engine.FromFloat32s(sample, in["sample"].Shape...)
	}
	cross, self := m.until(d)
	t := len(m.own)
	words, own, pixels := make([]float32, t*t), slices.Repeat([]float32{1}, t), float32(0)
	if step < cross {
		words, own = m.words, m.own
	}
	if step < self {
		pixels = 1
	}
	in[model.KeptWords] = engine.FromFloat32s(words, 1, t, t)
	in[model.OwnWords] = engine.FromFloat32s(own, 1, t, 1)
	in[model.KeptPixels] = engine.FromFloat32s([]float32{pixels}, 1, 1, 1)
	return nil
}

// positive is the place of the prompt's row.
func positive(rows []Row) int {
	return slices.IndexFunc(rows, func(r Row) bool { return r.Role == Positive })
}
