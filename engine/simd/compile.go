package simd

import (
	"fmt"
	"math"

	"wisp/engine"
)

// compiler turns an optimised graph into command words.
type compiler struct {
	*program
	graph        *engine.Graph
	weights      map[string]*buffer
	plan         engine.Plan
	work         int                         // bytes of work memory behind the planned arena
	nodeWork     int                         // of them those of the node at hand
	keepWinograd bool                        // weights in that form are made once and kept
	upsampled    map[*engine.Node]upsampling // convolutions that enlarge their input on the way
	err          error                       // the first failure; later steps do nothing
}

// place is an address in a command: fixed, or an offset in the arena, which
// may move between runs.
type place struct {
	addr  int
	arena bool
}

func (p place) plus(n int) place { return place{p.addr + n, p.arena} }

// Compile plans the arena, packs the weights and writes the command list.
func (b *backend) Compile(g *engine.Graph, weights map[string]engine.Buffer) (engine.Program, error) {
	g = engine.Optimize(g, b.Supports)
	upsampled := fuseUpsample(g)
	c := &compiler{
		upsampled: upsampled,
		program:   &program{b: b, graph: g, consts: map[*engine.Node]span{}, places: map[*engine.Node]place{}},
		graph:     g, weights: map[string]*buffer{},
		plan: engine.MakePlan(g, inPlace),
	}
	if err := c.compile(weights); err != nil {
		c.program.Close()
		return nil, fmt.Errorf("simd: compile: %w", err)
	}
	return c.program, nil
}

func (c *compiler) compile(weights map[string]engine.Buffer) error {
	for _, n := range c.graph.Weights() {
		w, ok := weights[n.Name].(*buffer)
		if !ok || w.packed == nil {
			return fmt.Errorf("weight %q is missing", n.Name)
		}
		if !w.shape.Equal(n.Shape) {
			return fmt.Errorf("weight %q is %v, want %v", n.Name, w.shape, n.Shape)
		}
		c.weights[n.Name] = w
	}
	c.decideWinograd()
	last := c.lastReaders()
	for _, n := range c.graph.Nodes {
		if c.node(n); c.err != nil {
			return fmt.Errorf("%v: %w", n, c.err)
		}
		for _, w := range last[n] {
			w.trim() // at once, so that no two forms of all weights exist together
		}
	}
	for _, o := range c.graph.Outputs {
		c.places[o.Node] = c.value(o.Node)
	}
	if c.err != nil {
		return c.err
	}
	c.arenaSize = c.plan.Size + c.work
	return c.finish()
}

// lastReaders lists the weights that no node after a given one reads.
func (c *compiler) lastReaders() map[*engine.Node][]*buffer {
	reader := map[string]*engine.Node{}
	for _, n := range c.graph.Nodes {
		for _, in := range n.Inputs {
			if r := engine.Root(in); r.Op == engine.OpWeight {
				reader[r.Name] = n
			}
		}
	}
	for _, o := range c.graph.Outputs {
		delete(reader, engine.Root(o.Node).Name) // read when the outputs are placed
	}
	last := map[*engine.Node][]*buffer{}
	for name, n := range reader {
		last[n] = append(last[n], c.weights[name])
	}
	return last
}

// inPlace tells the planner which results may take over the bytes of an input:
// kernels that read an element before they write it, and nothing around it.
func inPlace(n *engine.Node, input int) bool {
	switch n.Op {
	case engine.OpAdd, engine.OpSub, engine.OpMul, engine.OpAffine, engine.OpClamp, engine.OpSoftmax:
		return true
	case engine.OpGroupNorm, engine.OpLayerNorm, engine.OpRMSNorm, engine.OpModulate:
		return input == 0
	case engine.OpConv2D, engine.OpDepthwiseConv2D, engine.OpLinear: // the residual, unless it is x as well
		e := epilogueOf(n)
		return e.Residual && input == len(n.Inputs)-1 && engine.Root(n.Inputs[0]) != engine.Root(n.Inputs[input])
	}
	return n.Op.IsActivation()
}

func epilogueOf(n *engine.Node) engine.Epilogue {
	switch a := n.Attrs.(type) {
	case engine.Conv2DAttrs:
		return a.Epilogue
	case engine.LinearAttrs:
		return a.Epilogue
	}
	return engine.Epilogue{}
}

// fail keeps the first error.
func (c *compiler) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// value is where a node's value lies, weights in f32.
func (c *compiler) value(n *engine.Node) place {
	switch r := engine.Root(n); r.Op {
	case engine.OpWeight:
		addr, err := c.weights[r.Name].floats()
		if err != nil {
			c.fail(err)
		}
		return place{addr: addr}
	case engine.OpConst:
		return place{addr: c.constant(r)}
	}
	return place{c.plan.Offsets[n], true}
}

// constant uploads a constant once.
func (c *compiler) constant(n *engine.Node) int {
	if s, ok := c.consts[n]; ok {
		return s.addr
	}
	data := n.Attrs.(engine.ConstAttrs).Value.Data
	s, err := c.b.mem.alloc(len(data))
	if err != nil {
		c.fail(err)
		return 0
	}
	c.b.host.write(s.addr, data)
	c.consts[n] = s
	return s.addr
}

