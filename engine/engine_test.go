package engine

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// lifetimesOf lists where each value that owns or shares bytes is written and
// last read, taking reshapes as reads of their root.
func checkNoOverlap(t *testing.T, g *Graph, plan Plan) {
	t.Helper()
	last := lastUses(g)
	for i, n := range g.Nodes {
		off, ok := plan.Offsets[n]
		if !ok {
			continue
		}
		if off%ArenaAlign != 0 || off+4*n.Elems() > plan.Size {
			t.Errorf("%v at %d leaves the arena of %d bytes", n, off, plan.Size)
		}
		for j := i + 1; j < len(g.Nodes) && j < last[n]; j++ { // while n is still to be read
			m := g.Nodes[j]
			at, ok := plan.Offsets[m]
			if ok && Root(m) != Root(n) && at < off+4*n.Elems() && off < at+4*m.Elems() {
				t.Errorf("%v overwrites %v, which is read by node %d", m, n, last[n])
			}
		}
	}
}

func TestPlanRandomGraphs(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		g, err := Build(func(g *Graph) {
			values := []*Node{g.Input("a", F32, 4, 6), g.Input("b", F32, 4, 6)}
			pick := func() *Node { return values[r.IntN(len(values))] }
			for range 30 {
				var n *Node
				switch r.IntN(5) {
				case 0:
					n = Add(Reshape(pick(), 4, 6), Reshape(pick(), 4, 6))
				case 1:
					n = SiLU(pick())
				case 2:
					n = Reshape(pick(), 6, 4)
					n = Reshape(Affine(n, 2, 1), 4, 6)
				case 3:
					n = Slice(Concat(0, pick(), pick()), 0, 2, 6)
				case 4:
					n = Mul(pick(), g.Const(FromFloat32s(make([]float32, 6), 6)))
				}
				values = append(values, n)
			}
			g.Output("y", values[len(values)-1])
			g.Output("z", pick())
		})
		if err != nil {
			t.Fatal(err)
		}
		checkNoOverlap(t, g, MakePlan(g, nil))
		checkNoOverlap(t, g, MakePlan(g, func(n *Node, i int) bool { return n.Op == OpSiLU || n.Op == OpAdd }))
	}
}

func TestPlanReusesBytes(t *testing.T) {
	g, err := Build(func(g *Graph) {
		x := g.Input("x", F32, 1024)
		for range 20 {
			x = Affine(x, 2, 0)
		}
		g.Output("y", x)
	})
	if err != nil {
		t.Fatal(err)
	}
	if size := MakePlan(g, nil).Size; size != 2*4096 {
		t.Errorf("a chain takes %d bytes, want two values of 4096", size)
	}
	if size := MakePlan(g, func(*Node, int) bool { return true }).Size; size != 4096 {
		t.Errorf("an in-place chain takes %d bytes, want one value of 4096", size)
	}
}

func ops(g *Graph) string {
	var names []string
	for _, n := range g.Nodes {
		if !n.Op.IsSource() {
			names = append(names, n.Op.String())
		}
	}
	return strings.Join(names, " ")
}

