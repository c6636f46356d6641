package engine

import (
	"math"
	"slices"
)

// Conv2D convolves x (n, h, w, in) with weight (out, in, kh, kw) and an
// optional bias (out). pad is top, left, bottom, right, filled with zeros.
// The result is (n, h', w', out), h' = (h + pads − kh)/stride + 1.
func Conv2D(x, weight, bias *Node, stride int, pad [4]int) *Node {
	in := withBias(x, weight, bias)
	if len(x.Shape) != 4 || len(weight.Shape) != 4 {
		failOp(OpConv2D, in, "want x (n,h,w,c) and weight (out,in,kh,kw)")
	}
	if c := weight.Shape[1]; c != x.Shape[3] {
		failOp(OpConv2D, in, "x has %d channels, weight takes %d", x.Shape[3], c)
	}
	return recordConv(OpConv2D, in, bias, stride, pad)
}

// DepthwiseConv2D convolves each channel of x (n, h, w, c) with its own kernel,
// weight (c, 1, kh, kw), and adds an optional bias (c): a convolution of as many
// groups as channels. pad and the result's size are as in [Conv2D].
func DepthwiseConv2D(x, weight, bias *Node, stride int, pad [4]int) *Node {
	in := withBias(x, weight, bias)
	if len(x.Shape) != 4 || len(weight.Shape) != 4 || weight.Shape[1] != 1 || weight.Shape[0] != x.Shape[3] {
		failOp(OpDepthwiseConv2D, in, "want x (n,h,w,c) and weight (c,1,kh,kw): one kernel for each channel")
	}
	return recordConv(OpDepthwiseConv2D, in, bias, stride, pad)
}

// recordConv checks what all convolutions have in common.
func recordConv(op Op, in []*Node, bias *Node, stride int, pad [4]int) *Node {
	x, weight := in[0].Shape, in[1].Shape
	if stride < 1 || slices.Min(pad[:]) < 0 {
		failOp(op, in, "bad stride %d or padding %v", stride, pad)
	}
	h := x[1] + pad[0] + pad[2] - weight[2]
	w := x[2] + pad[1] + pad[3] - weight[3]
	if h < 0 || w < 0 {
		failOp(op, in, "the image is smaller than the kernel")
	}
	checkBias(op, in, bias, weight[0])
	attrs := Conv2DAttrs{Stride: stride, Pad: pad, Epilogue: Epilogue{Bias: bias != nil}}
	return record(op, Shape{x[0], h/stride + 1, w/stride + 1, weight[0]}, attrs, in...)
}

// ConvTranspose2D is torch's transposed convolution of x (n, h, w, in) with
// weight (in, out, kh, kw), one group, and an optional bias (out): each pixel
// adds kh × kw pixels to the result, stride apart. The result is
// (n, h', w', out), h' = (h − 1)·stride − 2·pad + kh + outPad. It is recorded as
// a linear layer and Fold2D.
func ConvTranspose2D(x, weight, bias *Node, stride, pad, outPad int) *Node {
	if len(x.Shape) != 4 || len(weight.Shape) != 4 || weight.Shape[0] != x.Shape[3] {
		Fail("conv_transpose2d [%v, %v]: want x (n,h,w,in) and weight (in,out,kh,kw)", x, weight)
	}
	if stride < 1 || pad < 0 || outPad < 0 || outPad >= stride {
		Fail("conv_transpose2d [%v, %v]: bad stride %d, padding %d or output padding %d", x, weight, stride, pad, outPad)
	}
	out, kh, kw := weight.Shape[1], weight.Shape[2], weight.Shape[3]
	taps := Reshape(Permute(weight, 2, 3, 1, 0), kh*kw*out, x.Shape[3])
	h := (x.Shape[1]-1)*stride - 2*pad + kh + outPad
	w := (x.Shape[2]-1)*stride - 2*pad + kw + outPad
	return Fold2D(Linear(x, taps, nil), bias, kh, kw, stride, pad, h, w)
}

// Fold2D adds up overlapping patches, torch's fold with channels last: pixel
// (i, j) of x (n, h, w, kh·kw·c) holds kh × kw pixels of c channels, which are
// added to the result (n, outH, outW, c) from row i·stride − pad and column
// j·stride − pad on, but for what lies outside. An optional bias (c) is added to
// every pixel.
func Fold2D(x, bias *Node, kh, kw, stride, pad, outH, outW int) *Node {
	in := []*Node{x}
	if bias != nil {
		in = append(in, bias)
	}
	if len(x.Shape) != 4 || min(kh, kw, stride) < 1 || pad < 0 || x.Shape[3]%(kh*kw) != 0 {
		failOp(OpFold2D, in, "want x (n,h,w,kh·kw·c) for patches of %d×%d, stride %d and padding %d", kh, kw, stride, pad)
	}
	c := x.Shape[3] / (kh * kw)
	checkBias(OpFold2D, in, bias, c)
	return record(OpFold2D, Shape{x.Shape[0], outH, outW, c}, Fold2DAttrs{kh, kw, stride, pad}, in...)
}

