package webgpu

import (
	"fmt"
	"math"

	"wisp/engine"
)

// step is one dispatch before its operands have a place.
type step struct {
	kernel    string       // the file in shaders
	elem      engine.DType // of its activations
	constants constants
	dims      []uint32 // the kernel's Dims; the first is the first row of workgroups
	reads     []view
	out       view
	grid      [3]int
	flops     float64
	node      string // for errors and profiles
}

// constants are the overrides of a kernel that differ from its defaults.
type constants map[string]float64

// u makes dims of counts.
func u(values ...int) []uint32 {
	out := make([]uint32, len(values))
	for i, v := range values {
		out[i] = uint32(int32(v))
	}
	return out
}

// f appends numbers to dims.
func f(dims []uint32, values ...float32) []uint32 {
	for _, v := range values {
		dims = append(dims, math.Float32bits(v))
	}
	return dims
}

// flat is the grid of a kernel of 256 invocations, one an element.
func flat(count int) [3]int { return rowsOf((count + 255) / 256) }

// rowsOf folds a line of workgroups, as many kernels count them.
func rowsOf(groups int) [3]int {
	const width = 32768
	return [3]int{min(groups, width), (groups + width - 1) / width, 1}
}

// compiler turns a graph into steps.
type compiler struct {
	backend *Backend
	elem    engine.DType // of activations: F32 or F16
	limits  Limits
	weights map[string]*weight

	views     map[*engine.Node]view
	upsampled map[*engine.Node]bool // folded into the convolution that reads them
	fusions   map[*engine.Node]fused
	inside    map[*engine.Node]bool         // of fusions: computed with them
	addends   map[*engine.Node]*engine.Node // a row an image, of convolutions
	gated     map[*engine.Node]bool         // linear layers that end in GEGLU
	steps     []step
	uploads   []view
	downloads []view
	owned     []bufferID // constants
	checks    []check
}

// check is an input whose indices must lie below rows.
type check struct {
	input string
	rows  int
}

// lower fills the compiler with the steps of g.
func (c *compiler) lower(g *engine.Graph) error {
	c.upsampled = foldable(g)
	c.fuse(g)
	for _, n := range g.Nodes {
		if err := c.node(n); err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
	}
	for _, o := range g.Outputs {
		v, err := c.read(o.Node)
		if err != nil {
			return fmt.Errorf("output %s: %w", o.Name, err)
		}
		c.downloads = append(c.downloads, v)
	}
	return nil
}

// foldable finds the nearest-neighbour enlargements by a whole factor that a
// convolution alone reads: it does their work as it gathers its pixels.
func foldable(g *engine.Graph) map[*engine.Node]bool {
	uses := usesOf(g)
	fold := map[*engine.Node]bool{}
	for _, n := range g.Nodes {
		if n.Op != engine.OpConv2D || n.Inputs[0].Op != engine.OpUpsample2D || uses[n.Inputs[0]] != 1 {
			continue
		}
		to, from := n.Inputs[0].Shape, n.Inputs[0].Inputs[0].Shape
		if to[1]%from[1] == 0 && to[2]%from[2] == 0 && to[1]/from[1] == to[2]/from[2] {
			fold[n.Inputs[0]] = true
		}
	}
	return fold
}

// node adds the steps of one node.
func (c *compiler) node(n *engine.Node) error {
	switch {
	case n.Op == engine.OpInput:
		v := c.fresh(n)
		c.views[n] = v
		c.uploads = append(c.uploads, v)
		return nil
	case n.Op == engine.OpWeight || c.upsampled[n] || c.inside[n]:
		return nil
	case n.Op == engine.OpConst:
		return c.constant(n)
	case n.Op == engine.OpReshape:
		if engine.Root(n).Op == engine.OpWeight {
			return nil
		}
		c.views[n] = c.views[n.Inputs[0]]
		return nil
	}
	c.views[n] = c.fresh(n)
	first := len(c.steps)
	emit, err := c.kernel(n)
	if err != nil {
		return err
	}
	if err := emit(c, n); err != nil {
		return err
	}
	for i := range c.steps[first:] {
		c.steps[first+i].node = n.String()
	}
	return nil
}

