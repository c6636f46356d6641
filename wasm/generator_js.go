package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hack-pad/safejs"

	"wisp/engine"
	"wisp/engine/diffusion"
	"wisp/loader"
	"wisp/wasm/bridge"
)

// generator is a pipeline with its backend. It lives as long as the worker,
// which is how the page disposes of it. Calls of generate take turns.
type generator struct {
	choice   string // of the backend, by the page
	threads  int    // the most the page wants; 0 for no bound
	profile  bool   // time the graphics card's kernels
	losses   int    // of its device or memory
	frugal   bool   // one component at a time: memory is short
	memory   int64  // bytes for weights, 0 where nobody said: what is larger runs by stages
	model    *loader.Model
	backend  engine.Backend
	pipeline *diffusion.Pipeline
	defaults diffusion.Request
	loras    []lora
	controls map[string]control
	yield    func() // lets messages in

	turn   sync.Mutex
	mu     sync.Mutex
	cancel context.CancelFunc // of the generate under way; nil without
}

// create loads a model: create({model, backend, threads, profile, memory}, onEvent).
func create(ctx context.Context, args bridge.Arguments) (any, error) {
	g := &generator{yield: newYield()}
	f := bridge.Fields{Object: args.At(0)}
	f.Text("backend", &g.choice)
	f.Integer("threads", &g.threads)
	if memory, ok := f.Whole("memory"); ok {
		if g.memory = memory; memory < 1 {
			f.Wrong("memory", "a number of bytes")
		}
	}
	f.Boolean("profile", &g.profile)
	model, _ := f.Get("model")
	if f.Err != nil {
		return nil, f.Err
	}
	tell := args.Callback(1)
	progress := func(stage string, loaded, total int64) {
		tell(bridge.Object{"type": "progress", "stage": stage, "loaded": loaded, "total": total})
	}
	warn := func(err error) { tell(bridge.Object{"type": "warning", "message": warning(err)}) }
	// The model is on its way while the browser looks for a graphics card. What
	// fails of the prefetch, load meets again and reports.
	opened := make(chan error, 1)
	opening, giveUp := context.WithCancel(ctx)
	defer giveUp()
	go func() {
		var err error
		g.model, err = open(opening, model, loader.Options{OnProgress: progress, OnWarning: warn,
			OnUpdate: func() { warn(errors.New("there is a new version of this model: the next visit will download it")) }})
		opened <- err
		if err == nil {
			g.model.Prefetch(opening)
		}
	}()
	var err error
	if g.backend, err = newBackend(ctx, g.choice, g.threads, g.profile, warn); err != nil {
		return nil, err
	}
	if err = <-opened; err == nil {
		if g.fit(); g.memory == inStages {
			warn(errLarge)
		}
		err = g.load(ctx, progress)
	}
	for err != nil && g.fallBack(ctx, err, warn) {
		err = g.load(ctx, progress)
	}
	if err != nil {
		g.backend.Close()
		return nil, err
	}
	g.defaults = g.pipeline.Defaults()
	return g.value(), nil
}

// warning is what a page is told of trouble that is survived: of a silent tab
// what the visitor may do.
func warning(err error) any {
	if errors.Is(err, loader.ErrSilent) {
		return bridge.Failure(err, kinds)["message"]
	}
	return err.Error()
}

// errLarge tells of stages.
var errLarge = errors.New("the model is larger than the memory of a page: it runs by stages, which takes longer")

// inStages is the memory for the weights of a model of which WebAssembly's cannot
// hold all.
const inStages = 2 << 30

// fit has such a model run by stages. What a graphics card holds nobody tells.
func (g *generator) fit() {
	if g.backend.Name() != "webgpu" && g.memory == 0 && g.model.Fit(4<<30, false) != nil {
		g.memory = inStages
	}
}

// load puts the model on the backend.
func (g *generator) load(ctx context.Context, progress func(stage string, loaded, total int64)) (err error) {
	g.fit()
	var options []diffusion.Option
	switch {
	case g.memory > 0:
		options = append(options, diffusion.Memory(g.memory))
	case g.frugal:
		options = append(options, diffusion.Budget(oneComponent))
	}
	compiled := func(e diffusion.Event) { // what is read of the weights, the loader tells
		if e.Stage == "compile" {
			progress(e.Stage, int64(e.Done), int64(e.Total))
		}
	}
	if g.pipeline, err = diffusion.New(ctx, g.backend, g.model, compiled, options...); err != nil {
		return err
	}
	return g.dress(ctx)
}

