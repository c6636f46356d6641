package simd

import (
	"context"
	"fmt"
	"slices"

	"wisp/engine"
)

// program is a command list with what it refers to.
type program struct {
	b      *backend
	graph  *engine.Graph
	consts map[*engine.Node]span
	places map[*engine.Node]place // of outputs
	inputs []ioPlace
	ids    []idCheck

	words     []uint32
	relocs    []int   // words that are offsets in the arena
	cuts      []int   // words at which a new slice of a run begins
	cost      float64 // of the slice being written
	arenaSize int
	scratch   int

	code span // the words in the module's memory
	base int  // address of the arena that the words there assume
}

type ioPlace struct {
	name string
	at   place
}

// idCheck is an input whose elements index a table of some rows.
type idCheck struct {
	input string
	rows  int
}

// finish allocates what the program needs to run, so that a lack of memory
// shows at compilation.
func (c *compiler) finish() error {
	for _, n := range c.graph.Inputs() {
		c.inputs = append(c.inputs, ioPlace{n.Name, c.value(n)})
	}
	var err error
	if c.code, err = c.b.mem.alloc(4 * len(c.words)); err != nil {
		return err
	}
	c.base = -1
	return c.ready()
}

// ready makes the shared areas large enough and the command list current.
func (p *program) ready() error {
	if err := p.b.reserve(&p.b.arena, p.arenaSize); err != nil {
		return err
	}
	if err := p.b.reserveScratch(p.scratch); err != nil {
		return err
	}
	if p.base == p.b.arena.addr {
		return nil
	}
	words := slices.Clone(p.words)
	for _, i := range p.relocs {
		words[i] += uint32(p.b.arena.addr)
	}
	p.b.host.write(p.code.addr, wordBytes(words))
	p.base = p.b.arena.addr
	return nil
}

// address is where a place lies now.
func (p *program) address(at place) int {
	if at.arena {
		return at.addr + p.b.arena.addr
	}
	return at.addr
}

// Run writes the inputs, runs the command list slice by slice and reads the
// outputs that are asked for.
func (p *program) Run(ctx context.Context, in, out map[string]engine.Tensor) error {
	if err := engine.CheckIO(p.graph, in, out); err != nil {
		return err
	}
	for _, c := range p.ids {
		if err := checkIDs(in[c.input], c.rows); err != nil {
			return fmt.Errorf("simd: run: input %q: %w", c.input, err)
		}
	}
	if err := p.ready(); err != nil {
		return fmt.Errorf("simd: run: %w", err)
	}
	for _, i := range p.inputs {
		p.b.host.write(p.address(i.at), in[i.name].Data)
	}
	if err := p.execute(ctx); err != nil {
		return err
	}
	for _, o := range p.graph.Outputs {
		if t, ok := out[o.Name]; ok {
			p.b.host.read(p.address(p.places[o.Node]), t.Data)
		}
	}
	return nil
}

func (p *program) execute(ctx context.Context) error {
	start := 0
	for _, end := range append(slices.Clone(p.cuts), len(p.words)) {
		if ctx.Done() != nil {
			p.b.host.yield()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.b.run(p.code.addr+4*start, p.code.addr+4*end); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// checkIDs makes sure that every element of t is a row of a table.
func checkIDs(t engine.Tensor, rows int) error {
	for _, id := range t.Int32s() {
		if id < 0 || int(id) >= rows {
			return fmt.Errorf("id %d is outside the table of %d rows", id, rows)
		}
	}
	return nil
}

// Close frees the program's memory; weights and shared areas stay.
func (p *program) Close() error {
	p.b.mem.release(p.code)
	p.code = span{}
	for n, s := range p.consts {
		p.b.mem.release(s)
		delete(p.consts, n)
	}
	return nil
}
