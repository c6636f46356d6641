package model

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wisp/engine"
)

// ErrAdapter: an adapter whose tensors do not fit together, or do not fit the
// network. The message names the key.
var ErrAdapter = errors.New("this adapter does not fit")

// Target is a weight that an adapter may change.
type Target struct {
	Shape engine.Shape
	Layer bool // the matrix of a linear layer or a convolution; else a norm's gamma, a bias, a table
}

// Targets lists the weights of a network by their names.
func Targets(g *engine.Graph) map[string]Target {
	t := map[string]Target{}
	for _, w := range g.Weights() {
		t[w.Name] = Target{Shape: w.Shape}
	}
	for _, n := range g.Nodes {
		if name := layerWeight(n); name != "" {
			t[name] = Target{n.Inputs[1].Shape, true}
		}
	}
	return t
}

// layerWeight is the name of the matrix of a linear layer or convolution, ""
// for other nodes and for layers whose matrix is computed.
func layerWeight(n *engine.Node) string {
	if (n.Op == engine.OpLinear || n.Op == engine.OpConv2D) && n.Inputs[1].Op == engine.OpWeight {
		return n.Inputs[1].Name
	}
	return ""
}

// Adapter is what a file of small changes, such as a LoRA, changes about one
// network. Its strengths are inputs of the graphs that wear it, one for each
// [Block], so they may change from one run to the next.
type Adapter struct {
	Name    string             // distinct among those worn together: what its inputs and weights begin with
	Changes map[string]*Change // by the weight that they change
}

// Strengths lists the blocks that an adapter changes: each is an input (1) of
// the graph, under the name that [Adapter.Input] gives it.
func (a *Adapter) Strengths() []string {
	blocks := map[string]bool{}
	for weight := range a.Changes {
		blocks[Block(weight)] = true
	}
	return slices.Sorted(maps.Keys(blocks))
}

// Input is the name of the graph's input for a block's strength.
func (a *Adapter) Input(block string) string { return a.Name + " strength " + block }

// Weight is the name in the graph of what a change adds to a weight.
func (a *Adapter) Weight(changed, part string) string { return a.Name + " " + part + " " + changed }

// Block is the part of a denoiser that a weight belongs to, as block weights
// name it: "down_blocks.1.0" for the residual layer and the transformer 0 of
// a UNet's block, "down_blocks.1.downsamplers", "mid_block",
// "transformer_blocks.12"; "" for what is in none.
func Block(weight string) string {
	if strings.HasPrefix(weight, "mid_block") {
		return "mid_block"
	}
	part := strings.Split(weight, ".")
	if len(part) < 2 || strings.Trim(part[0], "_abcdefghijklmnopqrstuvwxyz") != "" || part[0] == "" || !number(part[1]) {
		return ""
	}
	if len(part) > 3 && (part[0] == "down_blocks" || part[0] == "up_blocks") {
		switch layer := part[2]; {
		case (layer == "resnets" || layer == "attentions") && number(part[3]):
			return part[0] + "." + part[1] + "." + part[3]
		case strings.HasSuffix(layer, "samplers"):
			return part[0] + "." + part[1] + "." + layer
		}
	}
	return part[0] + "." + part[1]
}