// inStages starts the processor again for a model whose weights and values
// together are more than WebAssembly's memory, and reports whether it could.
func (g *generator) inStages(warn func(error)) bool {
	if g.pipeline != nil {
		g.pipeline.Close()
		g.pipeline = nil
	}
	g.backend.Close()
	b, err := newSIMD(g.threads)
	if err != nil {
		return false
	}
	g.backend, g.memory = b, inStages
	warn(errLarge)
	return true
}

// fallBack replaces a graphics card's backend that failed, tells so, and
// reports whether the model may now be loaded on another, from the library. A
// lost device is opened again, since a driver that was reset works as before.
// Out of memory, it is opened again for one component at a time. Where that is
// in vain, WebAssembly takes over if the choice was ours.
func (g *generator) fallBack(ctx context.Context, why error, warn func(error)) bool {
	memory := errors.Is(why, engine.ErrOutOfMemory)
	if memory && g.backend.Name() == "simd" && g.memory == 0 {
		return g.inStages(warn)
	}
	if g.backend.Name() != "webgpu" || !memory && !errors.Is(why, engine.ErrDeviceLost) {
		return false
	}
	if g.pipeline != nil {
		g.pipeline.Close()
		g.pipeline = nil
	}
	g.backend.Close()
	again := g.losses < mostLosses && (!(memory && g.frugal) || g.memory > 0)
	if memory {
		g.memory /= 2
	}
	g.losses++
	g.frugal = g.frugal || memory
	if again {
		if b, err := newBackend(ctx, cmp.Or(g.choice, "auto"), g.threads, g.profile, nil); err == nil {
			g.backend = b
			switch {
			case b.Name() != "webgpu":
				g.frugal = false
				warn(cardFailed(why))
			case memory:
				warn(fmt.Errorf("the graphics card's memory is short: the parts of the model take turns there, which takes longer (%w)", why))
			default:
				warn(fmt.Errorf("the graphics card was lost and is started again (%w)", why))
			}
			return true
		}
	}
	if g.choice != "" && g.choice != "auto" {
		return false
	}
	b, err := newSIMD(g.threads)
	if err != nil {
		return false
	}
	g.backend, g.frugal = b, false
	warn(cardFailed(why))
	return true
}

// oneComponent is a budget that the smallest component exceeds.
const oneComponent = 1

// mostLosses is how often a graphics card is given another chance.
const mostLosses = 3

// value is the generator as JavaScript sees it.
func (g *generator) value() any {
	stop := func(safejs.Value, []safejs.Value) any {
		g.stop()
		return nil
	}
	d := g.defaults
	labelled := func(name, label string) map[string]any { return map[string]any{"name": name, "label": label} }
	samplers, schedules := []any{}, []any{}
	for _, s := range g.pipeline.Samplers() {
		info, note := labelled(s.Name, s.Label), g.pipeline.About(s.Name)
		info["good"], info["paper"], info["file"] = note.Good, note.Paper, note.File
		samplers = append(samplers, info)
	}
	for _, s := range g.pipeline.Schedules() {
		schedules = append(schedules, labelled(s.Name, s.Label))
	}
	own, _ := g.model.Config("wisp")
	m := g.model.Manifest()
	card, _ := g.model.File(m.Card)
	return map[string]any{
		"generate": promising(g.generate), "addLora": promising(g.addLora), "removeLora": promising(g.removeLora), "addControl": promising(g.addControl), "removeControl": promising(g.removeControl),
		"countTokens": promising(g.countTokens), "complete": promising(g.complete), "cancel": bridge.Must(safejs.FuncOf(stop)),
		"backend": g.backend.Name(), "device": device(g.backend), "id": g.model.ID(), "name": m.Name, "licence": m.Licence, "card": string(card),
		"samplers": samplers, "schedules": schedules, "names": string(g.pipeline.Names()), "settings": string(own), "fields": fields(g.pipeline.Fields()),
		"defaults": map[string]any{"steps": d.Steps, "guidance": d.Guidance, "schedule": d.Schedule, "width": d.Width, "height": d.Height},
	}
}

