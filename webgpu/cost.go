package webgpu

import (
	"context"
	"fmt"

	"wisp/engine"
)

// Cost is what a run of a graph takes, counted without a device.
type Cost struct {
	Steps     []StepCost
	Pipelines int // to be compiled
	Largest   int // bytes of the largest binding
	Arena     int // bytes for activations
	Weights   int // bytes of the weights
}

// StepCost is one dispatch: its arithmetic, two for a multiply-add, and the
// bytes that its operands and its result span.
type StepCost struct {
	Kernel, Node string
	FLOPs        float64
	Bytes        int
}

// Totals adds up the dispatches.
func (c Cost) Totals() (flops float64, bytes int) {
	for _, s := range c.Steps {
		flops, bytes = flops+s.FLOPs, bytes+s.Bytes
	}
	return flops, bytes
}

// Roofline is the least time in seconds that the dispatches take, one after
// the other, on a device of so many operations and bytes a second.
func (c Cost) Roofline(flops, bandwidth float64) (seconds float64) {
	for _, s := range c.Steps {
		seconds += max(s.FLOPs/flops, float64(s.Bytes)/bandwidth)
	}
	return seconds
}

// Count plans a graph whose matrices are stored as matrices, with activations
// as elem, F32 or F16, under the limits. Nothing is computed.
func Count(g *engine.Graph, matrices, elem engine.DType, limits Limits) (Cost, error) {
	b := newBackend(&counter{limits: limits})
	b.elem = elem
	g = engine.Optimize(g, b.Supports)
	weights := map[string]*weight{}
	var cost Cost
	for _, n := range g.Weights() {
		w, err := weightless(n.Shape, matrices, b)
		if err != nil {
			return Cost{}, fmt.Errorf("webgpu: count %v: %w", n, err)
		}
		weights[n.Name] = w
		cost.Weights += w.size
	}
	p := &program{backend: b, graph: g, weights: weights, elem: elem}
	if err := p.compile(); err != nil {
		return Cost{}, fmt.Errorf("webgpu: count: %w", err)
	}
	cost.Pipelines = len(b.pipelines)
	for _, s := range p.sizes {
		cost.Arena += s
	}
	for _, s := range p.steps {
		cost.Steps = append(cost.Steps, StepCost{Kernel: s.kernel, Node: s.node, FLOPs: s.flops, Bytes: s.bytes()})
		cost.Largest = max(cost.Largest, s.out.size)
		for _, v := range s.reads {
			cost.Largest = max(cost.Largest, v.size)
		}
	}
	return cost, nil
}

// weightless is the plan of a weight without its bytes.
func weightless(shape engine.Shape, matrices engine.DType, b *Backend) (*weight, error) {
	w := &weight{dev: b.dev, dtype: matrices, shape: shape, plain: map[engine.DType]bufferID{}}
	if len(shape) < 2 {
		w.dtype, w.stride = engine.F32, align(4*shape.Elems(), 16)
		return w, w.add(part{rows: 1}, nil, span{}, span{})
	}
	parts, _, err := w.layout(b.limits)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		var scales span
		if w.quantised() {
			scales.size = 2 * p.rows * w.blocks()
		}
		if err := w.add(p, nothing{}, span{}, scales); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// nothing is a source without bytes.
type nothing struct{}

func (nothing) send(bufferID, int, int) error { return nil }

// counter is a device that does nothing but number its buffers.
type counter struct {
	limits  Limits
	buffers bufferID
}

func (c *counter) alloc(int) (bufferID, error) {
	c.buffers++
	return c.buffers, nil
}

func (c *counter) adapter() Adapter                                 { return Adapter{Limits: c.limits} }
func (*counter) free(bufferID)                                      {}
func (c *counter) stage(size int) (staging, error)                  { return hostBytes{c, make([]byte, size)}, nil }
func (*counter) write(bufferID, int, []byte) error                  { return nil }
func (*counter) flush() error                                       { return nil }
func (*counter) drain() error                                       { return nil }
func (*counter) once(*script) error                                 { return nil }
func (*counter) load(*script) (programID, error)                    { return 0, nil }
func (*counter) unload(programID)                                   {}
func (*counter) close() error                                       { return nil }
func (*counter) compile(map[string]string, []pipeline) (int, error) { return 0, nil }
func (*counter) run(context.Context, programID, []byte, []byte, []float64) error {
	return nil
}
