package model

import (
	"fmt"
	"math"

	"wisp/engine"
)

// path is the checkpoint name of a module: "down_blocks.0.resnets.1".
type path string

// Sub appends parts, each a name or an index.
func (p path) Sub(parts ...any) path {
	for _, part := range parts {
		if p != "" {
			p += "."
		}
		p += path(fmt.Sprint(part))
	}
	return p
}

// weight declares a parameter of the module.
func (p path) weight(g *engine.Graph, name string, shape ...int) *engine.Node {
	return g.Weight(string(p.Sub(name)), shape...)
}

// conv is a k×k convolution of stride 1 with bias that keeps the size of x (n,h,w,c).
func conv(g *engine.Graph, p path, x *engine.Node, out, k int) *engine.Node {
	return convPadded(g, p, x, out, k, 1, samePad(k))
}

// samePad is the padding with which a k×k convolution of stride 1, k odd, keeps the size.
func samePad(k int) [4]int { return [4]int{k / 2, k / 2, k / 2, k / 2} }

func convPadded(g *engine.Graph, p path, x *engine.Node, out, k, stride int, pad [4]int) *engine.Node {
	w := p.weight(g, "weight", out, x.Shape.Dim(-1), k, k)
	return engine.Conv2D(x, w, p.weight(g, "bias", out), stride, pad)
}

// convNoBias is a 3×3 convolution without bias.
func convNoBias(g *engine.Graph, p path, x *engine.Node, out, stride int) *engine.Node {
	return engine.Conv2D(x, p.weight(g, "weight", out, x.Shape.Dim(-1), 3, 3), nil, stride, samePad(3))
}

// linear is a linear layer with bias on x (…, in).
func linear(g *engine.Graph, p path, x *engine.Node, out int) *engine.Node {
	return engine.Linear(x, p.weight(g, "weight", out, x.Shape.Dim(-1)), p.weight(g, "bias", out))
}

// linearNoBias is a linear layer without bias.
func linearNoBias(g *engine.Graph, p path, x *engine.Node, out int) *engine.Node {
	return engine.Linear(x, p.weight(g, "weight", out, x.Shape.Dim(-1)), nil)
}

func groupNorm(g *engine.Graph, p path, x *engine.Node, groups int, eps float32) *engine.Node {
	c := x.Shape.Dim(-1)
	return engine.GroupNorm(x, p.weight(g, "weight", c), p.weight(g, "bias", c), groups, eps)
}

func layerNorm(g *engine.Graph, p path, x *engine.Node, eps float32) *engine.Node {
	d := x.Shape.Dim(-1)
	return engine.LayerNorm(x, p.weight(g, "weight", d), p.weight(g, "bias", d), eps)
}

// attend is multi-head attention with the usual scale of 1/√(head size).
func attend(q, k, v *engine.Node, heads int, causal bool) *engine.Node {
	return engine.Attention(q, k, v, heads, headScale(q.Shape.Dim(-1)/heads), causal)
}

func headScale(headSize int) float32 { return float32(1 / math.Sqrt(float64(headSize))) }

// tokens views an image (n,h,w,c) as the sequence (n, h·w, c).
func tokens(x *engine.Node) *engine.Node {
	return engine.Reshape(x, x.Shape[0], x.Shape[1]*x.Shape[2], x.Shape[3])
}

// activations are the names of activation functions in configurations.
var activations = map[string]engine.Op{
	"silu": engine.OpSiLU, "swish": engine.OpSiLU, "relu": engine.OpReLU, "gelu": engine.OpGELU,
	"quick_gelu": engine.OpQuickGELU, "gelu_new": engine.OpGELUTanh, "gelu_pytorch_tanh": engine.OpGELUTanh,
}

// resnetConfig is what the residual blocks of a network have in common.
type resnetConfig struct {
	groups     int
	eps        float32
	act        engine.Op
	outScale   float32 // the sum is divided by it
	scaleShift bool    // time_embedding_norm "scale_shift": the embedding scales and shifts norm2's result

	groupsOut int                               // of norm2; 0 for groups
	resample  func(x *engine.Node) *engine.Node // after norm1 and on the way past; nil for none
	shortcut  bool                              // conv_shortcut, though the width stays
}