// fields tells the page what the model reads of a request.
func fields(f diffusion.Fields) map[string]any {
	return map[string]any{
		"prompt": f.Prompt || f.Labels, "negativePrompt": f.NegativePrompt, "secondPrompt": f.SecondPrompt, "weights": f.Weights, "guidance": f.Guidance,
		"clipSkip": f.ClipSkip, "classes": f.Classes, "image": f.Image, "multiple": f.Multiple, "largest": f.Largest, "layers": f.Layers, "branches": f.Branches, "references": f.References,
	}
}

// stop cancels the generate under way.
func (g *generator) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cancel != nil {
		g.cancel()
	}
}

// begin waits for this call's turn and makes it the one that stop cancels.
func (g *generator) begin(ctx context.Context) (context.Context, func()) {
	g.turn.Lock()
	ctx, cancel := context.WithCancel(ctx)
	set := func(c context.CancelFunc) {
		g.mu.Lock()
		g.cancel = c
		g.mu.Unlock()
	}
	set(cancel)
	return ctx, func() {
		set(nil)
		cancel()
		g.turn.Unlock()
	}
}

// generate draws pictures: generate(request, onEvent).
func (g *generator) generate(ctx context.Context, args bridge.Arguments) (any, error) {
	ctx, end := g.begin(ctx)
	defer end()
	r, err := readRequest(args.At(0), g.defaults)
	if err != nil {
		return nil, err
	}
	tell := args.Callback(1)
	on := func(e diffusion.Event) {
		o := bridge.Object{"stage": e.Stage, "step": e.Done, "steps": e.Total, "preview": nil}
		if e.Preview != nil {
			if preview, err := bridge.NewPicture(e.Preview); err == nil {
				o["preview"] = map[string]any(preview)
			}
		}
		tell(o)
		g.yield()
	}
	result, err := g.draw(ctx, r, on)
	for err != nil && g.fallBack(ctx, err, func(why error) { tell(bridge.Object{"type": "warning", "message": why.Error()}) }) {
		result, err = g.draw(ctx, r, on)
	}
	if err != nil {
		return nil, err
	}
	g.losses = 0
	return g.result(r, result)
}

// draw runs the pipeline, loading it where an earlier failure took it away.
func (g *generator) draw(ctx context.Context, r diffusion.Request, on func(diffusion.Event)) (*diffusion.Result, error) {
	if g.pipeline == nil {
		if err := g.load(ctx, func(string, int64, int64) {}); err != nil {
			return nil, err
		}
	}
	return g.pipeline.Generate(ctx, r, on)
}

func (g *generator) result(r diffusion.Request, result *diffusion.Result) (any, error) {
	images := []any{}
	for _, img := range result.Images {
		p, err := bridge.NewPicture(img)
		if err != nil {
			return nil, err
		}
		images = append(images, map[string]any(p))
	}
	r.Width, r.Height = result.Images[0].Rect.Dx(), result.Images[0].Rect.Dy()
	t := result.Timings
	return map[string]any{
		"images": images, "seed": result.Seed, "backend": g.backend.Name(), "device": device(g.backend), "profile": profile(g.backend), "truncated": result.Truncated,
		"parameters": result.Parameters[0],
		"notices":    texts(result.Notices), "settings": settings(r),
		"timings": map[string]any{
			"text": t.Text.Seconds() * 1e3, "denoise": t.Denoise.Seconds() * 1e3,
			"decode": t.Decode.Seconds() * 1e3, "total": t.Total.Seconds() * 1e3,
		},
	}, nil
}

// countTokens tells how long a prompt is to the text encoder:
// countTokens({prompt, promptSyntax}) → {tokens, limit}. It waits for no drawing.
func (g *generator) countTokens(_ context.Context, args bridge.Arguments) (any, error) {
	f := bridge.Fields{Object: args.At(0)}
	var prompt, syntax string
	f.Text("prompt", &prompt)
	f.Text("promptSyntax", &syntax)
	if f.Err != nil || g.pipeline == nil {
		return map[string]any{"tokens": 0, "limit": 0}, f.Err
	}
	n, limit := g.pipeline.CountTokens(prompt, syntax)
	return map[string]any{"tokens": n, "limit": limit}, nil
}

// complete brings into the store what no picture has needed so far, such as the
// image encoder.
func (g *generator) complete(ctx context.Context, _ bridge.Arguments) (any, error) {
	m := g.model.Manifest()
	var all []loader.Part
	for component := range m.Components {
		all = append(all, loader.Part{Component: component})
	}
	return nil, g.model.Prefetch(ctx, all...)
}
