package engine

// Adapt copies g with what change makes of each node in the node's place.
// change is given a node of the copy, whose inputs are changed already, and
// returns it or another that it recorded. A shape mistake is returned as an
// error, as by [Build].
func Adapt(g *Graph, change func(n *Node) *Node) (out *Graph, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case shapeError:
			out, err = nil, r.err
		default:
			panic(r)
		}
	}()
	out = rewrite(g, func(_, n *Node) *Node {
		added := *n
		return change(n.g.add(&added))
	})
	out.Precise = g.Precise
	return out, nil
}

// Input declares a value that every Run is given, in the graph that n is of.
func (n *Node) Input(name string, d DType, shape ...int) *Node { return n.g.Input(name, d, shape...) }

// Weight declares a parameter in the graph that n is of.
func (n *Node) Weight(name string, shape ...int) *Node { return n.g.Weight(name, shape...) }
