package diffusion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"wisp/engine"
	"wisp/engine/sampler"
)

// Pipeline is a loaded model, which draws for one caller at a time.
type Pipeline struct {
	kind      Kind
	residency *residency
	defaults  Defaults
	scheduler sampler.Config
	encoded   map[Prompt]Conditioning
	controls  map[string]*controlNet
	prompter  *imagePrompter
	adapters  []*adapter
	adapted   int // adapters that there ever were
}

// Option changes how a pipeline is made.
type Option func(*Pipeline)

// Budget bounds the weights on the backend to so many bytes, or to one
// component where that is larger: those used longest ago make room for those
// that are needed. Nothing is loaded before it is needed, and there are no
// previews.
func Budget(bytes int64) Option { return func(p *Pipeline) { p.residency.budget = max(1, bytes) } }

// Memory is [Budget] for a component that is larger, too: it runs by stages,
// whose weights come from where the model is kept, at every step those for which
// there is no room.
func Memory(bytes int64) Option {
	return func(p *Pipeline) {
		Budget(bytes)(p)
		p.residency.stages = true
	}
}

// New loads a model onto a backend. The weights of each component are asked
// for in the order in which a drawing needs them, so that they may still be
// downloading. on, which may be nil, hears of loading and compiling.
func New(ctx context.Context, b engine.Backend, m Model, on func(Event), options ...Option) (*Pipeline, error) {
	p, err := configure(b, m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadModel, err)
	}
	for _, o := range options {
		o(p)
	}
	if p.residency.budget != 0 {
		return p, nil
	}
	if on != nil {
		p.residency.on = on
		defer func() { p.residency.on = func(Event) {} }()
	}
	nets := slices.DeleteFunc(p.kind.Nets(), func(n Net) bool { return n.Late })
	for i, n := range nets {
		if err := p.residency.prepare(ctx, n, p.Defaults()); err != nil {
			p.Close()
			return nil, err
		}
		p.residency.on(Event{Stage: "compile", Done: i + 1, Total: len(nets)})
	}
	return p, nil
}

// configure reads all of a model but its weights.
func configure(b engine.Backend, m Model) (*Pipeline, error) {
	k, err := newKind(m)
	if err != nil {
		return nil, err
	}
	if err := k.Open(m); err != nil {
		return nil, err
	}
	p := &Pipeline{kind: k, residency: newResidency(b, m, k.Nets()), encoded: map[Prompt]Conditioning{}}
	config, ok := m.Config("scheduler")
	if !ok {
		return nil, errors.New("the model has no scheduler config")
	}
	if p.scheduler, err = sampler.ParseConfig(config); err != nil {
		return nil, err
	}
	if p.scheduler.Velocities() {
		return nil, fmt.Errorf("the scheduler's class is %s, whose latents have velocities: this pipeline's have none", p.scheduler.Class())
	}
	if k, ok := k.(insistent); ok {
		if p.scheduler, err = p.scheduler.WithFields(k.schedulerFields()); err != nil {
			return nil, err
		}
	}
	r := k.Defaults()
	if _, err := p.sampler("", "", p.plan(r)); errors.Is(err, sampler.ErrConfig) { // another error may be of the steps
		return nil, err
	}
	return p, p.readDefaults(m)
}

// readDefaults reads what the model recommends, which must be drawable.
func (p *Pipeline) readDefaults(m Model) error {
	d := p.kind.Defaults()
	p.defaults = Defaults{Steps: d.Steps, Guidance: d.Guidance, Schedule: d.Schedule}
	if _, ok := m.Config("wisp"); ok {
		if err := parse(m, "wisp", &p.defaults); err != nil {
			return err
		}
		if _, err := p.sampler("", p.defaults.Schedule, p.plan(p.Defaults())); err != nil {
			return fmt.Errorf("the model's defaults: %w", err)
		}
		if err := p.checkTimesteps(); err != nil {
			return fmt.Errorf("the model's defaults: %w", err)
		}
	}
	r := p.Defaults()
	r.Prompt = "any"
	if err := p.check(r); err != nil {
		return fmt.Errorf("the model's defaults: %w", err)
	}
	return nil
}

// Fields are the settings that the model reads beside those that all do.
func (p *Pipeline) Fields() Fields {
	f, l := p.kind.Fields(), p.kind.Latent(p.Defaults())
	switch l.Beside {
	case 0:
		f.Image = "taken"
	case l.Channels, 3: // see edit and enlarging
		f.Image = "needed"
	default:
		f.Image = "masked"
	}
	return f
}

// Defaults is the request that the model's publisher recommends, without a prompt.
func (p *Pipeline) Defaults() Request {
	r := p.kind.Defaults()
	r.Steps, r.Guidance, r.Schedule = p.defaults.Steps, p.defaults.Guidance, p.defaults.Schedule
	r.Strength, r.ImageGuidance, r.MaskPadding, r.UpscaleStrength, r.ReferenceWeight = defaultStrength, defaultImageGuidance, defaultPadding, defaultUpscaleStrength, 1
	r.GuidanceEnd = 1
	return r
}

// The bounds of a request.
const (
	maxSize  = 2048
	maxCount = 64
)

