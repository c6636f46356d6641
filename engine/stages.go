package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Shelf is where the weights of a program lie that has not room for all of them
// on its backend.
type Shelf interface {
	// Size is how many bytes a weight takes on the backend.
	Size(weight string) int64
	// Take brings weights onto the backend.
	Take(ctx context.Context, names []string) (map[string]Buffer, error)
	// Leave gives up what Take brought.
	Leave(weights map[string]Buffer)
}

// CompileStages compiles g to run stage by stage: at most budget bytes of
// weights are on the backend at a time, or those of one node where they alone
// are more. Stages are cut where the fewest values cross, such as between the
// blocks of a transformer; what crosses goes through host memory, and results
// are those of Compile. As many stages as fit stay on the backend from one run
// to the next, so that only the rest is brought anew, on an [Overlapping]
// backend while the stages before run; those of that rest are compiled at every
// run, since programs are made with their weights.
func CompileStages(b Backend, g *Graph, budget int64, shelf Shelf) (Program, error) {
	g = rewrite(g, func(_, n *Node) *Node { return n }) // without what no output needs
	c := newCutter(g, shelf)
	o, _ := b.(Overlapping)
	p := &stagedProgram{backend: b, graph: g, shelf: shelf, ahead: o != nil && o.Overlaps() && 2*c.heaviest <= budget}
	slot, slots := max(budget/4, c.heaviest), int64(1)
	if p.ahead { // one slot is read while the other runs
		slot, slots = max(budget/8, c.heaviest), 2
	}
	for _, r := range c.ranges(slot) {
		s, err := c.stage(r)
		if err != nil {
			return nil, err
		}
		p.stages = append(p.stages, s)
	}
	keep(p.stages, budget-slots*slot)
	return p, nil
}

// keep chooses the stages that stay on the backend, of so many bytes together:
// evenly among the others, so that there is work while those are read.
func keep(stages []*stage, left int64) {
	var total, due, kept float64
	for _, s := range stages {
		total += float64(s.bytes)
	}
	share := max(float64(left), 0) / total
	for _, fill := range []bool{false, true} {
		for _, s := range stages {
			due += float64(s.bytes) * share
			if !s.stays && s.bytes <= left && (fill || kept+float64(s.bytes)/2 <= due) {
				s.stays = true
				left -= s.bytes
				kept += float64(s.bytes)
			}
		}
	}
}

// stage is a part of a graph.
type stage struct {
	graph   *Graph
	weights []string
	bytes   int64 // of the weights
	stays   bool  // on the backend
	program Program
	taken   map[string]Buffer
}

type stagedProgram struct {
	backend Backend
	graph   *Graph
	shelf   Shelf
	stages  []*stage
	ahead   bool // stages are read while others run

	coming *stage              // being read
	read   chan error          // tells how that ended
	late   []map[string]Buffer // to be given up after that: of one goroutine the shelf is used at a time
}

// Run runs the stages one after another, and drops each value that crosses
// after the last that reads it.
func (p *stagedProgram) Run(ctx context.Context, in, out map[string]Tensor) (err error) {
	if err := CheckIO(p.graph, in, out); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		if s := p.coming; s != nil { // only where a stage before failed
			p.arrive()
			err = errors.Join(err, p.drop(s))
		}
	}()
	values := maps.Clone(in)
	for i, s := range p.stages {
		if err := p.runStage(ctx, i, values, out); err != nil {
			return fmt.Errorf("stage %d of %d: %w", i+1, len(p.stages), errors.Join(err, p.drop(s)))
		}
	}
	return nil
}

func (p *stagedProgram) runStage(ctx context.Context, i int, values, out map[string]Tensor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := p.stages[i]
	if s.program == nil {
		if err := p.bring(ctx, s); err != nil {
			return err
		}
	}
	p.readAhead(ctx, i+1)
	given, made := map[string]Tensor{}, map[string]Tensor{}
	for _, n := range s.graph.Inputs() {
		given[n.Name] = values[n.Name]
	}
	for _, o := range s.graph.Outputs {
		if t, asked := out[o.Name]; asked {
			made[o.Name] = t
		} else if strings.HasPrefix(o.Name, crossed) {
			made[o.Name] = NewTensor(F32, o.Node.Shape...)
			values[o.Name] = made[o.Name]
		}
	}
	err := s.program.Run(ctx, given, made)
	if !s.stays && err == nil {
		err = p.drop(s)
	}
	return err
}

// readAhead begins to take the weights of the next stage that is not there, at
// one of those from number i on.
func (p *stagedProgram) readAhead(ctx context.Context, i int) {
	if !p.ahead || p.coming != nil {
		return
	}
	next := slices.IndexFunc(p.stages[i:], func(s *stage) bool { return s.program == nil })
	if next < 0 {
		return
	}
	s, read := p.stages[i+next], make(chan error, 1)
	p.coming, p.read = s, read
	go func() {
		var err error
		s.taken, err = p.shelf.Take(ctx, s.weights)
		read <- err
	}()
}

// arrive waits for what is being read.
func (p *stagedProgram) arrive() error {
	err := <-p.read
	p.coming, p.read = nil, nil
	for _, taken := range p.late {
		p.shelf.Leave(taken)
	}
	p.late = nil
	return err
}

// bring has a stage's weights on the backend and its program made.
func (p *stagedProgram) bring(ctx context.Context, s *stage) (err error) {
	if p.coming == s {
		err = p.arrive()
	} else {
		s.taken, err = p.shelf.Take(ctx, s.weights)
	}
	if err == nil {
		s.program, err = p.backend.Compile(s.graph, s.taken)
	}
	return err
}

