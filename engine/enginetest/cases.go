package enginetest

import (
	"fmt"
	"slices"

	"wisp/engine"
)

// Cases returns the table.
func Cases() []Case {
	var cases []Case
	for _, group := range [][]Case{convCases(), depthwiseCases(), foldCases(), matmulCases(), attentionCases(), normCases(), elementwiseCases(), moveCases(), planCases()} {
		cases = append(cases, group...)
	}
	return cases
}

// one makes a case with the single output "y".
func one(name string, f func(g *engine.Graph) *engine.Node) Case {
	return Case{Name: name, Build: func(g *engine.Graph) { g.Output("y", f(g)) }}
}

func input(g *engine.Graph, shape ...int) *engine.Node { return g.Input("x", engine.F32, shape...) }

// conv describes a convolution case.
type conv struct {
	n, h, w, in, out, k, stride int
	pad                         [4]int
}

func (c conv) node(g *engine.Graph) *engine.Node {
	x := input(g, c.n, c.h, c.w, c.in)
	return engine.Conv2D(x, g.Weight("w", c.out, c.in, c.k, c.k), g.Weight("b", c.out), c.stride, c.pad)
}

var same = [4]int{1, 1, 1, 1}

func convCases() []Case {
	var cases []Case
	for _, c := range []struct {
		name string
		conv
	}{
		{"3x3", conv{1, 8, 8, 16, 24, 3, 1, same}},
		{"3x3_batch", conv{2, 9, 7, 8, 16, 3, 1, same}},
		{"3x3_c3", conv{1, 6, 5, 3, 8, 3, 1, same}},
		{"3x3_o3", conv{1, 12, 11, 32, 3, 3, 1, same}},
		{"3x3_odd", conv{1, 5, 3, 5, 7, 3, 1, same}},
		{"3x3_one_pixel", conv{1, 1, 1, 4, 4, 3, 1, same}},
		{"3x3_valid", conv{1, 7, 8, 12, 20, 3, 1, [4]int{}}},
		{"3x3_s2", conv{1, 8, 8, 16, 16, 3, 2, same}},
		{"3x3_s2_odd", conv{1, 9, 7, 8, 12, 3, 2, same}},
		{"3x3_s2_bottom_right", conv{1, 8, 8, 8, 8, 3, 2, [4]int{0, 0, 1, 1}}},
		{"1x1", conv{1, 8, 8, 16, 40, 1, 1, [4]int{}}},
		{"1x1_s2", conv{1, 9, 9, 6, 10, 1, 2, [4]int{}}},
		{"5x5", conv{1, 10, 10, 8, 8, 5, 1, [4]int{2, 2, 2, 2}}},
		{"7x7_s4", conv{1, 16, 16, 3, 8, 7, 4, [4]int{3, 3, 3, 3}}},
		{"16x16_patch", conv{1, 32, 32, 3, 24, 16, 16, [4]int{}}},
		{"3x3_wide", conv{1, 16, 16, 96, 96, 3, 1, same}},
		{"3x3_taesd", conv{1, 32, 32, 64, 64, 3, 1, same}},
	} {
		cases = append(cases, one("conv2d/"+c.name, c.node))
	}
	for _, d := range []engine.DType{engine.F16, engine.BF16, engine.Q8, engine.Q4, engine.Q2} {
		weights := one("conv2d/3x3_"+d.String(), conv{1, 8, 8, 20, 24, 3, 1, same}.node)
		weights.Weights = d
		cases = append(cases, weights)
	}
	return append(cases,
		one("conv2d/no_bias", func(g *engine.Graph) *engine.Node {
			return engine.Conv2D(input(g, 1, 6, 6, 8), g.Weight("w", 8, 8, 3, 3), nil, 1, same)
		}),
		one("conv2d/relu", func(g *engine.Graph) *engine.Node {
			return engine.ReLU(conv{1, 8, 8, 16, 16, 3, 1, same}.node(g))
		}),
		one("conv2d/residual_relu", func(g *engine.Graph) *engine.Node {
			return engine.ReLU(engine.Add(conv{1, 8, 8, 16, 16, 3, 1, same}.node(g), input(g, 1, 8, 8, 16)))
		}),
		one("conv2d/residual_left", func(g *engine.Graph) *engine.Node {
			return engine.Add(input(g, 1, 7, 5, 13), conv{1, 7, 5, 13, 13, 3, 1, same}.node(g))
		}),
	)
}