func TestOptimize(t *testing.T) {
	all := func(*Node) bool { return true }
	same := [4]int{1, 1, 1, 1}
	for name, c := range map[string]struct {
		build             func(g *Graph) *Node
		fused, primitives string
	}{
		"conv, residual, relu": {func(g *Graph) *Node {
			x := g.Input("x", F32, 1, 4, 4, 8)
			return ReLU(Add(x, Conv2D(x, g.Weight("w", 8, 8, 3, 3), nil, 1, same)))
		}, "conv2d", "conv2d add relu"},
		"depthwise, residual, silu": {func(g *Graph) *Node {
			x := g.Input("x", F32, 1, 4, 4, 8)
			return SiLU(Add(DepthwiseConv2D(x, g.Weight("w", 8, 1, 3, 3), nil, 1, same), x))
		}, "depthwise_conv2d", "depthwise_conv2d add silu"},
		"norm, silu": {func(g *Graph) *Node {
			return SiLU(GroupNorm(g.Input("x", F32, 1, 4, 4, 8), g.Weight("a", 8), g.Weight("b", 8), 2, 0))
		}, "group_norm", "group_norm silu"},
		"a value used twice stays": {func(g *Graph) *Node {
			y := Linear(g.Input("x", F32, 2, 8), g.Weight("w", 8, 8), nil)
			return Mul(SiLU(y), y)
		}, "linear silu mul", "linear silu mul"},
		"doubling is not a residual": {func(g *Graph) *Node {
			y := Linear(g.Input("x", F32, 2, 8), g.Weight("w", 8, 8), nil)
			return Add(y, y)
		}, "linear add", "linear add"},
		"a broadcast is not a residual": {func(g *Graph) *Node {
			y := Linear(g.Input("x", F32, 1, 8), g.Weight("w", 8, 8), nil)
			return Add(y, g.Input("z", F32, 4, 8))
		}, "linear add", "linear add"},
		"unused nodes go": {func(g *Graph) *Node {
			x := g.Input("x", F32, 2, 8)
			SiLU(x)
			return ReLU(x)
		}, "relu", "relu"},
		"geglu": {func(g *Graph) *Node { return GEGLU(g.Input("x", F32, 2, 8)) }, "geglu", "slice slice gelu mul"},
	} {
		g, err := Build(func(g *Graph) { g.Output("y", c.build(g)) })
		if err != nil {
			t.Fatal(err)
		}
		if got := ops(Optimize(g, all)); got != c.fused {
			t.Errorf("%s: fused to %q, want %q", name, got, c.fused)
		}
		if got := ops(Optimize(g, Primitive)); got != c.primitives {
			t.Errorf("%s: lowered to %q, want %q", name, got, c.primitives)
		}
	}
}

// TestEveryCompositeIsExpanded: Lower leaves nothing to a backend that takes
// primitives only.
func TestEveryCompositeIsExpanded(t *testing.T) {
	for _, op := range Ops() {
		if op.IsComposite() != (expansions[op] != nil) {
			t.Errorf("%v: composite %v, but an expansion %v", op, op.IsComposite(), expansions[op] != nil)
		}
	}
}

