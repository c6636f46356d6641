package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/hack-pad/safejs"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/engine/simd"
	"wisp/loader"
)

// database is the name of the IndexedDB database that keeps chunks.
const database = "wisp"

// parts is what a pipeline loads of a model: the image encoder stays behind.
var parts = []loader.Part{
	{Component: "text_encoder"}, {Component: "unet"},
	{Component: "vae", Prefixes: []string{"decoder.", "post_quant_conv."}},
}

// open fetches the manifest of the model that an address names.
func open(ctx context.Context, address string, o loader.Options) (*loader.Model, error) {
	store, err := loader.OpenIndexedDB(ctx, database)
	if err != nil && o.OnWarning != nil {
		o.OnWarning(err)
	}
	o.Parts = parts
	if err != nil {
		return openWith(ctx, address, nil, o)
	}
	return openWith(ctx, address, store, o)
}

func openWith(ctx context.Context, address string, store loader.Store, o loader.Options) (*loader.Model, error) {
	source, err := loader.NewFetch(address, store != nil)
	if err != nil {
		return nil, err
	}
	return loader.Open(ctx, source, store, o)
}

// newBackend starts the backend of that name; "auto" takes the best there is.
func newBackend(name string) (engine.Backend, error) {
	switch name {
	case "", "auto", "simd":
		return simd.New(simd.Options{})
	case "cpu":
		return cpu.New(), nil
	case "webgpu":
		return nil, fmt.Errorf("%w: this build has no WebGPU backend; use \"auto\" or \"simd\"", engine.ErrUnsupported)
	}
	return nil, fmt.Errorf("%w: backend %q is not one of auto, simd, cpu", diffusion.ErrBadRequest, name)
}

// capabilities tells, before any weights are downloaded, what would run.
func capabilities(ctx context.Context, args arguments) (any, error) {
	address, err := args.at(0).String()
	if err != nil {
		return nil, fmt.Errorf("%w: the model's address is not a string", diffusion.ErrBadRequest)
	}
	result := object{"runs": true, "backend": "simd", "threads": 1, "reason": ""}
	if b, err := newBackend("auto"); err != nil {
		result["runs"], result["backend"], result["reason"] = false, "", err.Error()
	} else {
		b.Close()
	}
	m, err := open(ctx, address, loader.Options{ManifestOnly: true})
	if err != nil {
		return nil, err
	}
	cached, total, err := m.Cached(ctx)
	if err != nil {
		return nil, err
	}
	result["cachedBytes"], result["downloadBytes"] = cached, total-cached
	result["peakBytes"] = peakBytes(m.Manifest())
	return map[string]any(result), nil
}

// peakBytes estimates the memory of a loaded model: its weights as f32, and as
// much again as the largest component for activations and loading.
func peakBytes(m *loader.Manifest) int64 {
	sums := map[string]int64{}
	for _, t := range m.Tensors {
		n := int64(4)
		for _, d := range t.Shape {
			n *= int64(d)
		}
		sums[t.Component] += n
	}
	var total, largest int64
	for _, n := range sums {
		total += n
		largest = max(largest, n)
	}
	return total + largest
}

// generator is a pipeline with its backend. It lives as long as the worker,
// which is how the page disposes of it. Calls of generate take turns.
type generator struct {
	backend  engine.Backend
	pipeline *diffusion.Pipeline
	yield    func() // lets messages in

	turn   sync.Mutex
	mu     sync.Mutex
	cancel context.CancelFunc // of the generate under way; nil without
}

// create loads a model: create({model, backend}, onEvent).
func create(ctx context.Context, args arguments) (any, error) {
	var address, name string
	f := fields{object: args.at(0)}
	f.text("model", &address)
	f.text("backend", &name)
	if f.err != nil {
		return nil, f.err
	}
	tell := args.callback(1)
	progress := func(stage string, loaded, total int64) {
		tell(object{"type": "progress", "stage": stage, "loaded": loaded, "total": total})
	}
	backend, err := newBackend(name)
	if err != nil {
		return nil, err
	}
	m, err := open(ctx, address, loader.Options{
		OnProgress: progress,
		OnWarning:  func(err error) { tell(object{"type": "warning", "message": err.Error()}) },
	})
	if err == nil {
		var p *diffusion.Pipeline
		if p, err = diffusion.New(ctx, backend, m, progress); err == nil {
			return (&generator{backend: backend, pipeline: p, yield: newYield()}).value(m), nil
		}
	}
	backend.Close()
	return nil, err
}

// value is the generator as JavaScript sees it.
func (g *generator) value(m *loader.Model) any {
	stop := func(safejs.Value, []safejs.Value) any {
		g.stop()
		return nil
	}
	d := g.pipeline.Defaults()
	samplers := []any{}
	for _, s := range g.pipeline.Samplers() {
		samplers = append(samplers, map[string]any{"name": s.Name, "label": s.Label})
	}
	settings, _ := m.Config("wisp")
	return map[string]any{
		"generate": promising(g.generate), "cancel": must(safejs.FuncOf(stop)),
		"backend": g.backend.Name(), "name": m.Manifest().Name, "licence": m.Manifest().Licence,
		"samplers": samplers, "settings": string(settings),
		"defaults": map[string]any{"steps": d.Steps, "guidance": d.Guidance, "width": d.Width, "height": d.Height},
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
func (g *generator) generate(ctx context.Context, args arguments) (any, error) {
	ctx, end := g.begin(ctx)
	defer end()
	r, err := readRequest(args.at(0), g.pipeline.Defaults())
	if err != nil {
		return nil, err
	}
	tell := args.callback(1)
	result, err := g.pipeline.Generate(ctx, r, func(e diffusion.Event) {
		o := object{"stage": e.Stage, "step": e.Step, "steps": e.Steps, "preview": nil}
		if e.Preview != nil {
			if preview, err := picture(e.Preview); err == nil {
				o["preview"] = map[string]any(preview)
			}
		}
		tell(o)
		g.yield()
	})
	if err != nil {
		return nil, err
	}
	return g.result(r, result)
}

func (g *generator) result(r diffusion.Request, result *diffusion.Result) (any, error) {
	images := []any{}
	for _, img := range result.Images {
		p, err := picture(img)
		if err != nil {
			return nil, err
		}
		images = append(images, map[string]any(p))
	}
	t := result.Timings
	return map[string]any{
		"images": images, "seed": result.Seed, "backend": g.backend.Name(), "truncated": result.Truncated,
		"parameters": result.Parameters,
		"settings": map[string]any{
			"prompt": r.Prompt, "negativePrompt": r.NegativePrompt, "seed": r.Seed, "steps": r.Steps, "guidance": r.Guidance,
			"sampler": r.Sampler, "schedule": r.Schedule, "width": r.Width, "height": r.Height, "count": r.Count,
		},
		"timings": map[string]any{
			"text": t.Text.Seconds() * 1e3, "denoise": t.Denoise.Seconds() * 1e3,
			"decode": t.Decode.Seconds() * 1e3, "total": t.Total.Seconds() * 1e3,
		},
	}, nil
}
