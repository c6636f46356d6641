package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"wisp/engine"
	"wisp/tests/bench/simd/cases"
)

// onnx writes a graph in the ONNX format as PyTorch exports it: images as
// (n, c, h, w), attention and norms from the operators of opset 17. Inputs and
// outputs of four axes are in that layout too.
type onnx struct {
	nodes, tensors, inputs, outputs []message
	names                           map[*engine.Node]string
	matrices                        map[*engine.Node]bool // read by linear layers
	count                           int
}

// message is an encoded protocol buffer, in parts so that weights are not copied.
type message [][]byte

func (m message) size() (n int) {
	for _, p := range m {
		n += len(p)
	}
	return n
}

// sub is m as field number of another message.
func sub(field int, m message) message {
	head := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field<<3|2)), uint64(m.size()))
	return append(message{head}, m...)
}

func text(field int, s string) message { return sub(field, message{[]byte(s)}) }

func number(field int, n int) message {
	return message{binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field<<3)), uint64(int64(n)))}
}

func join(parts ...message) (m message) {
	for _, p := range parts {
		m = append(m, p...)
	}
	return m
}

// Attributes of a node: an int, a float32, []int or string.
type attributes map[string]any

const (
	typeFloat = 1 // TensorProto.FLOAT
	typeInt32 = 6 // TensorProto.INT32
	typeInt64 = 7 // TensorProto.INT64
)

func (o *onnx) node(op string, attrs attributes, inputs ...string) string {
	o.count++
	out := fmt.Sprintf("v%d", o.count)
	var m message
	for _, in := range inputs {
		m = append(m, text(1, in)...)
	}
	m = join(m, text(2, out), text(4, op))
	for name, value := range attrs {
		a := text(1, name)
		switch v := value.(type) {
		case int:
			a = join(a, number(3, v), number(20, 2))
		case float32:
			a = join(a, message{binary.LittleEndian.AppendUint32([]byte{2<<3 | 5}, math.Float32bits(v))}, number(20, 1))
		case string:
			a = join(a, text(4, v), number(20, 3))
		case []int:
			for _, n := range v {
				a = append(a, number(8, n)...)
			}
			a = append(a, number(20, 7)...)
		}
		m = append(m, sub(5, a)...)
	}
	o.nodes = append(o.nodes, sub(1, m))
	return out
}

func (o *onnx) tensor(data []byte, kind int, shape ...int) string {
	o.count++
	name := fmt.Sprintf("w%d", o.count)
	var m message
	for _, d := range shape {
		m = append(m, number(1, d)...)
	}
	o.tensors = append(o.tensors, sub(5, join(m, number(2, kind), text(8, name), sub(9, message{data}))))
	return name
}

func (o *onnx) ints(v ...int) string {
	var b []byte
	for _, n := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return o.tensor(b, typeInt64, len(v))
}

func (o *onnx) floats(shape []int, v ...float32) string {
	return o.tensor(engine.FromFloat32s(v, len(v)).Data, typeFloat, shape...)
}

func valueInfo(name string, kind int, shape []int) message {
	var dims message
	for _, d := range shape {
		dims = append(dims, sub(1, number(1, d))...)
	}
	return join(text(1, name), sub(2, sub(1, join(number(1, kind), sub(2, dims)))))
}

// planar is the shape that ONNX has for one of wisp's: (n, h, w, c) becomes (n, c, h, w).
func planar(s engine.Shape) []int {
	if len(s) == 4 {
		return []int{s[0], s[3], s[1], s[2]}
	}
	return s
}

// toPlanar turns a value (n, h, w, c) into (n, c, h, w).
func toPlanar(t engine.Tensor) engine.Tensor {
	if len(t.Shape) != 4 {
		return t
	}
	out := engine.NewTensor(t.DType, planar(t.Shape)...)
	pixels, c := t.Shape[1]*t.Shape[2], t.Shape[3]
	for n := range t.Shape[0] {
		for p := range pixels {
			for i := range c {
				copy(out.Data[4*((n*c+i)*pixels+p):][:4], t.Data[4*((n*pixels+p)*c+i):])
			}
		}
	}
	return out
}

