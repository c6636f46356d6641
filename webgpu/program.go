package webgpu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/x448/float16"

	"wisp/engine"
)

// program is a compiled graph.
type program struct {
	backend *Backend
	graph   *engine.Graph // optimised
	weights map[string]*weight
	elem    engine.DType // of activations

	steps    []step
	pieces   []int // the step of each dispatch
	sizes    []int // of the arena's buffers
	inputs   []port
	outputs  []port
	owned    []bufferID
	checks   []check
	upload   []byte
	download []byte
	loaded   programID
	epoch    int // of the arena when it was loaded; 0 before
}

// port is where an input or output of the graph goes: the size bytes at offset
// of the program's upload or download.
type port struct {
	node         *engine.Node
	name         string
	at           view
	offset, size int
}

// Compile plans the graph. Every weight must be in weights with the shape that
// the graph declares.
func (b *Backend) Compile(g *engine.Graph, weights map[string]engine.Buffer) (engine.Program, error) {
	elem := b.elem
	if g.Precise {
		elem = engine.F32
	}
	g = engine.Optimize(g, b.Supports)
	ws, err := weightsOf(g, weights)
	if err != nil {
		return nil, fmt.Errorf("webgpu: compile: %w", err)
	}
	p := &program{backend: b, graph: g, weights: ws, elem: elem}
	if err := p.compile(); err != nil {
		p.Close()
		return nil, fmt.Errorf("webgpu: compile: %w", err)
	}
	return p, nil
}

func (p *program) compile() error {
	b := p.backend
	c := &compiler{backend: b, elem: p.elem, limits: b.limits, weights: p.weights, views: map[*engine.Node]view{}}
	err := c.lower(p.graph)
	p.owned, p.checks = c.owned, c.checks
	if err != nil {
		return err
	}
	if err := b.prepare(c.steps); err != nil {
		return err
	}
	if p.sizes, err = place(lifetimes(c.steps, c.uploads, c.downloads), b.limits.Buffer); err != nil {
		return err
	}
	p.steps = c.steps
	p.inputs, p.upload = nil, nil
	for i, n := range p.graph.Inputs() {
		p.inputs, p.upload = appendPort(p.inputs, p.upload, port{node: n, name: n.Name, at: c.uploads[i]})
	}
	p.outputs, p.download = nil, nil
	for i, o := range p.graph.Outputs {
		p.outputs, p.download = appendPort(p.outputs, p.download, port{node: o.Node, name: o.Name, at: c.downloads[i]})
	}
	return p.load()
}

func appendPort(ports []port, bytes []byte, p port) ([]port, []byte) {
	p.offset, p.size = len(bytes), p.at.size
	return append(ports, p), append(bytes, make([]byte, align(p.size, 16))...)
}

// load puts the program's buffers and bind groups on the device; it does
// nothing where they are there already.
func (p *program) load() error {
	b := p.backend
	if err := b.reserve(p.sizes); err != nil {
		return err
	}
	if p.epoch == b.epoch && p.epoch > 0 {
		return nil
	}
	p.unload()
	var s script
	p.pieces = nil
	resolve := func(v view) span {
		at := v.span()
		if !v.v.fixed {
			at.buffer = b.arena[at.buffer].id
		}
		return at
	}
	for i, st := range p.steps {
		spans := make([]span, 0, len(st.reads)+1)
		for _, r := range st.reads {
			spans = append(spans, resolve(r))
		}
		spans = append(spans, resolve(st.out))
		for _, piece := range b.slices(st) {
			s.dispatches = append(s.dispatches, b.dispatch(piece, spans, &s.uniforms))
			p.pieces = append(p.pieces, i)
		}
	}
	for _, in := range p.inputs {
		s.uploads = append(s.uploads, resolve(in.at))
	}
	for _, o := range p.outputs {
		s.downloads = append(s.downloads, resolve(o.at))
	}
	id, err := b.dev.load(&s)
	if err != nil {
		return err
	}
	p.loaded, p.epoch = id, b.epoch
	return b.dev.flush()
}

func (p *program) unload() {
	if p.epoch > 0 {
		p.backend.dev.unload(p.loaded)
		p.epoch = 0
	}
}

// longest is the estimated time in microseconds above which a dispatch is cut
// along its grid's rows, so that no submission holds up the page's frames.
const longest = 4000

// mostGroups is how many workgroups a dispatch may have in each direction.
const mostGroups = 65535

// slices cuts a step that would take long, or has more rows of workgroups than
// a dispatch may, into several.
func (b *Backend) slices(s step) []step {
	rows := s.grid[1]
	n := max(min((b.cost(s, nil)+longest-1)/longest, rows, 64), (rows+mostGroups-1)/mostGroups)
	if n <= 1 {
		return []step{s}
	}
	out := make([]step, 0, n)
	for _, r := range cut(rows, (rows+n-1)/n, 1) {
		piece := s
		piece.dims = append([]uint32{uint32(r[0])}, s.dims[1:]...)
		piece.grid[1] = r[1] - r[0]
		piece.flops = s.flops * float64(r[1]-r[0]) / float64(rows)
		out = append(out, piece)
	}
	return out
}

// Close frees what belongs to the program alone.
func (p *program) Close() error {
	p.unload()
	for _, id := range p.owned {
		p.backend.dev.free(id)
	}
	p.owned = nil
	return nil
}

// Run executes the program. A program in f16 whose result is not finite is
// compiled again in f32, for good.
func (p *program) Run(ctx context.Context, in, out map[string]engine.Tensor) error {
	if err := engine.CheckIO(p.graph, in, out); err != nil {
		return err
	}
	for _, c := range p.checks {
		if err := inRange(in[c.input], c.rows); err != nil {
			return fmt.Errorf("webgpu: run: input %q: %w", c.input, err)
		}
	}
	err := p.run(ctx, in, out)
	if errors.Is(err, errNotFinite) {
		if err = p.widen(); err == nil {
			err = p.run(ctx, in, out)
		}
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("webgpu: run: %w", err)
	}
	return err
}

// widen compiles the program anew with activations in f32.
func (p *program) widen() error {
	p.backend.info.Reason = errNotFinite.Error()
	p.Close()
	p.elem = engine.F32
	return p.compile()
}

func (p *program) run(ctx context.Context, in, out map[string]engine.Tensor) error {
	if err := p.load(); err != nil {
		return err
	}
	for _, port := range p.inputs {
		copy(p.upload[port.offset:], encode(in[port.name], p.elem))
	}
	var durations []float64
	if p.backend.profile != nil {
		durations = make([]float64, len(p.pieces))
	}
	if err := p.backend.dev.run(ctx, p.loaded, p.upload, p.download, durations); err != nil {
		return err
	}
	p.backend.record(p, durations)
	for _, port := range p.outputs {
		t, ok := out[port.name]
		if !ok {
			continue
		}
		if err := p.decode(port, t); err != nil {
			return err
		}
	}
	return nil
}

// decode copies a result to the host.
func (p *program) decode(port port, t engine.Tensor) error {
	data := p.download[port.offset : port.offset+port.size]
	if t.DType == engine.I32 || p.elem == engine.F32 {
		copy(t.Data, data)
		return nil
	}
	for i := range t.Shape.Elems() {
		h := binary.LittleEndian.Uint16(data[2*i:])
		if h&0x7c00 == 0x7c00 {
			return fmt.Errorf("output %q: %w", port.name, errNotFinite)
		}
		binary.LittleEndian.PutUint32(t.Data[4*i:], math.Float32bits(float16.Frombits(h).Float32()))
	}
	return nil
}