// depthwise is conv's convolution with one kernel for each of its in channels.
func (c conv) depthwise(g *engine.Graph) *engine.Node {
	x := input(g, c.n, c.h, c.w, c.in)
	return engine.DepthwiseConv2D(x, g.Weight("w", c.in, 1, c.k, c.k), g.Weight("b", c.in), c.stride, c.pad)
}

func depthwiseCases() []Case {
	var cases []Case
	for _, c := range []struct {
		name string
		conv
	}{
		{"3x3", conv{1, 8, 8, 16, 16, 3, 1, same}},
		{"3x3_batch", conv{2, 9, 7, 24, 24, 3, 1, same}},
		{"3x3_c1", conv{1, 6, 5, 1, 1, 3, 1, same}},
		{"3x3_c3", conv{2, 5, 6, 3, 3, 3, 1, same}},
		{"3x3_odd", conv{1, 5, 3, 13, 13, 3, 1, same}},
		{"3x3_one_pixel", conv{1, 1, 1, 6, 6, 3, 1, same}},
		{"3x3_valid", conv{1, 7, 8, 12, 12, 3, 1, [4]int{}}},
		{"3x3_s2", conv{1, 8, 8, 16, 16, 3, 2, same}},
		{"3x3_s2_odd", conv{1, 9, 7, 10, 10, 3, 2, same}},
		{"3x3_s2_bottom_right", conv{1, 8, 8, 8, 8, 3, 2, [4]int{0, 0, 1, 1}}},
		{"1x1", conv{1, 4, 9, 8, 8, 1, 1, [4]int{}}},
		{"5x5", conv{1, 10, 11, 20, 20, 5, 1, [4]int{2, 2, 2, 2}}},
		{"7x7_s4", conv{1, 16, 17, 5, 5, 7, 4, [4]int{3, 3, 3, 3}}},
		{"3x3_wide", conv{1, 16, 16, 96, 96, 3, 1, same}},
	} {
		cases = append(cases, one("depthwise_conv2d/"+c.name, c.depthwise))
	}
	for _, d := range []engine.DType{engine.F16, engine.BF16, engine.Q8, engine.Q4, engine.Q2} {
		weights := one("depthwise_conv2d/3x3_"+d.String(), conv{1, 8, 8, 20, 20, 3, 1, same}.depthwise)
		weights.Weights = d
		cases = append(cases, weights)
	}
	return append(cases,
		one("depthwise_conv2d/no_bias", func(g *engine.Graph) *engine.Node {
			return engine.DepthwiseConv2D(input(g, 1, 6, 6, 8), g.Weight("w", 8, 1, 3, 3), nil, 1, same)
		}),
		one("depthwise_conv2d/silu", func(g *engine.Graph) *engine.Node {
			return engine.SiLU(conv{2, 7, 5, 11, 11, 3, 1, same}.depthwise(g))
		}),
		one("depthwise_conv2d/residual_relu", func(g *engine.Graph) *engine.Node {
			return engine.ReLU(engine.Add(conv{1, 7, 6, 13, 13, 3, 1, same}.depthwise(g), g.Input("r", engine.F32, 1, 7, 6, 13)))
		}),
		one("depthwise_conv2d/residual_of_itself", func(g *engine.Graph) *engine.Node {
			return engine.Add(input(g, 1, 7, 5, 12), conv{1, 7, 5, 12, 12, 3, 1, same}.depthwise(g))
		}),
	)
}

