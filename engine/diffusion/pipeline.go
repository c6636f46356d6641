package diffusion

import (
	"cmp"
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/sampler"
	"wisp/engine/token"
)

// Pipeline is a loaded model: the shape of diffusers' StableDiffusionPipeline,
// one text encoder, a UNet and an image decoder. It draws for one caller at a
// time.
type Pipeline struct {
	backend   engine.Backend
	model     Model
	frugal    bool
	tokenizer *token.CLIP
	defaults  Defaults
	scheduler sampler.Config
	textFacts model.TextFacts
	unetFacts model.UNetFacts
	vaeFacts  model.AutoencoderFacts

	text, unet, vae component
	programs        programCache
	hidden          map[string][]float32 // text states by prompt
}

// Option changes how a pipeline is made.
type Option func(*Pipeline)

// Frugal keeps one component at a time on the backend, and none before it is
// needed: each picture loads them anew, and there are no previews. It needs as
// much memory as the largest component.
func Frugal() Option { return func(p *Pipeline) { p.frugal = true } }

// New loads a model onto a backend. The weights of each component are asked
// for in the order text encoder, UNet, decoder, so that they may still be
// downloading. onProgress, which may be nil, is called as components are
// compiled.
func New(ctx context.Context, b engine.Backend, m Model, onProgress func(stage string, loaded, total int64), options ...Option) (*Pipeline, error) {
	p := &Pipeline{backend: b, model: m, hidden: map[string][]float32{}}
	p.vae.prefixes = []string{"decoder.", "post_quant_conv."}
	for _, o := range options {
		o(p)
	}
	if err := p.configure(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadModel, err)
	}
	if p.frugal {
		return p, nil
	}
	if onProgress == nil {
		onProgress = func(string, int64, int64) {}
	}
	r := p.Defaults()
	stages := []func() error{
		func() error { _, err := p.textProgram(ctx); return err },
		func() error { _, err := p.unetProgram(ctx, p.unetKey(r)); return err },
		func() error { _, err := p.vaeProgram(ctx, p.vaeKey(r)); return err },
	}
	for i, stage := range stages {
		if err := stage(); err != nil {
			p.Close()
			return nil, err
		}
		onProgress("compile", int64(i+1), int64(len(stages)))
	}
	return p, nil
}

func (p *Pipeline) configure(m Model) error {
	var err error
	if p.tokenizer, err = newTokenizer(m); err != nil {
		return err
	}
	for _, c := range []*component{&p.text, &p.unet, &p.vae} {
		c.name = map[*component]string{&p.text: "text_encoder", &p.unet: "unet", &p.vae: "vae"}[c]
		config, ok := m.Config(c.name)
		if !ok {
			return fmt.Errorf("the model has no %s", c.name)
		}
		c.config = config
	}
	if p.textFacts, err = model.ReadText(p.text.config); err != nil {
		return err
	}
	if p.unetFacts, err = model.ReadUNet(p.unet.config); err != nil {
		return err
	}
	if p.vaeFacts, err = model.ReadAutoencoder(p.vae.config); err != nil {
		return err
	}
	if err := p.checkFit(); err != nil {
		return err
	}
	if err := parse(m, "scheduler", &p.scheduler); err != nil {
		return err
	}
	if _, err := p.sampler("", "", 1); err != nil {
		return err
	}
	return p.readDefaults(m)
}

