// Package cpu is the reference backend: each op in plain Go loops, in the
// order of its formula, one op to a file. It is the oracle that every other
// backend is held against, so it is written to be read, not to be fast.
package cpu

import (
	"context"
	"fmt"

	"wisp/engine"
)

// New returns the reference backend.
func New() engine.Backend { return backend{} }

// Plain returns the reference backend without composite and fused ops: all is
// computed as the primitives that it stands for.
func Plain() engine.Backend { return backend{plain: true} }

type backend struct{ plain bool }

func (backend) Name() string { return "cpu" }
func (backend) Close() error { return nil }

// Overlaps: weights and values are Go's.
func (backend) Overlaps() bool { return true }

// Supports takes every op that has a kernel here, and every fused form.
func (b backend) Supports(n *engine.Node) bool {
	if b.plain && !engine.Primitive(n) {
		return false
	}
	return kernels[n.Op] != nil || n.Op.IsActivation() || n.Op.IsSource() || n.Op == engine.OpReshape || n.Op == engine.OpEmbedding
}

type buffer struct {
	shape  engine.Shape
	values []float32
}

func (b *buffer) Size() int { return 4 * len(b.values) }
func (b *buffer) Release()  { b.values = nil }

// Upload converts the weight to f32.
func (backend) Upload(t engine.Tensor) (engine.Buffer, error) {
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("cpu: upload: %w", err)
	}
	return &buffer{t.Shape, t.Float32s()}, nil
}

type program struct {
	graph   *engine.Graph
	weights map[string]*buffer
}

// Compile checks that every weight is there; the graph itself is the program.
func (b backend) Compile(g *engine.Graph, weights map[string]engine.Buffer) (engine.Program, error) {
	p := &program{engine.Optimize(g, b.Supports), map[string]*buffer{}}
	for _, n := range p.graph.Weights() {
		w, ok := weights[n.Name].(*buffer)
		if !ok {
			return nil, fmt.Errorf("cpu: compile: weight %q is missing", n.Name)
		}
		if !w.shape.Equal(n.Shape) {
			return nil, fmt.Errorf("cpu: compile: weight %q is %v, want %v", n.Name, w.shape, n.Shape)
		}
		p.weights[n.Name] = w
	}
	return p, nil
}

func (p *program) Close() error { return nil }

// array is a value during a run: f32 elements, or i32 for indices.
type array struct {
	shape engine.Shape
	f     []float32
	i     []int32
}

// Run evaluates the nodes in order.
func (p *program) Run(ctx context.Context, in, out map[string]engine.Tensor) error {
	if err := engine.CheckIO(p.graph, in, out); err != nil {
		return err
	}
	values := map[*engine.Node]array{}
	for _, n := range p.graph.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := p.eval(n, in, values)
		if err != nil {
			return fmt.Errorf("cpu: run %v: %w", n, err)
		}
		v.shape = n.Shape
		values[n] = v
	}
	for _, o := range p.graph.Outputs {
		if t, ok := out[o.Name]; ok {
			t.PutFloat32s(values[o.Node].f)
		}
	}
	return nil
}

func (p *program) eval(n *engine.Node, in map[string]engine.Tensor, values map[*engine.Node]array) (array, error) {
	args := make([]array, len(n.Inputs))
	for i, x := range n.Inputs {
		args[i] = values[x]
	}
	switch n.Op {
	case engine.OpInput:
		return hostArray(in[n.Name]), nil
	case engine.OpConst:
		return hostArray(n.Attrs.(engine.ConstAttrs).Value), nil
	case engine.OpWeight:
		return array{f: p.weights[n.Name].values}, nil
	case engine.OpReshape:
		return args[0], nil
	case engine.OpEmbedding:
		return embedding(args[0], args[1])
	}
	out := make([]float32, n.Elems())
	kernel(n, args, out)
	return array{f: out}, nil
}

func hostArray(t engine.Tensor) array {
	if t.DType == engine.I32 {
		return array{shape: t.Shape, i: t.Int32s()}
	}
	return array{shape: t.Shape, f: t.Float32s()}
}

// kernels computes each op into out; activations are apart.
var kernels = map[engine.Op]func(n *engine.Node, args []array, out []float32){
	engine.OpConv2D:          conv2d,
	engine.OpDepthwiseConv2D: depthwiseConv2D,
	engine.OpFold2D:          fold2d,
	engine.OpLinear:          linear,
	engine.OpMatMul:          matmul,
	engine.OpGroupNorm:       groupNorm,
	engine.OpLayerNorm:       layerNorm,
	engine.OpSoftmax:         softmax,
	engine.OpAdd:             elementwise,
	engine.OpSub:             elementwise,
	engine.OpMul:             elementwise,
	engine.OpAffine:          affine,
	engine.OpClamp:           clamp,
	engine.OpUpsample2D:      upsample2d,
	engine.OpConcat:          concat,
	engine.OpSlice:           slice,
	engine.OpPermute:         permute,
	engine.OpAttention:       attention,
	engine.OpGEGLU:           geglu,
	engine.OpRMSNorm:         rmsNorm,
	engine.OpModulate:        modulate,
	engine.OpRotaryEmbedding: rotaryEmbedding,
}

// kernel computes one op into out.
func kernel(n *engine.Node, args []array, out []float32) {
	if k := kernels[n.Op]; k != nil {
		k(n, args, out)
		return
	}
	act := activation(n.Op)
	for i, x := range args[0].f {
		out[i] = act(x)
	}
}