func (p *stagedProgram) drop(s *stage) (err error) {
	if s.program != nil {
		err = s.program.Close()
	}
	if p.coming != nil {
		p.late = append(p.late, s.taken)
	} else {
		p.shelf.Leave(s.taken)
	}
	s.program, s.taken = nil, nil
	return err
}

// Close gives everything up.
func (p *stagedProgram) Close() error {
	var errs []error
	for _, s := range p.stages {
		errs = append(errs, p.drop(s))
	}
	return errors.Join(errs...)
}

// cutter cuts a graph into stages: runs of its nodes.
type cutter struct {
	graph    *Graph
	shelf    Shelf
	heaviest int64         // bytes of the weights of one node
	made     map[*Node]int // where each value is made; sources and views of them, everywhere
	last     map[*Node]int // where it is read last
	crossed  []int64       // bytes that cross before each node
}

func newCutter(g *Graph, shelf Shelf) *cutter {
	c := &cutter{graph: g, shelf: shelf, made: map[*Node]int{}, last: map[*Node]int{}, crossed: make([]int64, len(g.Nodes)+1)}
	for i, n := range g.Nodes {
		var bytes int64
		for _, in := range n.Inputs {
			c.last[in] = i
			if r := Root(in); r.Op == OpWeight {
				bytes += shelf.Size(r.Name)
			}
		}
		c.heaviest = max(c.heaviest, bytes)
		if !everywhere(n) {
			c.made[n] = i
		}
	}
	delta := make([]int64, len(g.Nodes)+1)
	for n, i := range c.made {
		if end := c.last[n]; end > i {
			delta[i+1] += 4 * int64(n.Elems())
			delta[end+1] -= 4 * int64(n.Elems())
		}
	}
	var sum int64
	for i := range c.crossed {
		sum += delta[i]
		c.crossed[i] = sum
	}
	return c
}

// everywhere reports whether a value is a source, or one seen in another shape:
// every stage has its own.
func everywhere(n *Node) bool { return Root(n).Op.IsSource() }

// ranges cuts where the weights since the last cut would be more than so many
// bytes, at the place of the fewest crossing bytes in the latter half.
func (c *cutter) ranges(most int64) (list [][2]int) {
	from := 0
	held, bytes, half := map[string]bool{}, int64(0), 0
	for i := 0; i < len(c.graph.Nodes); i++ {
		more := int64(0)
		for _, in := range c.graph.Nodes[i].Inputs {
			if r := Root(in); r.Op == OpWeight && !held[r.Name] {
				held[r.Name] = true
				more += c.shelf.Size(r.Name)
			}
		}
		if bytes += more; bytes <= most/2 {
			half = i
		}
		if bytes <= most {
			continue
		}
		at := i
		for j := i - 1; j > max(from, half); j-- {
			if c.crossed[j] < c.crossed[at] {
				at = j
			}
		}
		if !slices.ContainsFunc(c.graph.Nodes[from:at], func(n *Node) bool { return !everywhere(n) }) { // one node alone
			continue
		}
		list = append(list, [2]int{from, at})
		from, half, i = at, at, at-1
		held, bytes = map[string]bool{}, 0
	}
	return append(list, [2]int{from, len(c.graph.Nodes)})
}

// crossed begins the names of values that cross.
const crossed = "\x00stage "

// crossName is the name of the value that node i makes, as an input of the
// stages that read it.
func crossName(i int) string { return crossed + strconv.Itoa(i) }

// stage makes a graph of the nodes in a range.
func (c *cutter) stage(r [2]int) (*stage, error) {
	s := &stage{graph: &Graph{named: map[string]*Node{}, Precise: c.graph.Precise}}
	own := map[*Node]*Node{}
	var copied func(n *Node) *Node
	copied = func(n *Node) *Node {
		if own[n] != nil {
			return own[n]
		}
		i, isMade := c.made[n]
		switch {
		case isMade && i < r[0]:
			own[n] = s.graph.Input(crossName(i), F32, n.Shape...)
		case n.Op == OpInput || n.Op == OpWeight:
			own[n] = s.graph.source(n.Op, n.Name, n.DType, n.Shape)
		default:
			inputs := make([]*Node, len(n.Inputs))
			for j, in := range n.Inputs {
				inputs[j] = copied(in)
			}
			own[n] = s.graph.add(&Node{Op: n.Op, Name: n.Name, Inputs: inputs, Attrs: n.Attrs, Shape: n.Shape, DType: n.DType})
		}
		return own[n]
	}
	for i := r[0]; i < r[1]; i++ {
		if n := c.graph.Nodes[i]; !everywhere(n) {
			if m := copied(n); c.last[n] >= r[1] {
				s.graph.Output(crossName(i), m)
			}
		}
	}
	end := len(c.graph.Nodes)
	for _, o := range c.graph.Outputs {
		if i, isMade := c.made[o.Node]; isMade && i >= r[0] && i < r[1] || !isMade && r[1] == end {
			s.graph.Output(o.Name, copied(o.Node))
		}
	}
	for _, w := range s.graph.Weights() {
		s.weights = append(s.weights, w.Name)
		s.bytes += c.shelf.Size(w.Name)
	}
	if len(s.graph.Outputs) == 0 {
		return nil, fmt.Errorf("engine: the stage of nodes %d to %d makes nothing", r[0], r[1])
	}
	return s, nil
}
