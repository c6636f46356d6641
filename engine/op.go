package engine

import (
	"fmt"
)

// Op names an operation. Its string is the name of its file in every backend.
type Op uint8

// The operations. Those after opFirstComposite are expanded by [Lower] for a
// backend that declines them; all others are primitives.
const (
	OpNone Op = iota
	OpInput
	OpWeight
	OpConst

	OpConv2D
	OpDepthwiseConv2D
	OpFold2D
	OpLinear
	OpMatMul
	OpGroupNorm
	OpLayerNorm
	OpSoftmax
	OpEmbedding

	OpAdd
	OpSub
	OpMul

	OpSiLU
	OpGELU
	OpGELUTanh
	OpQuickGELU
	OpReLU
	OpTanh
	OpSigmoid
	OpAffine
	OpClamp

	OpUpsample2D
	OpConcat
	OpSlice
	OpReshape
	OpPermute

	opFirstComposite
	OpAttention
	OpGEGLU
	OpRMSNorm
	OpModulate
	OpRotaryEmbedding
	opEnd
)

var opNames = map[Op]string{
	OpNone: "none", OpInput: "input", OpWeight: "weight", OpConst: "const",
	OpConv2D: "conv2d", OpDepthwiseConv2D: "depthwise_conv2d", OpFold2D: "fold2d", OpLinear: "linear", OpMatMul: "matmul",
	OpGroupNorm: "group_norm", OpLayerNorm: "layer_norm", OpSoftmax: "softmax", OpEmbedding: "embedding",
	OpAdd: "add", OpSub: "sub", OpMul: "mul",
	OpSiLU: "silu", OpGELU: "gelu", OpGELUTanh: "gelu_tanh", OpQuickGELU: "quick_gelu",
	OpReLU: "relu", OpTanh: "tanh", OpSigmoid: "sigmoid", OpAffine: "affine", OpClamp: "clamp",
	OpUpsample2D: "upsample2d", OpConcat: "concat", OpSlice: "slice", OpReshape: "reshape", OpPermute: "permute",
	OpAttention: "attention", OpGEGLU: "geglu", OpRMSNorm: "rms_norm", OpModulate: "modulate",
	OpRotaryEmbedding: "rotary_embedding",
}

// String returns the op's name: "conv2d".
func (op Op) String() string {
	if s, ok := opNames[op]; ok {
		return s
	}
	return fmt.Sprintf("op(%d)", uint8(op))
}

// IsActivation reports whether op is a function of one element without
// parameters, and so may be fused into the op before it.
func (op Op) IsActivation() bool { return op >= OpSiLU && op <= OpSigmoid }

// IsComposite reports whether op is expanded by [Lower] for a backend that
// declines it.
func (op Op) IsComposite() bool { return op > opFirstComposite && op < opEnd }

// Ops lists the operations that take inputs.
func Ops() (list []Op) {
	for op := OpConst + 1; op < opEnd; op++ {
		if op != opFirstComposite {
			list = append(list, op)
		}
	}
	return list
}

// IsSource reports whether op has no inputs.
func (op Op) IsSource() bool { return op == OpInput || op == OpWeight || op == OpConst }

// ConstAttrs holds the value of an OpConst.
type ConstAttrs struct{ Value Tensor }

// Conv2DAttrs are the parameters of OpConv2D and OpDepthwiseConv2D. Inputs are
// x, w, then the bias and the residual where present.
type Conv2DAttrs struct {
	Stride int
	Pad    [4]int // top, left, bottom, right
	Epilogue
}

// Fold2DAttrs are the parameters of OpFold2D. Inputs are x, then the bias where
// present.
type Fold2DAttrs struct{ KH, KW, Stride, Pad int }

// LinearAttrs are the parameters of OpLinear. Inputs are as in Conv2DAttrs.
type LinearAttrs struct{ Epilogue }

// Epilogue is what a convolution or a linear layer does to its sum before
// storing it: out = Act(sum + bias + residual).
type Epilogue struct {
	Bias     bool // an input (out) is added
	Residual bool // an input of the result's shape is added
	Act      Op   // OpNone or an activation
}

// Operands splits the inputs of a convolution or linear layer; bias and
// residual are nil where absent.
func (e Epilogue) Operands(n *Node) (x, w, bias, residual *Node) {
	x, w = n.Inputs[0], n.Inputs[1]
	rest := n.Inputs[2:]
	if e.Bias {
		bias, rest = rest[0], rest[1:]
	}
	if e.Residual {
		residual = rest[0]
	}
	return x, w, bias, residual
}

// NormAttrs are the parameters of OpGroupNorm, OpLayerNorm and OpRMSNorm.
type NormAttrs struct {
	Groups int // OpGroupNorm only
	Eps    float32
	Act    Op // OpGroupNorm only: OpNone or a fused activation
}

// MatMulAttrs are the parameters of OpMatMul.
type MatMulAttrs struct{ TransB bool }

// AffineAttrs are the parameters of OpAffine.
type AffineAttrs struct{ Mul, Add float32 }

// ClampAttrs are the parameters of OpClamp.
type ClampAttrs struct{ Min, Max float32 }

// AxisAttrs are the parameters of OpConcat (Axis) and OpSlice (all).
type AxisAttrs struct{ Axis, Start, Stop int }

// PermuteAttrs are the parameters of OpPermute.
type PermuteAttrs struct{ Axes []int }