// transposed is the transpose of a matrix.
func transposed(t engine.Tensor) []byte {
	rows, cols := t.Shape[0], t.Shape[1]
	out := make([]byte, len(t.Data))
	for r := range rows {
		for c := range cols {
			copy(out[4*(c*rows+r):][:4], t.Data[4*(r*cols+c):])
		}
	}
	return out
}

// writeONNX writes g with the values of its weights.
func writeONNX(w io.Writer, g *engine.Graph) error {
	o := &onnx{names: map[*engine.Node]string{}, matrices: map[*engine.Node]bool{}}
	for _, n := range g.Nodes {
		if n.Op == engine.OpLinear {
			o.matrices[n.Inputs[1]] = true
		}
	}
	for _, n := range g.Nodes {
		name, err := o.convert(n)
		if err != nil {
			return err
		}
		o.names[n] = name
	}
	for _, out := range g.Outputs {
		name := o.names[out.Node]
		o.outputs = append(o.outputs, sub(12, valueInfo(name, typeFloat, planar(out.Node.Shape))))
	}
	graph := text(2, "bench")
	for _, list := range [][]message{o.nodes, o.tensors, o.inputs, o.outputs} {
		graph = append(graph, join(list...)...)
	}
	for _, part := range join(number(1, 8), sub(8, join(text(1, ""), number(2, 17))), sub(7, graph)) {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// convert adds a node's operators and returns the name of its value.
func (o *onnx) convert(n *engine.Node) (string, error) {
	in := make([]string, len(n.Inputs))
	for i, x := range n.Inputs {
		in[i] = o.names[x]
	}
	switch n.Op {
	case engine.OpInput:
		kind := typeFloat
		if n.DType == engine.I32 {
			kind = typeInt32
		}
		o.inputs = append(o.inputs, sub(11, valueInfo(n.Name, kind, planar(n.Shape))))
		return n.Name, nil
	case engine.OpWeight:
		t := cases.Values(n)
		if o.matrices[n] { // as MatMul takes it
			return o.tensor(transposed(t), typeFloat, n.Shape[1], n.Shape[0]), nil
		}
		return o.tensor(t.Data, typeFloat, n.Shape...), nil
	case engine.OpConv2D:
		a := n.Attrs.(engine.Conv2DAttrs)
		k := n.Inputs[1].Shape[2:]
		return o.node("Conv", attributes{"kernel_shape": []int(k), "pads": a.Pad[:], "strides": []int{a.Stride, a.Stride}}, in...), nil
	case engine.OpLinear:
		y := o.node("MatMul", nil, in[:2]...)
		if len(in) == 3 {
			y = o.node("Add", nil, y, in[2])
		}
		return y, nil
	case engine.OpGroupNorm:
		a := n.Attrs.(engine.NormAttrs)
		c := n.Shape.Dim(-1)
		groups := o.node("Reshape", nil, in[0], o.ints(n.Shape[0], a.Groups, -1))
		ones, zeros := make([]float32, a.Groups), make([]float32, a.Groups)
		for i := range ones {
			ones[i] = 1
		}
		norm := o.node("InstanceNormalization", attributes{"epsilon": a.Eps}, groups, o.floats([]int{a.Groups}, ones...), o.floats([]int{a.Groups}, zeros...))
		y := o.node("Reshape", nil, norm, o.ints(planar(n.Shape)...))
		scale := o.node("Reshape", nil, in[1], o.ints(1, c, 1, 1))
		shift := o.node("Reshape", nil, in[2], o.ints(1, c, 1, 1))
		return o.node("Add", nil, o.node("Mul", nil, y, scale), shift), nil
	case engine.OpLayerNorm:
		return o.node("LayerNormalization", attributes{"axis": -1, "epsilon": n.Attrs.(engine.NormAttrs).Eps}, in...), nil
	case engine.OpSiLU:
		return o.node("Mul", nil, in[0], o.node("Sigmoid", nil, in[0])), nil
	case engine.OpQuickGELU:
		return o.node("Mul", nil, in[0], o.node("Sigmoid", nil, o.node("Mul", nil, in[0], o.floats(nil, 1.702)))), nil
	case engine.OpReLU:
		return o.node("Relu", nil, in...), nil
	case engine.OpTanh:
		return o.node("Tanh", nil, in...), nil
	case engine.OpAffine:
		a := n.Attrs.(engine.AffineAttrs)
		return o.node("Add", nil, o.node("Mul", nil, in[0], o.floats(nil, a.Mul)), o.floats(nil, a.Add)), nil
	case engine.OpEmbedding:
		return o.node("Gather", nil, in...), nil
	case engine.OpAdd:
		return o.node("Add", nil, in...), nil
	case engine.OpGEGLU:
		d := n.Shape.Dim(-1)
		a := o.node("Slice", nil, in[0], o.ints(0), o.ints(d), o.ints(-1))
		b := o.node("Slice", nil, in[0], o.ints(d), o.ints(2*d), o.ints(-1))
		erf := o.node("Erf", nil, o.node("Div", nil, b, o.floats(nil, math.Sqrt2)))
		gelu := o.node("Mul", nil, o.node("Mul", nil, b, o.node("Add", nil, erf, o.floats(nil, 1))), o.floats(nil, 0.5))
		return o.node("Mul", nil, a, gelu), nil
	case engine.OpAttention:
		return o.attention(n, in), nil
	case engine.OpUpsample2D:
		return o.node("Resize", attributes{"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
			in[0], "", "", o.ints(planar(n.Shape)...)), nil
	case engine.OpConcat:
		axis := n.Attrs.(engine.AxisAttrs).Axis
		if len(n.Shape) == 4 && axis == 3 {
			axis = 1
		}
		return o.node("Concat", attributes{"axis": axis}, in...), nil
	case engine.OpReshape:
		return o.reshape(n, in[0]), nil
	}
	return "", fmt.Errorf("bench: no ONNX operator for %v", n)
}

// reshape passes between images and rows of tokens through a transposition,
// unless there is one pixel.
func (o *onnx) reshape(n *engine.Node, x string) string {
	from, to := n.Inputs[0].Shape, n.Shape
	image := func(s engine.Shape) bool { return len(s) == 4 && s[1]*s[2] > 1 }
	if image(from) {
		x = o.node("Transpose", attributes{"perm": []int{0, 2, 3, 1}}, x)
	}
	if !image(to) {
		return o.node("Reshape", nil, x, o.ints(planar(to)...))
	}
	return o.node("Transpose", attributes{"perm": []int{0, 3, 1, 2}}, o.node("Reshape", nil, x, o.ints(to...)))
}

func (o *onnx) attention(n *engine.Node, in []string) string {
	a := n.Attrs.(engine.AttentionAttrs)
	b, d := n.Shape[0], n.Shape[2]
	heads := func(x string, perm ...int) string {
		return o.node("Transpose", attributes{"perm": perm}, o.node("Reshape", nil, x, o.ints(b, -1, a.Heads, d/a.Heads)))
	}
	q, k, v := heads(in[0], 0, 2, 1, 3), heads(in[1], 0, 2, 3, 1), heads(in[2], 0, 2, 1, 3)
	scores := o.node("MatMul", nil, o.node("Mul", nil, q, o.floats(nil, a.Scale)), k)
	if a.Causal {
		t := n.Shape[1]
		mask := make([]float32, t*t)
		for i := range mask {
			if i%t > i/t {
				mask[i] = float32(math.Inf(-1))
			}
		}
		scores = o.node("Add", nil, scores, o.floats([]int{t, t}, mask...))
	}
	y := o.node("MatMul", nil, o.node("Softmax", attributes{"axis": -1}, scores), v)
	return o.node("Reshape", nil, o.node("Transpose", attributes{"perm": []int{0, 2, 1, 3}}, y), o.ints(b, -1, d))
}