// kernel chooses how a node is computed.
func (c *compiler) kernel(n *engine.Node) (emit func(c *compiler, n *engine.Node) error, err error) {
	if f, ok := c.fusions[n]; ok {
		return f.emit, nil
	}
	for _, k := range kernels {
		if k.op == n.Op && (k.when == nil || k.when(c, n)) {
			return k.emit, nil
		}
	}
	return nil, fmt.Errorf("no kernel: %w", engine.ErrUnsupported)
}

// fresh is a new value for the node's result.
func (c *compiler) fresh(n *engine.Node) view { return c.scratch(n.Elems() * c.size(n)) }

// size is the size of the node's elements in bytes.
func (c *compiler) size(n *engine.Node) int {
	if n.DType == engine.I32 {
		return 4
	}
	return elemSize(c.elem)
}

// scratch is a new value of so many bytes.
func (c *compiler) scratch(bytes int) view {
	bytes = align(bytes, 16)
	return view{&value{size: bytes}, 0, bytes}
}

func (c *compiler) constant(n *engine.Node) error {
	t := n.Attrs.(engine.ConstAttrs).Value
	data := padded(encode(t, c.elem), 16)
	id, err := c.backend.dev.alloc(len(data))
	if err != nil {
		return err
	}
	c.owned = append(c.owned, id)
	c.views[n] = fixed(span{id, 0, len(data)})
	return c.backend.dev.write(id, 0, data)
}

func fixed(s span) view { return view{&value{size: s.size, fixed: true, at: s}, 0, s.size} }

// read is the node's value as elements.
func (c *compiler) read(n *engine.Node) (view, error) {
	root := engine.Root(n)
	if root.Op != engine.OpWeight {
		return c.views[n], nil
	}
	s, err := c.backend.asElements(c.weights[root.Name], c.elem)
	return fixed(s), err
}

// vector is a one-dimensional weight, which is f32 on the device. Where a
// network computes it in f16, it is converted.
func (c *compiler) vector(n *engine.Node) (view, error) {
	root := engine.Root(n)
	if root.Op == engine.OpWeight && len(c.weights[root.Name].shape) < 2 {
		p := c.weights[root.Name].parts[0]
		return fixed(span{p.data, 0, p.dataSize}), nil
	}
	v, err := c.read(n)
	if err != nil || c.elem == engine.F32 {
		return v, err
	}
	out := c.scratch(4 * n.Elems())
	return out, c.addAs(engine.F32, step{
		kernel:    "unpack",
		constants: constants{"weights": code[engine.F16]},
		dims:      u(0, n.Elems(), n.Elems(), (n.Elems()+1)/2, 0, 1, n.Elems(), 0),
		reads:     []view{v, v},
		out:       out,
		grid:      flat(n.Elems()),
	})
}

// matrix is a weight as stored, or nil where the node is not one.
func (c *compiler) matrix(n *engine.Node) *weight {
	if n.Op != engine.OpWeight {
		return nil
	}
	return c.weights[n.Name]
}

// add appends a step on the program's activations.
func (c *compiler) add(s step) error { return c.addAs(c.elem, s) }

// addAs appends a step after checking its operands against the device's limits.
func (c *compiler) addAs(elem engine.DType, s step) error {
	s.elem = elem
	for _, v := range append(s.reads[:len(s.reads):len(s.reads)], s.out) {
		if v.size > c.limits.Binding {
			return fmt.Errorf("%s binds %d MiB, the device allows %d: %w", s.kernel, v.size>>20, c.limits.Binding>>20, engine.ErrOutOfMemory)
		}
		if v.offset%bindAlign != 0 {
			return fmt.Errorf("%s cannot be cut into the device's bindings: %w", s.kernel, engine.ErrOutOfMemory)
		}
	}
	if s.grid[0] > mostGroups || s.grid[2] > mostGroups { // rows are cut, see slices
		return fmt.Errorf("%s needs a grid of %v: %w", s.kernel, s.grid, engine.ErrOutOfMemory)
	}
	c.steps = append(c.steps, s)
	return nil
}