// workspace reserves n bytes behind the arena for the commands of one node.
func (c *compiler) workspace(n int) place {
	at := place{c.plan.Size + c.nodeWork, true}
	c.nodeWork += roundUp(n, engine.ArenaAlign)
	c.work = max(c.work, c.nodeWork)
	return at
}

// zeros is the place of n bytes of zeros.
func (c *compiler) zeros(n int) place {
	addr, err := c.b.zeroBytes(n)
	if err != nil {
		c.fail(err)
	}
	return place{addr: addr}
}

// sliceFLOPs is the work after which a run may look at its context: some 30 ms.
const sliceFLOPs = 1 << 30

// command appends a command of some units and cost to the program, cut into
// several where it is long. An argument is an int, a float32 or a place.
func (c *compiler) command(k kernelID, units int, flops float64, args ...any) {
	pieces := min(units, 1+int(flops/sliceFLOPs))
	for i := range pieces {
		start, from, to := len(c.words), units*i/pieces, units*(i+1)/pieces
		c.words = append(c.words, uint32(k), uint32(commandHead+len(args)), uint32(from), uint32(to), shares(to-from, flops/float64(pieces)))
		for _, a := range args {
			c.words = append(c.words, c.word(a))
		}
		c.spend(start, flops/float64(pieces))
	}
}

// shares is the number of parts that threads may take a command in: enough to
// even out threads that differ in speed, but none below some 4 µs of work.
func shares(units int, flops float64) uint32 {
	return uint32(min(units, 1+int(flops/200e3), 8*maxThreads))
}

func (c *compiler) word(a any) uint32 {
	switch a := a.(type) {
	case int:
		return uint32(a)
	case float32:
		return math.Float32bits(a)
	case place:
		if a.arena {
			c.relocs = append(c.relocs, len(c.words))
		}
		return uint32(a.addr)
	}
	panic(fmt.Sprintf("simd: argument %T", a))
}

// spend adds the cost of the command at start, opening a new slice before it
// when the current one is full.
func (c *compiler) spend(start int, flops float64) {
	if c.cost > 0 && c.cost+flops > sliceFLOPs {
		c.cuts = append(c.cuts, start)
		c.cost = 0
	}
	c.cost += flops
}

// chunk is the number of elements that a unit of an elementwise op handles.
const chunk = 4096

// emitters writes the commands of each op; activations are apart.
var emitters = map[engine.Op]func(c *compiler, n *engine.Node){
	engine.OpConv2D:          (*compiler).conv2d,
	engine.OpDepthwiseConv2D: (*compiler).depthwiseConv2D,
	engine.OpFold2D:          (*compiler).fold2d,
	engine.OpLinear:          (*compiler).linear,
	engine.OpMatMul:          (*compiler).matmul,
	engine.OpAttention:       (*compiler).attention,
	engine.OpGroupNorm:       (*compiler).groupNorm,
	engine.OpLayerNorm:       (*compiler).layerNorm,
	engine.OpRMSNorm:         (*compiler).rmsNorm,
	engine.OpModulate:        (*compiler).modulate,
	engine.OpRotaryEmbedding: (*compiler).rotaryEmbedding,
	engine.OpSoftmax:         (*compiler).softmax,
	engine.OpEmbedding:       (*compiler).embedding,
	engine.OpAdd:             (*compiler).elementwise,
	engine.OpSub:             (*compiler).elementwise,
	engine.OpMul:             (*compiler).elementwise,
	engine.OpAffine: func(c *compiler, n *engine.Node) {
		a := n.Attrs.(engine.AffineAttrs)
		c.unary(kAffine, n, a.Mul, a.Add)
	},
	engine.OpClamp: func(c *compiler, n *engine.Node) {
		a := n.Attrs.(engine.ClampAttrs)
		c.unary(kClamp, n, a.Min, a.Max)
	},
	engine.OpGEGLU:      (*compiler).geglu,
	engine.OpUpsample2D: (*compiler).upsample2d,
	engine.OpConcat:     (*compiler).concat,
	engine.OpSlice:      (*compiler).slice,
	engine.OpPermute:    (*compiler).permute,
}

// hasKernel reports whether node can write the commands of an op.
func hasKernel(op engine.Op) bool {
	return emitters[op] != nil || op.IsActivation() || op.IsSource() || op == engine.OpReshape
}

// node writes the commands of one node.
func (c *compiler) node(n *engine.Node) {
	c.nodeWork = 0
	switch emit := emitters[n.Op]; {
	case emit != nil:
		emit(c, n)
	case n.Op.IsActivation():
		c.unary(kActivation, n, int(activationCode(n.Op)), 0)
	case !hasKernel(n.Op):
		c.fail(fmt.Errorf("no kernel: %w", engine.ErrUnsupported))
	}
}

// eachRow emits a command whose units are the rows of n, the first arguments x,
// out and the length of a row.
func (c *compiler) eachRow(k kernelID, n *engine.Node, cost int, args ...any) {
	d := n.Shape.Dim(-1)
	c.command(k, n.Elems()/d, float64(cost*n.Elems()), append([]any{c.value(n.Inputs[0]), c.value(n), d}, args...)...)
}
