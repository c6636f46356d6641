package enginetest

import (
	"math"
	"testing"

	"wisp/engine"
)

// NaN checks that no kernel of a backend takes what is no number for one: the
// picture would be black or noisy, and nothing would tell.
func NaN(t *testing.T, b engine.Backend) {
	same := [4]int{1, 1, 1, 1}
	cases := map[string]func(g *engine.Graph, x *engine.Node) *engine.Node{
		"clamp":   func(_ *engine.Graph, x *engine.Node) *engine.Node { return engine.Clamp(x, -1, 1) },
		"softmax": func(_ *engine.Graph, x *engine.Node) *engine.Node { return engine.Softmax(x) },
		"linear, relu": func(g *engine.Graph, x *engine.Node) *engine.Node {
			return engine.ReLU(engine.Linear(x, g.Weight("w", 8, 8), g.Weight("b", 8)))
		},
		"conv2d, relu": func(g *engine.Graph, x *engine.Node) *engine.Node {
			return engine.ReLU(engine.Conv2D(x, g.Weight("w", 16, 8, 3, 3), g.Weight("b", 16), 1, same))
		},
		"conv2d of stride 2, relu": func(g *engine.Graph, x *engine.Node) *engine.Node {
			return engine.ReLU(engine.Conv2D(x, g.Weight("w", 16, 8, 3, 3), g.Weight("b", 16), 2, same))
		},
		"group_norm, relu": func(g *engine.Graph, x *engine.Node) *engine.Node {
			return engine.ReLU(engine.GroupNorm(x, g.Weight("w", 8), g.Weight("b", 8), 4, 1e-5))
		},
		"attention": func(_ *engine.Graph, x *engine.Node) *engine.Node {
			x = engine.Reshape(x, 1, 256, 8)
			return engine.Attention(x, x, x, 2, 1, false)
		},
	}
	for _, op := range []engine.Op{engine.OpSiLU, engine.OpGELU, engine.OpGELUTanh, engine.OpQuickGELU, engine.OpReLU, engine.OpTanh, engine.OpSigmoid} {
		cases[op.String()] = func(_ *engine.Graph, x *engine.Node) *engine.Node { return engine.Activation(op, x) }
	}
	for name, build := range cases {
		g, err := engine.Build(func(g *engine.Graph) { g.Output("y", build(g, input(g, 1, 16, 16, 8))) })
		if err != nil {
			t.Fatal(err)
		}
		in, weights := Data(g, engine.F32)
		nan := make([]float32, in["x"].Shape.Elems())
		for i := range nan {
			nan[i] = float32(math.NaN())
		}
		in["x"] = engine.FromFloat32s(nan, in["x"].Shape...)
		out, err := execute(b, g, in, weights, 1)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, v := range out[0]["y"].Float32s() {
			if v == v {
				t.Errorf("%s: element %d is %v", name, i, v)
				break
			}
		}
	}
}