func foldCases() []Case {
	var cases []Case
	for _, f := range []struct {
		name                    string
		n, h, w, c, kh, kw      int
		stride, pad, outH, outW int
	}{
		{"2x2_s2", 1, 5, 4, 8, 2, 2, 2, 0, 10, 8}, {"3x3", 2, 4, 5, 5, 3, 3, 1, 1, 4, 5}, {"4x4_s2", 1, 6, 3, 12, 4, 4, 2, 1, 12, 6},
		{"1x3_s4", 1, 3, 3, 3, 1, 3, 4, 0, 9, 12}, {"one_pixel", 1, 1, 1, 1, 3, 3, 2, 1, 1, 1}, {"beyond", 1, 2, 2, 4, 2, 2, 2, 0, 7, 6},
	} {
		cases = append(cases, one("fold2d/"+f.name, func(g *engine.Graph) *engine.Node {
			return engine.Fold2D(input(g, f.n, f.h, f.w, f.kh*f.kw*f.c), g.Weight("b", f.c), f.kh, f.kw, f.stride, f.pad, f.outH, f.outW)
		}))
	}
	type transposed struct{ n, h, w, in, out, k, stride, pad, outPad int }
	node := func(t transposed) func(g *engine.Graph) *engine.Node {
		return func(g *engine.Graph) *engine.Node {
			return engine.ConvTranspose2D(input(g, t.n, t.h, t.w, t.in), g.Weight("w", t.in, t.out, t.k, t.k), g.Weight("b", t.out), t.stride, t.pad, t.outPad)
		}
	}
	for _, t := range []struct {
		name string
		transposed
	}{
		{"2x2_s2", transposed{1, 8, 8, 16, 24, 2, 2, 0, 0}}, {"4x4_s2", transposed{2, 5, 8, 12, 20, 4, 2, 1, 0}},
		{"3x3_s2", transposed{1, 6, 5, 7, 5, 3, 2, 1, 1}}, {"3x3", transposed{1, 7, 9, 5, 3, 3, 1, 1, 0}},
		{"16x16_patch", transposed{1, 3, 2, 8, 3, 16, 16, 0, 0}}, {"one_pixel", transposed{1, 1, 1, 3, 2, 3, 1, 1, 0}},
	} {
		cases = append(cases, one("conv_transpose2d/"+t.name, node(t.transposed)))
	}
	for _, d := range []engine.DType{engine.F16, engine.BF16, engine.Q8, engine.Q4, engine.Q2} {
		weights := one("conv_transpose2d/4x4_s2_"+d.String(), node(transposed{1, 5, 6, 20, 12, 4, 2, 1, 0}))
		weights.Weights = d
		cases = append(cases, weights)
	}
	return append(cases, one("conv_transpose2d/no_bias_relu", func(g *engine.Graph) *engine.Node {
		return engine.ReLU(engine.ConvTranspose2D(input(g, 1, 5, 4, 8), g.Weight("w", 8, 6, 2, 2), nil, 2, 0, 0))
	}))
}

// linear is x (rows, in) through a layer of out columns.
func linear(g *engine.Graph, in, out int, shape ...int) *engine.Node {
	return engine.Linear(input(g, append(shape, in)...), g.Weight("w", out, in), g.Weight("b", out))
}

