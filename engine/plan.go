package engine

import (
	"cmp"
	"slices"
)

// Plan places every intermediate value of a graph in one arena, so that
// values whose lifetimes overlap do not share bytes.
type Plan struct {
	Offsets map[*Node]int // byte offset of each input, result and constant; weights have none
	Size    int           // bytes of the arena
}

// ArenaAlign is the alignment of every offset in bytes: a cache line, and a
// multiple of what any backend's vector loads need.
const ArenaAlign = 64

// MakePlan computes the arena. A reshape shares the bytes of its input, and
// so, where inPlace(n, input) allows it, does a result whose input of the same
// size dies with it. Outputs live to the end, inputs from the start.
//
// It is the greedy-by-size placement of Pisarchyk & Lee 2020: the largest
// value first, each at the lowest offset free over its lifetime.
func MakePlan(g *Graph, inPlace func(n *Node, input int) bool) Plan {
	values := lifetimes(g, inPlace)
	order := slices.Clone(values.list)
	slices.SortStableFunc(order, func(a, b *value) int { return cmp.Compare(b.size, a.size) })
	var placed []*value // by offset
	size := 0
	for _, v := range order {
		v.offset = lowestGap(placed, v)
		i, _ := slices.BinarySearchFunc(placed, v.offset, func(p *value, off int) int { return cmp.Compare(p.offset, off) })
		placed = slices.Insert(placed, i, v)
		size = max(size, v.offset+v.size)
	}
	plan := Plan{Offsets: map[*Node]int{}, Size: size}
	for n, v := range values.of {
		plan.Offsets[n] = v.offset
	}
	return plan
}

// value is a run of bytes that one or more nodes share.
type value struct {
	size, offset int
	from, to     int // first and last node index at which it is alive
}

type valueSet struct {
	list []*value
	of   map[*Node]*value
}

func lifetimes(g *Graph, inPlace func(*Node, int) bool) valueSet {
	lastUse := lastUses(g)
	set := valueSet{of: map[*Node]*value{}}
	for i, n := range g.Nodes {
		if Root(n).Op == OpWeight {
			continue
		}
		if v := sharedValue(set, n, i, inPlace); v != nil {
			v.to = max(v.to, lastUse[n])
			set.of[n] = v
			continue
		}
		v := &value{size: align(4 * n.Elems()), from: i, to: max(i, lastUse[n])}
		if n.Op == OpInput || n.Op == OpConst {
			v.from = 0 // written before the first op runs
		}
		if n.Op == OpConst {
			v.to = len(g.Nodes) // written once, read by every run
		}
		set.list = append(set.list, v)
		set.of[n] = v
	}
	return set
}

// Root follows reshapes back to the node whose bytes n shares.
func Root(n *Node) *Node {
	for n.Op == OpReshape {
		n = n.Inputs[0]
	}
	return n
}

// sharedValue is the value of an input that n may take over, or nil.
func sharedValue(set valueSet, n *Node, i int, inPlace func(*Node, int) bool) *value {
	for j, in := range n.Inputs {
		v := set.of[in]
		if v == nil { // a weight
			continue
		}
		if n.Op == OpReshape {
			return v
		}
		if v.to == i && in.Elems() == n.Elems() && in.Op != OpConst && inPlace != nil && inPlace(n, j) {
			return v
		}
	}
	return nil
}

// lastUses gives the index of the last node that reads each node, with the
// readers of its reshapes counted in; outputs are read after the last node.
func lastUses(g *Graph) map[*Node]int {
	last := map[*Node]int{}
	for i, n := range g.Nodes {
		for _, in := range n.Inputs {
			last[in] = i
		}
	}
	for _, o := range g.Outputs {
		last[o.Node] = len(g.Nodes)
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		if n := g.Nodes[i]; n.Op == OpReshape {
			last[n.Inputs[0]] = max(last[n.Inputs[0]], last[n])
		}
	}
	return last
}

// lowestGap finds the lowest offset at which v fits beside the placed values
// that live at the same time.
func lowestGap(placed []*value, v *value) int {
	offset := 0
	for _, p := range placed {
		if p.to < v.from || v.to < p.from {
			continue
		}
		if p.offset-offset >= v.size {
			break
		}
		offset = max(offset, p.offset+p.size)
	}
	return offset
}

func align(n int) int { return (n + ArenaAlign - 1) / ArenaAlign * ArenaAlign }