func number(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Adapt is g with adapters worn: each layer that one changes adds
// strength · up(down(x)), or what its form has in place of that, to its result.
// Without any it is g itself.
func Adapt(g *engine.Graph, worn []*Adapter) (*engine.Graph, error) {
	if len(worn) == 0 {
		return g, nil
	}
	targets := Targets(g)
	w := wearing{worn: worn, scaled: map[scaledStrength]*engine.Node{}}
	return engine.Adapt(g, func(n *engine.Node) *engine.Node {
		if name := layerWeight(n); name != "" {
			return w.layer(n, name)
		}
		if n.Op == engine.OpWeight && !targets[n.Name].Layer {
			return w.plain(n)
		}
		return n
	})
}

// wearing is a graph on its way to wear adapters.
type wearing struct {
	worn   []*Adapter
	scaled map[scaledStrength]*engine.Node // made once
}

type scaledStrength struct {
	input string
	by    float32
}

// strength is a (1) node of the graph that n is of: an adapter's strength for
// a weight, times a number.
func (w wearing) strength(n *engine.Node, a *Adapter, weight string, by float32) *engine.Node {
	key := scaledStrength{a.Input(Block(weight)), by}
	s, ok := w.scaled[key]
	if !ok {
		if s = n.Input(key.input, engine.F32, 1); by != 1 {
			s = engine.Affine(s, by, 0)
		}
		w.scaled[key] = s
	}
	return s
}

// plain adds to a weight itself.
func (w wearing) plain(n *engine.Node) *engine.Node {
	sum := n
	for _, a := range w.worn {
		c := a.Changes[n.Name]
		if c == nil {
			continue
		}
		part := c.Parts()[0]
		diff := n.Weight(a.Weight(n.Name, part), n.Shape...)
		if c.replaces() {
			diff = engine.Sub(diff, n)
		}
		sum = engine.Add(engine.Mul(diff, w.strength(n, a, n.Name, 1)), sum)
	}
	return sum
}

// layer adds to the result of a linear layer or convolution.
func (w wearing) layer(n *engine.Node, name string) *engine.Node {
	l := adaptedLayer{wearing: w, n: n, name: name, x: n.Inputs[0]}
	var in, out *engine.Node // what scales the layer's channels, less 1
	for _, a := range w.worn {
		c := a.Changes[name]
		if c == nil {
			continue
		}
		if c.in {
			in = plus(in, l.vector(a, "in", n.Inputs[0].Shape.Dim(-1)))
		}
		if c.out {
			out = plus(out, l.vector(a, "out", n.Shape.Dim(-1)))
		}
	}
	y := n
	if in != nil || out != nil {
		y = l.rescaled(in, out)
	}
	for _, a := range w.worn {
		if c := a.Changes[name]; c != nil {
			if c.form != nil {
				y = engine.Add(c.form.delta(l, a), y)
			}
			if c.bias {
				y = engine.Add(y, l.vector(a, "bias", n.Shape.Dim(-1)))
			}
		}
	}
	return y
}

// adaptedLayer is a layer on its way to wear adapters.
type adaptedLayer struct {
	wearing
	n    *engine.Node // as it was
	name string       // of its weight
	x    *engine.Node // its input
}

// weight is a part of an adapter's change of the layer.
func (l adaptedLayer) weight(a *Adapter, part string, shape ...int) *engine.Node {
	return l.n.Weight(a.Weight(l.name, part), shape...)
}

// kernel is a part that is a convolution's kernel of the layer's size, which is
// stored as a matrix where it has one tap.
func (l adaptedLayer) kernel(a *Adapter, part string, out, in int) *engine.Node {
	k := l.n.Inputs[1].Shape
	if k[2]*k[3] == 1 {
		return engine.Reshape(l.weight(a, part, out, in), out, in, 1, 1)
	}
	return l.weight(a, part, out, in, k[2], k[3])
}

// vector is a part (n) times the strength.
func (l adaptedLayer) vector(a *Adapter, part string, n int) *engine.Node {
	return engine.Mul(l.weight(a, part, n), l.strength(l.n, a, l.name, 1))
}

func plus(sum, v *engine.Node) *engine.Node {
	if sum == nil {
		return v
	}
	return engine.Add(sum, v)
}

// rescaled is the layer with its input's channels times 1 + in and its
// result's, without the bias, times 1 + out.
func (l adaptedLayer) rescaled(in, out *engine.Node) *engine.Node {
	bias := l.bias()
	x := l.x
	if in != nil {
		x = engine.Add(engine.Mul(x, in), x)
	}
	if out == nil {
		return l.again(x, l.n.Inputs[1], bias)
	}
	y := l.again(x, l.n.Inputs[1], nil)
	if y = engine.Add(engine.Mul(y, out), y); bias != nil {
		y = engine.Add(y, bias)
	}
	return y
}

func (l adaptedLayer) bias() *engine.Node {
	if len(l.n.Inputs) > 2 {
		return l.n.Inputs[2]
	}
	return nil
}

// again is the layer with another input, matrix and bias.
func (l adaptedLayer) again(x, weight, bias *engine.Node) *engine.Node {
	if a, ok := l.n.Attrs.(engine.Conv2DAttrs); ok {
		return engine.Conv2D(x, weight, bias, a.Stride, a.Pad)
	}
	return engine.Linear(x, weight, bias)
}

// pointwise reports whether the layer is a product for each of its tokens or
// pixels.
func (l adaptedLayer) pointwise() bool {
	a, conv := l.n.Attrs.(engine.Conv2DAttrs)
	s := l.n.Inputs[1].Shape
	return !conv || s[2] == 1 && s[3] == 1 && a.Stride == 1 && a.Pad == [4]int{}
}

// blockStrength is the factor for a block among those given by name: that of
// the longest name that the block's begins with, 1 without any.
func blockStrength(block string, factors map[string]float32) float32 {
	for {
		if f, ok := factors[block]; ok {
			return f
		}
		cut := strings.LastIndexByte(block, '.')
		if cut < 0 {
			return 1
		}
		block = block[:cut]
	}
}

// BlockStrengths are the inputs' values for a strength and factors of blocks:
// "down_blocks.1" holds for all of its layers but for those that are named
// themselves; what is in no block is "".
func (a *Adapter) BlockStrengths(strength float32, factors map[string]float32) map[string]engine.Tensor {
	in := map[string]engine.Tensor{}
	for _, block := range a.Strengths() {
		in[a.Input(block)] = engine.FromFloat32s([]float32{strength * blockStrength(block, factors)}, 1)
	}
	return in
}

func adapterError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrAdapter}, args...)...)
}