func matmulCases() []Case {
	var cases []Case
	for _, s := range [][3]int{ // rows, in, out
		{1, 1, 1}, {1, 64, 64}, {2, 33, 17}, {5, 8, 8}, {6, 7, 9}, {7, 64, 3}, {64, 96, 384}, {77, 192, 192}, {13, 100, 31}, {1, 320, 1280},
	} {
		cases = append(cases, one(fmt.Sprintf("linear/%dx%dx%d", s[0], s[1], s[2]), func(g *engine.Graph) *engine.Node {
			return linear(g, s[1], s[2], s[0])
		}))
	}
	for _, d := range []engine.DType{engine.F16, engine.BF16, engine.Q8, engine.Q4, engine.Q2} {
		c := one("linear/"+d.String(), func(g *engine.Graph) *engine.Node { return linear(g, 75, 24, 2, 9) })
		c.Weights = d
		cases = append(cases, c)
	}
	for _, rows := range []int{1, 3, 40} { // several blocks of 128
		c := one(fmt.Sprintf("linear/q2_%d_rows", rows), func(g *engine.Graph) *engine.Node { return linear(g, 420, 72, rows) })
		c.Weights = engine.Q2
		cases = append(cases, c)
	}
	for _, act := range []engine.Op{engine.OpSiLU, engine.OpGELU, engine.OpGELUTanh, engine.OpQuickGELU, engine.OpReLU, engine.OpTanh, engine.OpSigmoid} {
		cases = append(cases, one("linear/act_"+act.String(), func(g *engine.Graph) *engine.Node {
			return engine.Activation(act, linear(g, 24, 20, 3, 5))
		}))
	}
	for _, m := range []struct {
		name           string
		batch, m, n, k int
		trans          bool
	}{
		{"plain", 1, 9, 12, 20, false}, {"trans", 1, 9, 12, 20, true}, {"batch", 3, 16, 16, 40, false},
		{"batch_trans", 6, 77, 33, 24, true}, {"one_row", 2, 1, 40, 64, false}, {"one_column", 2, 40, 1, 64, true},
	} {
		cases = append(cases, one("matmul/"+m.name, func(g *engine.Graph) *engine.Node {
			b := []int{m.batch, m.k, m.n}
			if m.trans {
				b = []int{m.batch, m.n, m.k}
			}
			return engine.MatMul(input(g, m.batch, m.m, m.k), g.Input("b", engine.F32, b...), m.trans)
		}))
	}
	return append(cases,
		one("linear/no_bias", func(g *engine.Graph) *engine.Node {
			return engine.Linear(input(g, 4, 24), g.Weight("w", 24, 24), nil)
		}),
		one("linear/residual", func(g *engine.Graph) *engine.Node {
			return engine.Add(linear(g, 24, 24, 2, 10), input(g, 2, 10, 24))
		}),
	)
}

func attentionCases() []Case {
	var cases []Case
	for _, a := range []struct {
		name                 string
		b, tq, tk, heads, hd int
		causal               bool
	}{
		{"self", 1, 64, 64, 4, 16, false}, {"batch", 2, 16, 16, 2, 8, false}, {"cross_77", 1, 64, 77, 4, 24, false},
		{"hd40", 1, 100, 100, 2, 40, false}, {"hd64_causal", 1, 77, 77, 3, 64, true}, {"hd160", 1, 20, 20, 1, 160, false},
		{"odd", 2, 7, 5, 3, 5, false}, {"one_query", 1, 1, 33, 2, 12, false}, {"one_key", 1, 9, 1, 2, 12, false},
		{"one_head", 1, 30, 30, 1, 32, false}, {"hd1", 1, 6, 6, 3, 1, false}, {"long", 1, 130, 300, 1, 8, false},
		{"causal_small", 2, 5, 5, 2, 4, true},
	} {
		cases = append(cases, one("attention/"+a.name, func(g *engine.Graph) *engine.Node {
			d := a.heads * a.hd
			k, v := g.Input("k", engine.F32, a.b, a.tk, d), g.Input("v", engine.F32, a.b, a.tk, d)
			return engine.Attention(input(g, a.b, a.tq, d), k, v, a.heads, 0.35, a.causal)
		}))
	}
	for _, tk := range []int{1, 13, 77, 600} { // longer than a block of keys, too
		cases = append(cases, one(fmt.Sprintf("attention/bias_%d", tk), func(g *engine.Graph) *engine.Node {
			k, v := g.Input("k", engine.F32, 2, tk, 24), g.Input("v", engine.F32, 2, tk, 24)
			bias := engine.Affine(engine.Clamp(g.Input("bias", engine.F32, 2, tk), 0, 1e-3), -1e7, 0) // half of the keys are padding
			return engine.BiasedAttention(input(g, 2, 20, 24), k, v, bias, 3, 0.35)
		}))
	}
	for _, a := range []struct {
		name           string
		tk, heads, kvs int
		causal, biased bool
	}{
		{"grouped", 21, 6, 2, false, false}, {"one_kv_head", 40, 4, 1, false, false}, {"grouped_causal", 20, 6, 3, true, false},
		{"causal_bias", 20, 3, 3, true, true}, {"grouped_causal_bias", 20, 8, 2, true, true}, {"grouped_bias", 33, 4, 2, false, true},
	} {
		cases = append(cases, one("attention/"+a.name, func(g *engine.Graph) *engine.Node {
			const hd = 12
			k, v := g.Input("k", engine.F32, 2, a.tk, a.kvs*hd), g.Input("v", engine.F32, 2, a.tk, a.kvs*hd)
			var bias *engine.Node
			if a.biased { // half of the keys are padding, for the first query too
				bias = engine.Affine(engine.Clamp(g.Input("bias", engine.F32, 2, a.tk), 0, 1e-3), -1e7, 0)
			}
			return engine.Attend(input(g, 2, 20, a.heads*hd), k, v, bias, engine.AttentionAttrs{Heads: a.heads, KVHeads: a.kvs, Scale: 0.3, Causal: a.causal})
		}))
	}
	return append(cases, one("attention/large_scores", func(g *engine.Graph) *engine.Node {
		x := engine.Affine(input(g, 1, 12, 16), 40, 0)
		return engine.Attention(x, x, x, 2, 1, false)
	}))
}

