package engine

import (
	"fmt"
	"strings"
)

// Node is one value of a graph: the result of an operation on other nodes.
type Node struct {
	Op     Op
	Name   string // of an input or weight; empty for the rest
	Inputs []*Node
	Attrs  any // the op's parameters: Conv2DAttrs, NormAttrs, ... or nil
	Shape  Shape
	DType  DType // F32, or I32 for indices

	g *Graph
}

// String shows the node as "conv2d(1,64,64,320)".
func (n *Node) String() string {
	dims := strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(n.Shape)), " ", ","), "[]")
	if n.Name != "" {
		return fmt.Sprintf("%v %s(%s)", n.Op, n.Name, dims)
	}
	return fmt.Sprintf("%v(%s)", n.Op, dims)
}

// Elems is the number of elements of the node's value.
func (n *Node) Elems() int { return n.Shape.Elems() }

// Graph is a recorded computation. Nodes stand in an order in which every
// node follows its inputs.
type Graph struct {
	Nodes   []*Node
	Outputs []Output
	// Precise graphs are computed in f32 throughout: what they choose by small
	// differences, in f16 another would be.
	Precise bool

	named map[string]*Node // inputs and weights by op and name
}

// Output is a named result of a graph.
type Output struct {
	Name string
	Node *Node
}

// shapeError is what a shape mistake panics with inside Build.
type shapeError struct{ err error }

// Build runs f to record a graph. A shape mistake inside f is returned as an
// error that names the op and its inputs.
func Build(f func(g *Graph)) (g *Graph, err error) {
	g = &Graph{named: map[string]*Node{}}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case shapeError:
			g, err = nil, r.err
		default:
			panic(r)
		}
	}()
	f(g)
	if len(g.Outputs) == 0 {
		return nil, fmt.Errorf("engine: build: graph has no output")
	}
	return g, nil
}

// Fail aborts the enclosing Build with an error: for networks whose
// configuration cannot be built.
func Fail(format string, args ...any) {
	panic(shapeError{fmt.Errorf("engine: build: "+format, args...)})
}

// failOp aborts Build with an error that names the op and its inputs.
func failOp(op Op, inputs []*Node, format string, args ...any) {
	parts := make([]string, len(inputs))
	for i, n := range inputs {
		parts[i] = n.String()
	}
	Fail("%v [%s]: %s", op, strings.Join(parts, ", "), fmt.Sprintf(format, args...))
}

// Input declares a value that every Run is given under this name.
func (g *Graph) Input(name string, d DType, shape ...int) *Node {
	return g.source(OpInput, name, d, shape)
}

// Weight declares a parameter, looked up by its checkpoint name at Compile.
// Declaring one twice gives the same node.
func (g *Graph) Weight(name string, shape ...int) *Node {
	return g.source(OpWeight, name, F32, shape)
}

func (g *Graph) source(op Op, name string, d DType, shape Shape) *Node {
	key := op.String() + " " + name
	if n, ok := g.named[key]; ok {
		if !n.Shape.Equal(shape) || n.DType != d {
			Fail("%v is declared again as %v %v", n, d, shape)
		}
		return n
	}
	for _, dim := range shape {
		if dim <= 0 {
			Fail("%v %s: bad shape %v", op, name, shape)
		}
	}
	n := g.add(&Node{Op: op, Name: name, Shape: shape, DType: d})
	g.named[key] = n
	return n
}

// Const embeds a small F32 or I32 tensor in the graph.
func (g *Graph) Const(t Tensor) *Node {
	return g.add(&Node{Op: OpConst, Attrs: ConstAttrs{Value: t}, Shape: t.Shape, DType: t.DType})
}

// Output names n as a result of the graph.
func (g *Graph) Output(name string, n *Node) {
	g.Outputs = append(g.Outputs, Output{name, n})
}

// Inputs lists the input nodes in declaration order.
func (g *Graph) Inputs() []*Node { return g.filter(OpInput) }

// Weights lists the weight nodes in declaration order.
func (g *Graph) Weights() []*Node { return g.filter(OpWeight) }

func (g *Graph) filter(op Op) (out []*Node) {
	for _, n := range g.Nodes {
		if n.Op == op {
			out = append(out, n)
		}
	}
	return out
}

func (g *Graph) add(n *Node) *Node {
	n.g = g
	g.Nodes = append(g.Nodes, n)
	return n
}

// record adds the result of an op on inputs, which all belong to one graph.
func record(op Op, shape Shape, attrs any, inputs ...*Node) *Node {
	for _, d := range shape {
		if d <= 0 {
			failOp(op, inputs, "result shape %v", shape)
		}
	}
	return inputs[0].g.add(&Node{Op: op, Inputs: inputs, Attrs: attrs, Shape: shape, DType: F32})
}
