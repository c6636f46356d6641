package webgpu

import (
	"wisp/engine"
)

// kernel is a way to compute an op: emit adds its steps. A node goes to the
// first kernel of its op whose condition holds.
type kernel struct {
	op   engine.Op
	when func(c *compiler, n *engine.Node) bool // nil for always
	emit func(c *compiler, n *engine.Node) error
}

// kernels is the kernel table: first match wins, so order is preference.
var kernels = []kernel{
	{engine.OpLinear, fewRows, linearVec},
	{engine.OpLinear, wide, linearWide},
	{engine.OpLinear, nil, linear},
	{engine.OpConv2D, pointwise, linear},
	{engine.OpConv2D, winogradFits, conv2dWinograd},
	{engine.OpConv2D, nil, conv2d},
	{engine.OpDepthwiseConv2D, nil, depthwiseConv2D},
	{engine.OpFold2D, nil, fold2d},
	{engine.OpMatMul, nil, matmul},
	{engine.OpAttention, nil, attention},
	{engine.OpGroupNorm, smallImage, groupNorm},
	{engine.OpGroupNorm, nil, groupNormSplit},
	{engine.OpLayerNorm, nil, layerNorm},
	{engine.OpRMSNorm, nil, rmsNorm},
	{engine.OpModulate, nil, modulate},
	{engine.OpRotaryEmbedding, nil, rotaryEmbedding},
	{engine.OpSoftmax, nil, softmax},
	{engine.OpEmbedding, nil, embedding},
	{engine.OpAdd, nil, elementwise},
	{engine.OpSub, nil, elementwise},
	{engine.OpMul, nil, elementwise},
	{engine.OpSiLU, nil, activation},
	{engine.OpGELU, nil, activation},
	{engine.OpGELUTanh, nil, activation},
	{engine.OpQuickGELU, nil, activation},
	{engine.OpReLU, nil, activation},
	{engine.OpTanh, nil, activation},
	{engine.OpSigmoid, nil, activation},
	{engine.OpAffine, nil, affine},
	{engine.OpClamp, nil, clamp},
	{engine.OpGEGLU, nil, geglu},
	{engine.OpUpsample2D, nil, upsample2d},
	{engine.OpConcat, nil, concat},
	{engine.OpSlice, nil, slice},
	{engine.OpPermute, nil, permute},
}

// summing is the variant of a kernel that adds up over workgroups which suits
// the device.
func (c *compiler) summing(kernel string) string {
	if c.backend.info.Subgroups {
		return kernel + "_subgroup"
	}
	return kernel
}

// actCode is an activation's number in Dims.
func actCode(op engine.Op) int {
	if op == engine.OpNone {
		return 0
	}
	return int(op-engine.OpSiLU) + 1
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// cut splits 0..n into runs of at most most, which start at multiples of unit.
func cut(n, most, unit int) [][2]int {
	step := n
	if most < n {
		step = max(most/unit, 1) * unit
	}
	var runs [][2]int
	for at := 0; at < n; at += step {
		runs = append(runs, [2]int{at, min(at+step, n)})
	}
	return runs
}

// bindable is how many rows of so many bytes fit a binding, and the unit in
// which they must be cut so that each part can be bound.
func (c *compiler) bindable(bytes ...int) (most, unit int) {
	most, unit = 1<<30, 1
	for _, b := range bytes {
		most = min(most, c.limits.Binding/max(b, 1))
		for unit*b%bindAlign != 0 {
			unit *= 2
		}
	}
	return max(most, 1), unit
}

// pad returns rows of c elements as rows of a multiple of four.
func (c *compiler) pad(x view, rows, channels int) (view, error) {
	wide := align(channels, 4)
	if wide == channels {
		return x, nil
	}
	out := c.scratch(rows * wide * elemSize(c.elem))
	return out, c.add(step{
		kernel: "pad",
		dims:   u(0, rows*wide, channels, wide),
		reads:  []view{x},
		out:    out,
		grid:   flat(rows * wide),
	})
}