func normCases() []Case {
	var cases []Case
	norm := func(g *engine.Graph, groups int, shape ...int) *engine.Node {
		c := shape[len(shape)-1]
		return engine.GroupNorm(input(g, shape...), g.Weight("gamma", c), g.Weight("beta", c), groups, 1e-5)
	}
	for _, s := range []struct {
		name   string
		groups int
		shape  []int
	}{
		{"32", 32, []int{1, 8, 8, 64}}, {"batch", 4, []int{2, 5, 3, 12}}, {"one_group", 1, []int{1, 4, 4, 10}},
		{"per_channel", 6, []int{1, 4, 4, 6}}, {"per3", 32, []int{1, 8, 8, 96}}, {"per5", 32, []int{2, 4, 4, 160}}, {"tokens", 8, []int{2, 9, 32}},
	} {
		cases = append(cases,
			one("group_norm/"+s.name, func(g *engine.Graph) *engine.Node { return norm(g, s.groups, s.shape...) }),
			one("group_norm/"+s.name+"_silu", func(g *engine.Graph) *engine.Node { return engine.SiLU(norm(g, s.groups, s.shape...)) }))
	}
	for _, d := range []int{1, 3, 8, 64, 75, 192} {
		cases = append(cases,
			one(fmt.Sprintf("layer_norm/%d", d), func(g *engine.Graph) *engine.Node {
				return engine.LayerNorm(input(g, 2, 7, d), g.Weight("gamma", d), g.Weight("beta", d), 1e-5)
			}),
			one(fmt.Sprintf("rms_norm/%d", d), func(g *engine.Graph) *engine.Node {
				return engine.RMSNorm(input(g, 2, 7, d), g.Weight("gamma", d), 1e-6)
			}),
			one(fmt.Sprintf("softmax/%d", d), func(g *engine.Graph) *engine.Node { return engine.Softmax(input(g, 3, 5, d)) }))
	}
	return append(cases,
		one("group_norm/offset", func(g *engine.Graph) *engine.Node { // a mean far from 0: the variance must not cancel
			x := engine.Affine(input(g, 1, 8, 8, 16), 1, 100)
			return engine.GroupNorm(x, g.Weight("gamma", 16), g.Weight("beta", 16), 4, 1e-5)
		}),
		one("rms_norm/small", func(g *engine.Graph) *engine.Node { // eps decides
			return engine.RMSNorm(engine.Affine(input(g, 1, 3, 4, 16), 1e-4, 0), g.Weight("gamma", 16), 1e-6)
		}),
		one("softmax/large", func(g *engine.Graph) *engine.Node { return engine.Softmax(engine.Affine(input(g, 4, 33), 200, 0)) }),
	)
}

