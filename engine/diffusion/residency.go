package diffusion

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"wisp/engine"
)

// residency decides which weights are on the backend: all that were needed, or
// where there is a budget, those used last that fit into it. One component is
// always there, however large.
type residency struct {
	backend   engine.Backend
	model     Model
	budget    int64 // in bytes of weights; 0 for no bound
	stages    bool  // what is larger than the budget runs by stages
	workspace int64 // in bytes of an autoencoder's values
	nets      map[string]*resident
	clock     int // ticks with every use
	programs  programCache
	tiles     map[programKey]Tile
	worn      []worn      // adapters that the networks wear
	on        func(Event) // hears of loading and compiling; never nil
}

// resident is a network with its weights on the backend.
type resident struct {
	Net
	weights map[string]engine.Buffer // nil before they are loaded
	host    map[string][]float32     // those of Host
	adapted map[string]engine.Buffer // weights of adapters
	precise bool                     // f16 was too narrow for it
	bytes   int64                    // of the weights
	used    int                      // the clock at the last use
	shelf   *shelf                   // where its weights are, if it runs by stages
}

// program is a compiled network with the shapes of what it gives.
type program struct {
	engine.Program
	outputs map[string]engine.Shape
}

// programKey names a program: one network at one size.
type programKey struct {
	net  string
	size Size
	worn string // ids of adapters
}

func newResidency(b engine.Backend, m Model, nets []Net) *residency {
	r := &residency{backend: b, model: m, workspace: defaultWorkspace, nets: map[string]*resident{}, tiles: map[programKey]Tile{}, on: func(Event) {}}
	for _, n := range nets {
		r.nets[n.name()] = &resident{Net: n}
	}
	return r
}

// Run implements [Runner].
func (r *residency) Run(ctx context.Context, net string, s Size, in Inputs) (Inputs, error) {
	n, ok := r.nets[net]
	if !ok {
		return nil, fmt.Errorf("the pipeline has no %s", net)
	}
	t, err := r.tile(n, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", net, err)
	}
	if t.In != 0 {
		return r.runTiles(ctx, n, s, t, in)
	}
	return r.runWhole(ctx, n, s, in)
}

// runWhole runs a network. Where its values leave the range of f16, it is
// compiled again, in f32, once and for all.
func (r *residency) runWhole(ctx context.Context, n *resident, s Size, in Inputs) (Inputs, error) {
	out, err := r.runOnce(ctx, n, s, in)
	if b, ok := r.backend.(engine.Rounder); ok && b.Rounds() && !n.precise && errors.Is(err, errNotFinite) {
		n.precise = true
		r.programs.drop(func(k programKey) bool { return k.net == n.name() })
		return r.runOnce(ctx, n, s, in)
	}
	return out, err
}

func (r *residency) runOnce(ctx context.Context, n *resident, s Size, in Inputs) (Inputs, error) {
	net := n.name()
	p, err := r.program(ctx, n, s)
	if err != nil {
		return nil, err
	}
	if n.Derive != nil {
		in = maps.Clone(in)
		n.Derive(n.host, in)
	}
	out := Inputs{}
	for name, shape := range p.outputs {
		out[name] = engine.NewTensor(engine.F32, shape...)
	}
	if err := p.Run(ctx, r.strengths(net, in), out); err != nil {
		return nil, fmt.Errorf("%s: %w", net, err)
	}
	for name, t := range out {
		if err := finite(t); err != nil {
			return nil, fmt.Errorf("%w: %s: %s %w", ErrBadModel, net, name, err)
		}
	}
	return out, nil
}

// program returns the compiled network, loading and compiling what is not there.
func (r *residency) program(ctx context.Context, n *resident, s Size) (program, error) {
	net := n.name()
	r.clock++
	n.used = r.clock
	key := programKey{net, s, r.ids(n.Component)}
	if p, ok := r.programs.get(key); ok {
		return p, nil
	}
	g, err := n.Graph(s)
	if err != nil {
		return program{}, fmt.Errorf("%s: %w", net, err)
	}
	g.Precise = g.Precise || n.precise
	if n.shelf = r.shelf(n, g); n.shelf != nil {
		r.programs.drop(func(k programKey) bool { return k.net == net }) // which hold stages, too
		g.Precise = g.Precise || n.precise
		if err := r.load(ctx, n, &engine.Graph{}); err != nil { // those of Host
			r.evict(n)
			return program{}, fmt.Errorf("%s: %w", net, err)
		}
	} else if !n.holds(g) {
		if err := r.load(ctx, n, g); err != nil {
			r.evict(n) // what there is of it
			return program{}, fmt.Errorf("%s: %w", net, err)
		}
	}
	compiled, err := r.compile(n, g)
	if err != nil {
		return program{}, fmt.Errorf("%s: %w", net, err)
	}
	p := program{compiled, map[string]engine.Shape{}}
	for _, o := range g.Outputs {
		p.outputs[o.Name] = o.Node.Shape
	}
	r.programs.put(key, p)
	return p, nil
}

// errNoWeight tells of a model that lacks one.
var errNoWeight = errors.New("it has no weight")

// holds tells whether all weights of the graph are there. A network may take
// one at some sizes only.
func (n *resident) holds(g *engine.Graph) bool {
	return n.weights != nil && !slices.ContainsFunc(g.Weights(), func(w *engine.Node) bool { return n.weights[w.Name] == nil })
}