// check names the first field that cannot be.
func (p *Pipeline) check(r Request) error {
	fields := p.kind.Fields()
	multiple, largest := fields.Multiple, min(maxSize, cmp.Or(fields.Largest, maxSize))
	switch {
	case fields.Prompt && strings.TrimSpace(r.Prompt) == "":
		return errors.New("the prompt is empty: say what to draw")
	case r.SecondPrompt != "" && !fields.SecondPrompt:
		return errors.New("second prompt: this model has one text encoder")
	case !slices.Contains(syntaxes, r.PromptSyntax):
		return fmt.Errorf("prompt syntax is %.40q: choose %s, %s or %s", r.PromptSyntax, syntaxA1111, syntaxComfyUI, syntaxNone)
	case fields.Classes == 0 && r.Class != 0:
		return errors.New("class: this model does not draw classes")
	case r.Class < 0 || r.Class > 0 && r.Class >= fields.Classes:
		return fmt.Errorf("class is %d: choose 0 to %d", r.Class, fields.Classes-1)
	case r.ClipSkip != 0 && fields.ClipSkip == 0:
		return errors.New("clip skip: this model has no CLIP text encoder to skip layers of")
	case r.ClipSkip < 0 || r.ClipSkip > fields.ClipSkip:
		return fmt.Errorf("clip skip is %d: choose 0 to %d", r.ClipSkip, fields.ClipSkip)
	case r.Steps < 1 || r.Steps > sampler.MaxSteps:
		return fmt.Errorf("steps is %d: choose 1 to %d", r.Steps, sampler.MaxSteps)
	case r.Width < multiple || r.Width > largest || r.Width%multiple != 0:
		return fmt.Errorf("width is %d: choose a multiple of %d up to %d", r.Width, multiple, largest)
	case r.Height < multiple || r.Height > largest || r.Height%multiple != 0:
		return fmt.Errorf("height is %d: choose a multiple of %d up to %d", r.Height, multiple, largest)
	case r.Count < 1 || r.Count > maxCount:
		return fmt.Errorf("count is %d: choose 1 to %d", r.Count, maxCount)
	case !(r.Strength >= 0 && r.Strength <= 1):
		return fmt.Errorf("strength is %v: choose 0 to 1", r.Strength)
	}
	return checkGuidance(r, fields)
}

// Samplers lists those that fit the model, its own first.
func (p *Pipeline) Samplers() []sampler.Info { return sampler.List(p.scheduler) }

// About is what people may want to know of a sampler that Samplers lists.
func (p *Pipeline) About(name string) sampler.Note { return sampler.About(name) }

// Schedules lists those that a request may name beside the model's own: that one of its samplers takes. What any takes,
// Euler does, or the model's own where there is no other: a page that starts has no time to ask sixty.
func (p *Pipeline) Schedules() (list []sampler.Info) {
	plan := p.plan(p.Defaults())
	plan.Steps = 10
	for _, s := range sampler.Schedules {
		config, err := p.scheduler.WithSchedule(s.Name)
		if err == nil && slices.ContainsFunc([]string{"euler", p.Samplers()[0].Name}, func(name string) bool {
			_, err := sampler.New(name, config, plan)
			return err == nil
		}) {
			list = append(list, s)
		}
	}
	return list
}

// Names is the table of samplers' and schedules' names: sampler.Names.
func (p *Pipeline) Names() []byte { return sampler.Names }

// sampler sets up a sampler by name; "" is the model's own and no other.
func (p *Pipeline) sampler(name, schedule string, plan sampler.Plan) (sampler.Sampler, error) {
	config, err := p.scheduler.WithSchedule(p.tuned(name, schedule, plan.Steps))
	if err != nil {
		return nil, err
	}
	return sampler.New(name, config, plan)
}

// plan is the walk of a request, as its modes have it.
func (p *Pipeline) plan(r Request, modes ...mode) sampler.Plan {
	token := p.kind.Fields().Multiple // pixels that a token of a transformer spans
	plan := sampler.Plan{Steps: r.Steps, Tokens: r.Width / token * (r.Height / token), Varies: p.kind.Latent(r).Varies}
	plan.Churn, _ = readChurn(r.Churn) // checked before
	if k, ok := p.kind.(shifting); ok {
		mu := k.shift(plan.Tokens, plan.Steps)
		plan.Mu = &mu
	}
	if r.Eta != nil {
		eta := float64(*r.Eta)
		plan.Eta = &eta
	} else if r.Sampler == "" && p.scheduler.Class() == "TCDScheduler" {
		plan.Eta = new(float64) // diffusers' pipelines hand on their own default, 0, for the scheduler's 0.3
	}
	for _, m := range modes {
		m.plan(&plan)
	}
	return plan
}

// samplerLabel is the name people know a sampler by.
func (p *Pipeline) samplerLabel(name string) string {
	list := p.Samplers()
	if l := label(list, name); l != "" {
		return l
	}
	return list[0].Label // the model's own
}

// scheduleLabel is the name people know a schedule by; a list of timesteps is
// its own.
func scheduleLabel(name string) string {
	return cmp.Or(label(sampler.Schedules, name), strings.ReplaceAll(name, ",", " "))
}

// label is that of the named one; "" where there is none.
func label(list []sampler.Info, name string) string {
	for _, s := range list {
		if s.Name == name {
			return s.Label
		}
	}
	return ""
}

// Close frees the programs and weights.
func (p *Pipeline) Close() error {
	p.residency.close()
	return nil
}
