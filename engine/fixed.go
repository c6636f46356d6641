package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// CompileFixed compiles g for runs between which the inputs of these names
// rarely change: what follows from them and weights alone, such as the keys
// and values that a UNet makes of a text, is computed when they do, and kept
// in host memory. Results are those of Compile; on a [Remote] backend, the
// program is, too.
func CompileFixed(b Backend, g *Graph, weights map[string]Buffer, fixed ...string) (Program, error) {
	if _, ok := b.(Remote); ok {
		return b.Compile(g, weights)
	}
	early, late := split(g, fixed)
	if early == nil {
		return b.Compile(g, weights)
	}
	first, err := b.Compile(early, weights)
	if err != nil {
		return nil, err
	}
	second, err := b.Compile(late, weights)
	if err != nil {
		first.Close()
		return nil, err
	}
	p := &fixedProgram{early: first, late: second, seen: map[string][]byte{}, kept: map[string]Tensor{}}
	for _, n := range early.Inputs() {
		p.seen[n.Name] = nil
	}
	for _, o := range early.Outputs {
		p.kept[o.Name] = NewTensor(F32, o.Node.Shape...)
	}
	return p, nil
}

// fixedProgram is a program in two parts.
type fixedProgram struct {
	early, late Program
	seen        map[string][]byte // the inputs of early when it ran last
	kept        map[string]Tensor // its outputs, inputs of late
}

// Run runs the late part, and the early one before it if need be.
func (p *fixedProgram) Run(ctx context.Context, in, out map[string]Tensor) error {
	if p.changed(in) {
		for name := range p.seen {
			p.seen[name] = nil // should it fail half-way
		}
		if err := p.early.Run(ctx, in, p.kept); err != nil {
			return err
		}
		for name := range p.seen {
			p.seen[name] = bytes.Clone(in[name].Data)
		}
	}
	all := maps.Clone(in)
	maps.Copy(all, p.kept)
	return p.late.Run(ctx, all, out)
}

func (p *fixedProgram) changed(in map[string]Tensor) bool {
	for name, data := range p.seen {
		if data == nil || !bytes.Equal(data, in[name].Data) {
			return true
		}
	}
	return false
}

// Close closes both parts.
func (p *fixedProgram) Close() error {
	return errors.Join(p.early.Close(), p.late.Close())
}

// split divides g: early has as outputs what follows from the fixed inputs and
// weights alone, as far as the rest reads it; late is g with those as inputs.
// Without any, early is nil.
func split(g *Graph, fixed []string) (early, late *Graph) {
	follows, varies := map[*Node]bool{}, map[*Node]bool{}
	for _, n := range g.Nodes {
		if n.Op == OpInput {
			follows[n] = slices.Contains(fixed, n.Name)
			varies[n] = !follows[n]
		}
		for _, in := range n.Inputs {
			follows[n] = follows[n] || follows[in]
			varies[n] = varies[n] || varies[in]
		}
	}
	// A source seen in another shape is no work.
	isEarly := func(n *Node) bool { return follows[n] && !varies[n] && !Root(n).Op.IsSource() }
	read := map[*Node]bool{} // by the rest
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			read[in] = read[in] || !isEarly(n)
		}
	}
	for _, o := range g.Outputs {
		read[o.Node] = true
	}
	cut, first := map[*Node]string{}, &Graph{Nodes: g.Nodes}
	for _, n := range g.Nodes {
		if isEarly(n) && read[n] {
			cut[n] = fmt.Sprintf("fixed.%d", len(cut))
			first.Output(cut[n], n)
		}
	}
	if len(cut) == 0 {
		return nil, g
	}
	early = rewrite(first, func(_, n *Node) *Node { return n })
	late = rewrite(g, func(old, n *Node) *Node {
		if name, ok := cut[old]; ok {
			return n.g.Input(name, F32, n.Shape...)
		}
		return n
	})
	for _, part := range []*Graph{early, late} {
		part.dropInputs(fixed, part == early)
	}
	return early, late
}

// dropInputs removes inputs that nothing reads: those among names, or all.
func (g *Graph) dropInputs(names []string, all bool) {
	uses := countUses(g)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *Node) bool {
		return n.Op == OpInput && uses[n] == 0 && (all || slices.Contains(names, n.Name))
	})
}