// Linear is x (…, in) times the transpose of weight (out, in), plus an
// optional bias (out). The result is (…, out).
func Linear(x, weight, bias *Node) *Node {
	in := withBias(x, weight, bias)
	if len(weight.Shape) != 2 || len(x.Shape) < 1 || x.Shape.Dim(-1) != weight.Shape[1] {
		failOp(OpLinear, in, "want x (…,in) and weight (out,in)")
	}
	checkBias(OpLinear, in, bias, weight.Shape[0])
	shape := slices.Clone(x.Shape)
	shape[len(shape)-1] = weight.Shape[0]
	return record(OpLinear, shape, LinearAttrs{Epilogue{Bias: bias != nil}}, in...)
}

func withBias(x, weight, bias *Node) []*Node {
	if bias == nil {
		return []*Node{x, weight}
	}
	return []*Node{x, weight, bias}
}

func checkBias(op Op, in []*Node, bias *Node, out int) {
	if bias != nil && !bias.Shape.Equal(Shape{out}) {
		failOp(op, in, "bias is %v, want (%d)", bias.Shape, out)
	}
}

// MatMul multiplies a (…, m, k) by b (…, k, n), or by b (…, n, k) transposed.
// The leading dimensions are equal. The result is (…, m, n).
func MatMul(a, b *Node, transB bool) *Node {
	in := []*Node{a, b}
	r := len(a.Shape)
	if r < 2 || len(b.Shape) != r || !a.Shape[:r-2].Equal(b.Shape[:r-2]) {
		failOp(OpMatMul, in, "leading dimensions differ")
	}
	k, n := b.Shape[r-2], b.Shape[r-1]
	if transB {
		k, n = n, k
	}
	if a.Shape[r-1] != k {
		failOp(OpMatMul, in, "inner dimensions are %d and %d", a.Shape[r-1], k)
	}
	shape := append(slices.Clone(a.Shape[:r-1]), n)
	return record(OpMatMul, shape, MatMulAttrs{transB}, in...)
}

// GroupNorm normalises each group of channels of each image of x (n, …, c) to
// mean 0 and variance 1, then applies gamma and beta (c). Wu & He 2018.
func GroupNorm(x, gamma, beta *Node, groups int, eps float32) *Node {
	in := []*Node{x, gamma, beta}
	c := x.Shape.Dim(-1)
	if groups < 1 || c%groups != 0 {
		failOp(OpGroupNorm, in, "%d channels in %d groups", c, groups)
	}
	checkNorm(OpGroupNorm, in, c)
	return record(OpGroupNorm, x.Shape, NormAttrs{Groups: groups, Eps: eps}, in...)
}

// LayerNorm normalises the last dimension of x (…, d), then applies gamma and
// beta (d). Ba et al. 2016.
func LayerNorm(x, gamma, beta *Node, eps float32) *Node {
	in := []*Node{x, gamma, beta}
	checkNorm(OpLayerNorm, in, x.Shape.Dim(-1))
	return record(OpLayerNorm, x.Shape, NormAttrs{Eps: eps}, in...)
}

func checkNorm(op Op, in []*Node, c int) {
	if !in[1].Shape.Equal(Shape{c}) || !in[2].Shape.Equal(Shape{c}) {
		failOp(op, in, "want gamma and beta (%d)", c)
	}
}

// Softmax is exp(x − max)/Σ over the last dimension.
func Softmax(x *Node) *Node { return record(OpSoftmax, x.Shape, nil, x) }

// Embedding gathers rows of table (v, d) by ids (…): the result is (…, d).
// An id outside the table is an error at Run.
func Embedding(table, ids *Node) *Node {
	in := []*Node{table, ids}
	if len(table.Shape) != 2 || ids.DType != I32 {
		failOp(OpEmbedding, in, "want table (v,d) and i32 ids")
	}
	return record(OpEmbedding, append(slices.Clone(ids.Shape), table.Shape[1]), nil, in...)
}

// Add is a + b with NumPy broadcasting.
func Add(a, b *Node) *Node { return elementwise(OpAdd, a, b) }

// Sub is a − b with NumPy broadcasting.
func Sub(a, b *Node) *Node { return elementwise(OpSub, a, b) }

// Mul is a·b with NumPy broadcasting.
func Mul(a, b *Node) *Node { return elementwise(OpMul, a, b) }

func elementwise(op Op, a, b *Node) *Node {
	r := max(len(a.Shape), len(b.Shape))
	shape := make(Shape, r)
	for i := 1; i <= r; i++ {
		da, db := 1, 1
		if i <= len(a.Shape) {
			da = a.Shape.Dim(-i)
		}
		if i <= len(b.Shape) {
			db = b.Shape.Dim(-i)
		}
		if da != db && da != 1 && db != 1 {
			failOp(op, []*Node{a, b}, "shapes do not broadcast")
		}
		shape[r-i] = max(da, db)
	}
	return record(op, shape, nil, a, b)
}