// resnetBlock is diffusers' ResnetBlock2D on x (n,h,w,c). temb (n, d) is the
// time embedding after its activation, nil in an autoencoder.
func resnetBlock(g *engine.Graph, p path, c resnetConfig, x, temb *engine.Node, out int) *engine.Node {
	n := x.Shape[0]
	h := engine.Activation(c.act, groupNorm(g, p.Sub("norm1"), x, c.groups, c.eps))
	if c.resample != nil {
		x, h = c.resample(x), c.resample(h)
	}
	if c.groupsOut == 0 {
		c.groupsOut = c.groups
	}
	h = conv(g, p.Sub("conv1"), h, out, 3)
	switch {
	case temb == nil:
		h = groupNorm(g, p.Sub("norm2"), h, c.groupsOut, c.eps)
	case c.scaleShift:
		t := engine.Reshape(linear(g, p.Sub("time_emb_proj"), temb, 2*out), n, 1, 1, 2*out)
		scale, shift := engine.Slice(t, -1, 0, out), engine.Slice(t, -1, out, 2*out)
		h = groupNorm(g, p.Sub("norm2"), h, c.groupsOut, c.eps)
		h = engine.Modulate(h, shift, scale)
	default:
		t := linear(g, p.Sub("time_emb_proj"), temb, out)
		h = engine.Add(h, engine.Reshape(t, n, 1, 1, out))
		h = groupNorm(g, p.Sub("norm2"), h, c.groupsOut, c.eps)
	}
	h = conv(g, p.Sub("conv2"), engine.Activation(c.act, h), out, 3)
	if x.Shape[3] != out || c.shortcut {
		x = conv(g, p.Sub("conv_shortcut"), x, out, 1)
	}
	h = engine.Add(h, x)
	if c.outScale != 1 {
		h = engine.Affine(h, 1/c.outScale, 0)
	}
	return h
}

// downsample halves x (n,h,w,c) by a 3×3 convolution of stride 2. A padding of
// 0 stands for one row and column of zeros at the bottom and right, as
// diffusers' Downsample2D has it.
func downsample(g *engine.Graph, p path, x *engine.Node, padding int) *engine.Node {
	pad := [4]int{padding, padding, padding, padding}
	if padding == 0 {
		pad = [4]int{0, 0, 1, 1}
	}
	return convPadded(g, p.Sub("conv"), x, x.Shape[3], 3, 2, pad)
}

// upsample resizes x (n,h,w,c) to (n,outH,outW,c) and convolves it.
func upsample(g *engine.Graph, p path, x *engine.Node, outH, outW int) *engine.Node {
	return conv(g, p.Sub("conv"), engine.Upsample2D(x, outH, outW), x.Shape[3], 3)
}

// imageAttention is the self-attention of pixels x (n,h,w,c) with its own group
// norm, but for groups of 0, and residual: diffusers' Attention as made by
// UNetMidBlock2D and the Attn blocks.
func imageAttention(g *engine.Graph, p path, x *engine.Node, heads, groups int, eps float32) *engine.Node {
	c, h := x.Shape[3], tokens(x)
	if groups > 0 {
		h = tokens(groupNorm(g, p.Sub("group_norm"), x, groups, eps))
	}
	q, k, v := linear(g, p.Sub("to_q"), h, c), linear(g, p.Sub("to_k"), h, c), linear(g, p.Sub("to_v"), h, c)
	h = linear(g, p.Sub("to_out", 0), attend(q, k, v, heads, false), c)
	return engine.Reshape(engine.Add(h, tokens(x)), x.Shape...)
}

// crossAttention has x (b,t,d) read context (b,s,·), which is x itself in
// self-attention: diffusers' Attention without biases but on its output.
func crossAttention(g *engine.Graph, p path, x, context *engine.Node, heads int, read func(q, k, v *engine.Node, heads int) *engine.Node) *engine.Node {
	d := x.Shape[2]
	q := linearNoBias(g, p.Sub("to_q"), x, d)
	k, v := linearNoBias(g, p.Sub("to_k"), context, d), linearNoBias(g, p.Sub("to_v"), context, d)
	return linear(g, p.Sub("to_out", 0), read(q, k, v, heads), d)
}

// timestepMLP is diffusers' TimestepEmbedding: two linear layers around an activation.
func timestepMLP(g *engine.Graph, p path, x *engine.Node, act engine.Op, out int) *engine.Node {
	return linear(g, p.Sub("linear_2"), engine.Activation(act, linear(g, p.Sub("linear_1"), x, out)), out)
}