func TestBuildErrorsNameOpAndInputs(t *testing.T) {
	for want, build := range map[string]func(g *Graph){
		"conv2d [input x(1,4,4,3), weight w(8,4,3,3)]: x has 3 channels, weight takes 4": func(g *Graph) {
			Conv2D(g.Input("x", F32, 1, 4, 4, 3), g.Weight("w", 8, 4, 3, 3), nil, 1, [4]int{})
		},
		"depthwise_conv2d [input x(1,4,4,6), weight w(6,2,3,3)]: want x (n,h,w,c) and weight (c,1,kh,kw)": func(g *Graph) {
			DepthwiseConv2D(g.Input("x", F32, 1, 4, 4, 6), g.Weight("w", 6, 2, 3, 3), nil, 1, [4]int{}) // three groups
		},
		"conv_transpose2d [input x(1,4,4,6), weight w(8,6,2,2)]: want": func(g *Graph) {
			ConvTranspose2D(g.Input("x", F32, 1, 4, 4, 6), g.Weight("w", 8, 6, 2, 2), nil, 2, 0, 0)
		},
		"output padding 2": func(g *Graph) {
			ConvTranspose2D(g.Input("x", F32, 1, 4, 4, 6), g.Weight("w", 6, 8, 2, 2), nil, 2, 0, 2)
		},
		"patches of 2×2": func(g *Graph) { Fold2D(g.Input("x", F32, 1, 4, 4, 6), nil, 2, 2, 2, 0, 8, 8) },
		"fold2d [input x(1,4,4,8), weight b(4)]: bias is [4], want (2)": func(g *Graph) {
			Fold2D(g.Input("x", F32, 1, 4, 4, 8), g.Weight("b", 4), 2, 2, 2, 0, 8, 8)
		},
		"linear [input x(2,5), weight w(3,4)]": func(g *Graph) { Linear(g.Input("x", F32, 2, 5), g.Weight("w", 3, 4), nil) },
		"want q (b,tq,4·hd), k and v (b,tk,3·hd)": func(g *Graph) {
			k := g.Input("k", F32, 1, 2, 6)
			Attend(g.Input("q", F32, 1, 2, 8), k, k, nil, AttentionAttrs{Heads: 4, KVHeads: 3})
		},
		"attention [input q(1,2,8), input k(1,2,8), input k(1,2,8), input bias(2,2)]: bias is [2 2]": func(g *Graph) {
			k := g.Input("k", F32, 1, 2, 8)
			Attend(g.Input("q", F32, 1, 2, 8), k, k, g.Input("bias", F32, 2, 2), AttentionAttrs{Heads: 4, Causal: true})
		},
		"rms_norm [input x(2,5), weight w(4)]": func(g *Graph) { RMSNorm(g.Input("x", F32, 2, 5), g.Weight("w", 4), 0) },
		"want x (b,…,d), shift and scale [2 1 5]": func(g *Graph) {
			Modulate(g.Input("x", F32, 2, 3, 5), g.Input("a", F32, 2, 1, 5), g.Input("b", F32, 1, 1, 5))
		},
		"rotary_embedding [input x(2,3,12), input cos(1,3,4), input cos(1,3,4)]: want x (b,t,2·hd)": func(g *Graph) {
			cos := g.Input("cos", F32, 1, 3, 4)
			RotaryEmbedding(g.Input("x", F32, 2, 3, 12), cos, cos, 2, true)
		},
		"shapes do not broadcast": func(g *Graph) { Add(g.Input("x", F32, 2, 5), g.Input("y", F32, 2, 4)) },
		"cannot become [3 3]":     func(g *Graph) { Reshape(g.Input("x", F32, 2, 5), 3, 3) },
		"group_norm":              func(g *Graph) { GroupNorm(g.Input("x", F32, 1, 2, 6), g.Weight("a", 6), g.Weight("b", 6), 4, 0) },
		"declared again":          func(g *Graph) { g.Weight("w", 2); g.Weight("w", 3) },
		"bad shape":               func(g *Graph) { g.Input("x", F32, 2, 0) },
		"bad axes":                func(g *Graph) { Permute(g.Input("x", F32, 2, 5), 1, 1) },
		"no output":               func(g *Graph) { g.Input("x", F32, 2) },
		"smaller than the kernel": func(g *Graph) { Conv2D(g.Input("x", F32, 1, 2, 2, 1), g.Weight("w", 1, 1, 3, 3), nil, 1, [4]int{}) },
	} {
		g, err := Build(build)
		if err == nil || !strings.Contains(err.Error(), want) || g != nil {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

func TestTensorRoundTrip(t *testing.T) {
	if err := (Tensor{F32, Shape{2, 3}, make([]byte, 23)}).Validate(); err == nil {
		t.Error("a short tensor is valid")
	}
	// Two rows of 3: scales 1 and 0.5 (f16), then the weights.
	q8 := Tensor{Q8, Shape{2, 3}, []byte{0, 0x3c, 0, 0x38, 1, 0xff, 127, 2, 0xfe, 0}}
	q4 := Tensor{Q4, Shape{2, 3}, []byte{0, 0x3c, 0, 0x38, 0x79, 0x0f, 0x8a, 0x08}}
	for _, c := range []struct {
		t    Tensor
		want []float32
	}{{q8, []float32{1, -1, 127, 1, -1, 0}}, {q4, []float32{1, -1, 7, 1, 0, 0}}} {
		if err := c.t.Validate(); err != nil {
			t.Fatal(err)
		}
		for i, got := range c.t.Float32s() {
			if got != c.want[i] {
				t.Errorf("%v element %d is %v, want %v", c.t.DType, i, got, c.want[i])
			}
		}
	}
}

// TestValidateOverflow: a product of extents that overflows is no size.
func TestValidateOverflow(t *testing.T) {
	for _, s := range []Shape{{1 << 30, 1 << 30, 16}, {1 << 30, 1 << 30, 1 << 30, 1 << 30}, {1 << 31}, {-1, -1}} {
		if err := (Tensor{DType: F32, Shape: s}).Validate(); err == nil {
			t.Errorf("%v passes", s)
		}
	}
	if err := (Tensor{DType: F32, Shape: Shape{1 << 30, 0, 1 << 30, 1 << 30}}).Validate(); err != nil {
		t.Error(err)
	}
}