// SiLU is x·sigmoid(x). Elfwing et al. 2017.
func SiLU(x *Node) *Node { return Activation(OpSiLU, x) }

// GELU is x·Φ(x) by the error function. Hendrycks & Gimpel 2016.
func GELU(x *Node) *Node { return Activation(OpGELU, x) }

// GELUTanh is GELU by its tanh approximation.
func GELUTanh(x *Node) *Node { return Activation(OpGELUTanh, x) }

// QuickGELU is x·sigmoid(1.702x), as CLIP has it.
func QuickGELU(x *Node) *Node { return Activation(OpQuickGELU, x) }

// ReLU is max(x, 0).
func ReLU(x *Node) *Node { return Activation(OpReLU, x) }

// Tanh is the hyperbolic tangent.
func Tanh(x *Node) *Node { return Activation(OpTanh, x) }

// Sigmoid is 1/(1 + exp(−x)).
func Sigmoid(x *Node) *Node { return Activation(OpSigmoid, x) }

// Activation applies the activation op to every element.
func Activation(op Op, x *Node) *Node {
	if !op.IsActivation() {
		failOp(op, []*Node{x}, "not an activation")
	}
	return record(op, x.Shape, nil, x)
}

// Affine is mul·x + add with scalars.
func Affine(x *Node, mul, add float32) *Node {
	return record(OpAffine, x.Shape, AffineAttrs{mul, add}, x)
}

// Clamp limits every element to [lo, hi].
func Clamp(x *Node, lo, hi float32) *Node {
	if math.IsNaN(float64(lo)) || math.IsNaN(float64(hi)) || lo > hi {
		failOp(OpClamp, []*Node{x}, "bad range [%v, %v]", lo, hi)
	}
	return record(OpClamp, x.Shape, ClampAttrs{lo, hi}, x)
}

// Upsample2D resizes x (n, h, w, c) to (n, outH, outW, c) by nearest
// neighbour: output row y reads input row ⌊y·h/outH⌋.
func Upsample2D(x *Node, outH, outW int) *Node {
	if len(x.Shape) != 4 {
		failOp(OpUpsample2D, []*Node{x}, "want x (n,h,w,c)")
	}
	return record(OpUpsample2D, Shape{x.Shape[0], outH, outW, x.Shape[3]}, nil, x)
}

// Concat joins tensors along an axis; a negative axis counts from the end.
func Concat(axis int, xs ...*Node) *Node {
	first := xs[0].Shape
	axis = checkAxis(OpConcat, xs, axis, len(first))
	shape := slices.Clone(first)
	for _, x := range xs[1:] {
		if len(x.Shape) != len(first) {
			failOp(OpConcat, xs, "ranks differ")
		}
		for i, d := range x.Shape {
			if i != axis && d != first[i] {
				failOp(OpConcat, xs, "shapes differ off axis %d", axis)
			}
		}
		shape[axis] += x.Shape[axis]
	}
	return record(OpConcat, shape, AxisAttrs{Axis: axis}, xs...)
}

// Slice keeps the indices start ≤ i < stop of an axis.
func Slice(x *Node, axis, start, stop int) *Node {
	axis = checkAxis(OpSlice, []*Node{x}, axis, len(x.Shape))
	if start < 0 || stop <= start || stop > x.Shape[axis] {
		failOp(OpSlice, []*Node{x}, "range %d:%d on axis %d", start, stop, axis)
	}
	shape := slices.Clone(x.Shape)
	shape[axis] = stop - start
	return record(OpSlice, shape, AxisAttrs{axis, start, stop}, x)
}

func checkAxis(op Op, in []*Node, axis, rank int) int {
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis >= rank {
		failOp(op, in, "bad axis")
	}
	return axis
}

// Reshape gives x another shape with as many elements; one extent may be −1.
func Reshape(x *Node, shape ...int) *Node {
	shape = slices.Clone(shape)
	if i := slices.Index(shape, -1); i >= 0 {
		shape[i] = 1
		if rest := Shape(shape).Elems(); rest > 0 {
			shape[i] = x.Elems() / rest
		}
	}
	if Shape(shape).Elems() != x.Elems() {
		failOp(OpReshape, []*Node{x}, "cannot become %v", shape)
	}
	return record(OpReshape, shape, nil, x)
}

// Permute reorders the axes: result axis i is axis axes[i] of x.
func Permute(x *Node, axes ...int) *Node {
	sorted := slices.Sorted(slices.Values(axes))
	shape := make(Shape, len(axes))
	for i, a := range axes {
		if len(axes) != len(x.Shape) || sorted[i] != i {
			failOp(OpPermute, []*Node{x}, "bad axes %v", axes)
		}
		shape[i] = x.Shape[a]
	}
	return record(OpPermute, shape, PermuteAttrs{slices.Clone(axes)}, x)
}