// readDefaults reads what the model recommends, which must be drawable.
func (p *Pipeline) readDefaults(m Model) error {
	p.defaults = Defaults{Steps: 20, Guidance: 7.5}
	if _, ok := m.Config("wisp"); ok {
		if err := parse(m, "wisp", &p.defaults); err != nil {
			return err
		}
		if _, err := p.sampler("", p.defaults.Schedule, p.defaults.Steps); err != nil {
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

// checkFit validates that the components' sizes fit together.
func (p *Pipeline) checkFit() error {
	t, u, v := p.textFacts, p.unetFacts, p.vaeFacts
	switch {
	case t.Width != u.Context:
		return fmt.Errorf("text_encoder makes states of width %d, unet takes %d", t.Width, u.Context)
	case p.tokenizer.MaxLength() > t.Tokens:
		return fmt.Errorf("tokenizer makes %d tokens, text_encoder takes %d", p.tokenizer.MaxLength(), t.Tokens)
	case p.tokenizer.VocabSize() > t.Vocab:
		return fmt.Errorf("tokenizer has %d tokens, text_encoder knows %d", p.tokenizer.VocabSize(), t.Vocab)
	case u.In != v.Latent || u.Out != v.Latent:
		return fmt.Errorf("unet makes %d of %d channels, vae decodes %d", u.Out, u.In, v.Latent)
	case u.TimestepCond != 0 || u.Added != 0:
		return errors.New("unet takes added conditions, which this pipeline does not make")
	}
	return nil
}

// newTokenizer reads the tokenizer from vocab.json and merges.txt, or from
// tokenizer.json, which is all that newer libraries write.
func newTokenizer(m Model) (*token.CLIP, error) {
	vocab, _ := m.File("tokenizer/vocab.json")
	merges, _ := m.File("tokenizer/merges.txt")
	var opt token.Options
	opt.Config, _ = m.File("tokenizer/tokenizer_config.json")
	opt.SpecialMap, _ = m.File("tokenizer/special_tokens_map.json")
	if vocab == nil || merges == nil {
		if opt.Tokenizer, _ = m.File("tokenizer/tokenizer.json"); opt.Tokenizer == nil {
			return nil, errors.New("the model has neither tokenizer/vocab.json with merges.txt nor tokenizer.json")
		}
		vocab, merges = nil, nil
	}
	return token.NewCLIP(vocab, merges, opt)
}

// parse decodes a component's config into v.
func parse(m Model, name string, v any) error {
	config, ok := m.Config(name)
	if !ok {
		return fmt.Errorf("the model has no %s config", name)
	}
	if err := json.Unmarshal(config, v); err != nil {
		return fmt.Errorf("%s config: %w", name, err)
	}
	return nil
}

// Defaults is the request that the model's publisher recommends, without a prompt.
func (p *Pipeline) Defaults() Request {
	f := p.vaeFacts.Factor
	return Request{
		Steps: p.defaults.Steps, Guidance: p.defaults.Guidance, Schedule: p.defaults.Schedule,
		Width: cmp.Or(p.unetFacts.Width, 64) * f, Height: cmp.Or(p.unetFacts.Height, 64) * f, Count: 1,
	}
}

// Samplers lists those that fit the model, its own first.
func (p *Pipeline) Samplers() []sampler.Info { return sampler.List(p.scheduler) }

// Schedules lists those that a request may name beside the model's own.
func (p *Pipeline) Schedules() []sampler.Info { return sampler.Schedules }

// sampler sets up a sampler by name; "" is the model's own and no other.
func (p *Pipeline) sampler(name, schedule string, steps int) (sampler.Sampler, error) {
	config, err := p.scheduler.WithSchedule(schedule)
	if err != nil {
		return nil, err
	}
	return sampler.New(name, config, steps)
}

// samplerLabel is the name people know a sampler by.
func (p *Pipeline) samplerLabel(name string) string {
	list := p.Samplers()
	if l := label(list, name); l != "" {
		return l
	}
	return list[0].Label // the model's own
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
	p.programs.clear()
	for _, c := range []*component{&p.text, &p.unet, &p.vae} {
		c.release()
	}
	return nil
}

// The keys of compiled programs: one for each size that was asked for.
type (
	unetKey struct{ batch, h, w int } // in latents
	vaeKey  struct{ h, w int }
)

func (p *Pipeline) unetKey(r Request) unetKey {
	return unetKey{p.batch(r), r.Height / p.vaeFacts.Factor, r.Width / p.vaeFacts.Factor}
}

func (p *Pipeline) vaeKey(r Request) vaeKey {
	return vaeKey{r.Height / p.vaeFacts.Factor, r.Width / p.vaeFacts.Factor}
}

func (p *Pipeline) textGraph() (*engine.Graph, error) {
	return model.CLIPText(p.text.config, 1, p.tokenizer.MaxLength())
}

func (p *Pipeline) unetGraph(k unetKey) (*engine.Graph, error) {
	return model.UNet2DCondition(p.unet.config, k.batch, k.h, k.w, p.tokenizer.MaxLength())
}

func (p *Pipeline) vaeGraph(k vaeKey) (*engine.Graph, error) {
	return model.Decoder(p.vae.config, 1, k.h, k.w)
}

func (p *Pipeline) textProgram(ctx context.Context) (engine.Program, error) {
	return p.program(ctx, &p.text, "text", p.textGraph)
}

func (p *Pipeline) unetProgram(ctx context.Context, k unetKey) (engine.Program, error) {
	var fixed []string
	if p.backend.Name() != "webgpu" { // there, sending them at each step takes longer than computing them
		fixed = []string{"context"}
	}
	return p.program(ctx, &p.unet, k, func() (*engine.Graph, error) { return p.unetGraph(k) }, fixed...)
}

func (p *Pipeline) vaeProgram(ctx context.Context, k vaeKey) (engine.Program, error) {
	return p.program(ctx, &p.vae, k, func() (*engine.Graph, error) { return p.vaeGraph(k) })
}

// program returns the compiled graph for key, building it where it is new and
// loading the component where it is not there. The inputs named fixed stay the
// same over the steps of a picture.
func (p *Pipeline) program(ctx context.Context, c *component, key any, build func() (*engine.Graph, error), fixed ...string) (engine.Program, error) {
	if prog := p.programs.get(key); prog != nil {
		return prog, nil
	}
	g, err := build()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBadModel, c.name, err)
	}
	if c.weights == nil {
		if err := p.load(ctx, c, g); err != nil {
			return nil, err
		}
	}
	prog, err := engine.CompileFixed(p.backend, g, c.weights, fixed...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	p.programs.put(key, prog)
	return prog, nil
}

// load uploads a component's weights, in place of the others where the
// pipeline is frugal.
func (p *Pipeline) load(ctx context.Context, c *component, g *engine.Graph) error {
	if p.frugal {
		p.Close()
	}
	if err := c.load(ctx, p.backend, p.model, g); err != nil {
		c.release() // what there is of it
		return fmt.Errorf("%s: %w", c.name, err)
	}
	for _, n := range g.Weights() {
		if c.weights[n.Name] == nil {
			c.release()
			return fmt.Errorf("%w: %s has no weight %q", ErrBadModel, c.name, n.Name)
		}
	}
	return nil
}

// programCache keeps the programs used last.
type programCache struct{ entries list.List } // of cacheEntry, newest first

type cacheEntry struct {
	key  any
	prog engine.Program
}

// cachedPrograms is enough for the text encoder and, at two sizes, a UNet with
// and without guidance and a decoder.
const cachedPrograms = 7

func (c *programCache) get(key any) engine.Program {
	for e := c.entries.Front(); e != nil; e = e.Next() {
		if entry := e.Value.(cacheEntry); entry.key == key {
			c.entries.MoveToFront(e)
			return entry.prog
		}
	}
	return nil
}

func (c *programCache) put(key any, p engine.Program) {
	c.entries.PushFront(cacheEntry{key, p})
	for c.entries.Len() > cachedPrograms {
		c.entries.Remove(c.entries.Back()).(cacheEntry).prog.Close()
	}
}

func (c *programCache) clear() {
	for c.entries.Len() > 0 {
		c.entries.Remove(c.entries.Front()).(cacheEntry).prog.Close()
	}
}