func elementwiseCases() []Case {
	var cases []Case
	for _, act := range []engine.Op{engine.OpSiLU, engine.OpGELU, engine.OpGELUTanh, engine.OpQuickGELU, engine.OpReLU, engine.OpTanh, engine.OpSigmoid} {
		for _, scale := range []float32{1, 30} { // and where exp would overflow or vanish
			cases = append(cases, one(fmt.Sprintf("%v/x%g", act, scale), func(g *engine.Graph) *engine.Node {
				return engine.Activation(act, engine.Affine(input(g, 3, 37), scale, 0))
			}))
		}
	}
	for _, s := range []struct {
		name string
		a, b []int
	}{
		{"same", []int{2, 5, 7}, []int{2, 5, 7}}, {"row", []int{2, 5, 8}, []int{8}}, {"per_image", []int{2, 3, 4, 12}, []int{2, 1, 1, 12}},
		{"column", []int{4, 6}, []int{4, 1}}, {"scalar", []int{3, 9}, []int{1}}, {"left", []int{5, 1}, []int{2, 5, 6}}, {"outer", []int{4, 1}, []int{1, 5}},
	} {
		for i, op := range []func(a, b *engine.Node) *engine.Node{engine.Add, engine.Sub, engine.Mul} {
			name := []string{"add/", "sub/", "mul/"}[i] + s.name
			cases = append(cases, one(name, func(g *engine.Graph) *engine.Node {
				return op(input(g, s.a...), g.Input("b", engine.F32, s.b...))
			}))
		}
	}
	for _, shape := range [][]int{{2, 5, 12}, {2, 3, 4, 7}, {3, 1, 8}, {2, 9}, {1, 40, 64}} {
		cases = append(cases, one(fmt.Sprintf("modulate/%v", shape), func(g *engine.Graph) *engine.Node {
			one := append([]int{shape[0]}, slices.Repeat([]int{1}, len(shape)-2)...)
			one = append(one, shape[len(shape)-1])
			return engine.Modulate(input(g, shape...), g.Input("shift", engine.F32, one...), g.Input("scale", engine.F32, one...))
		}))
	}
	for _, r := range []struct {
		name              string
		b, t, heads, half int
		each, interleaved bool // each batch has its own angles
	}{
		{"pairs", 2, 7, 3, 8, false, true}, {"halves", 2, 7, 3, 8, false, false}, {"pairs_odd", 1, 5, 2, 3, false, true},
		{"halves_odd", 1, 5, 2, 3, false, false}, {"pairs_each", 3, 4, 2, 4, true, true}, {"halves_each", 3, 4, 2, 4, true, false},
		{"one_pair", 1, 6, 4, 1, false, true}, {"wide", 1, 3, 2, 64, false, false},
	} {
		cases = append(cases, one("rotary_embedding/"+r.name, func(g *engine.Graph) *engine.Node {
			b := 1
			if r.each {
				b = r.b
			}
			angles := func(name string) *engine.Node { return g.Input(name, engine.F32, b, r.t, r.half) }
			return engine.RotaryEmbedding(input(g, r.b, r.t, r.heads*2*r.half), angles("cos"), angles("sin"), r.heads, r.interleaved)
		}))
	}
	return append(cases,
		one("affine/scale_shift", func(g *engine.Graph) *engine.Node { return engine.Affine(input(g, 5, 9), 2, -1) }),
		one("clamp/unit", func(g *engine.Graph) *engine.Node { return engine.Clamp(input(g, 5, 9), -0.5, 1) }),
		one("geglu/even", func(g *engine.Graph) *engine.Node { return engine.GEGLU(input(g, 2, 5, 64)) }),
		one("geglu/odd_half", func(g *engine.Graph) *engine.Node { return engine.GEGLU(input(g, 3, 14)) }),
	)
}