// prepare loads and compiles a network for a request.
func (r *residency) prepare(ctx context.Context, net Net, q Request) error {
	n := r.nets[net.name()]
	s, err := r.first(n, n.Size(q))
	if err == nil {
		_, err = r.program(ctx, n, s)
	}
	return err
}

// load has the weights that the graph needs written to the backend, in place
// of others where the budget is short.
func (r *residency) load(ctx context.Context, n *resident, g *engine.Graph) error {
	need := needed(g)
	for name := range n.weights {
		delete(need, name) // it is there
	}
	if n.weights == nil {
		n.weights = map[string]engine.Buffer{}
	}
	told, got := -1, map[string]bool{}
	err := r.stream(ctx, n, n.Prefixes, need, func(name string, b engine.Buffer) {
		if twice := n.weights[name]; twice != nil {
			n.bytes -= int64(twice.Size())
			twice.Release()
		}
		n.weights[name] = b
		got[name] = true
		if percent := 100 * len(got) / len(need); percent > told {
			told = percent
			r.on(Event{Stage: "load", Done: len(got), Total: len(need)})
		}
	})
	if err != nil {
		return err
	}
	for name := range need {
		if n.weights[name] == nil {
			return fmt.Errorf("%w: %w %q", ErrBadModel, errNoWeight, name)
		}
	}
	for _, name := range n.Host {
		if n.host[name] == nil {
			return fmt.Errorf("%w: %w %q", ErrBadModel, errNoWeight, name)
		}
	}
	return nil
}

// needed are the weights of a graph by their names.
func needed(g *engine.Graph) map[string]*engine.Node {
	need := map[string]*engine.Node{}
	for _, w := range g.Weights() {
		need[w.Name] = w
	}
	return need
}

// stream has weights whose names begin with one of the prefixes written to the
// backend, those that are needed, and keeps those of Host.
func (r *residency) stream(ctx context.Context, n *resident, prefixes []string, need map[string]*engine.Node, put func(name string, b engine.Buffer)) error {
	from := n.From
	if from == nil {
		from = r.model
	}
	return from.Stream(ctx, n.Component, prefixes, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
		name = plainName(name)
		w := need[name]
		if slices.Contains(n.Host, name) {
			return n.keep(name, dtype, shape, fill)
		}
		if w == nil {
			return nil
		}
		d, err := engine.ParseDType(dtype)
		if slices.Contains(n.Middle, name) && isMiddle(shape, w.Shape) && !quantised(d) {
			shape, fill = w.Shape, middle(d, shape, w.Shape, fill)
		}
		if err != nil || d == engine.I32 || !w.Shape.Equal(shape) {
			return fmt.Errorf("%w: weight %q is %s %v, the config wants numbers %v", ErrBadModel, name, dtype, shape, w.Shape)
		}
		r.makeRoom(n, int64(engine.ByteSize(d, w.Shape)))
		b, err := engine.Stream(r.backend, d, shape, fill)
		if err != nil {
			return err
		}
		n.bytes += int64(b.Size())
		put(name, b)
		return nil
	})
}

// makeRoom evicts networks other than n, the one used longest ago first, until
// so many more bytes fit into the budget or n is alone.
func (r *residency) makeRoom(n *resident, more int64) {
	if r.budget == 0 {
		return
	}
	for {
		var oldest *resident
		held := more
		for _, other := range r.nets {
			held += other.bytes
			if other != n && other.weights != nil && (oldest == nil || other.used < oldest.used) {
				oldest = other
			}
		}
		if oldest == nil || held <= r.budget {
			return
		}
		r.evict(oldest)
	}
}

// evict frees a network's programs and weights.
func (r *residency) evict(n *resident) {
	r.programs.drop(func(k programKey) bool { return k.net == n.name() })
	for _, weights := range []map[string]engine.Buffer{n.weights, n.adapted} {
		for _, w := range weights {
			w.Release()
		}
	}
	n.weights, n.adapted, n.host, n.bytes = nil, nil, nil, 0
}

func (r *residency) close() {
	for _, n := range r.nets {
		r.evict(n)
	}
}

// plainName is a weight's name as the graphs have it: transformers nests text
// encoders in one class and not in another.
func plainName(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "text_model."), "model.")
}

// programCache keeps the programs used last.
type programCache struct{ entries list.List } // of cacheEntry, newest first

type cacheEntry struct {
	key  programKey
	prog program
}

// cachedPrograms is enough for the text encoders and, at two sizes, a denoiser
// with and without guidance and a decoder.
const cachedPrograms = 9

func (c *programCache) get(key programKey) (program, bool) {
	for e := c.entries.Front(); e != nil; e = e.Next() {
		if entry := e.Value.(cacheEntry); entry.key == key {
			c.entries.MoveToFront(e)
			return entry.prog, true
		}
	}
	return program{}, false
}

func (c *programCache) put(key programKey, p program) {
	c.entries.PushFront(cacheEntry{key, p})
	for c.entries.Len() > cachedPrograms {
		c.remove(c.entries.Back())
	}
}

// drop closes the programs whose keys which picks.
func (c *programCache) drop(which func(programKey) bool) {
	for e := c.entries.Front(); e != nil; {
		next := e.Next()
		if which(e.Value.(cacheEntry).key) {
			c.remove(e)
		}
		e = next
	}
}

func (c *programCache) remove(e *list.Element) { c.entries.Remove(e).(cacheEntry).prog.Close() }
