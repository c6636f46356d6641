package enginetest

import (
	"fmt"

	"wisp/engine"
)

// reshapedTable gathers rows of a grid of places that is stored as (1, n, d).
func reshapedTable(g *engine.Graph) {
	table := engine.Reshape(g.Weight("table", 1, 10, 64), 10, 64)
	g.Output("y", engine.Embedding(table, g.Input("ids", engine.I32, 2, 9)))
}

func moveCases() []Case {
	var cases []Case
	for _, p := range []struct{ shape, axes []int }{
		{[]int{5, 7}, []int{1, 0}}, {[]int{2, 3, 4, 5}, []int{0, 2, 1, 3}}, {[]int{2, 3, 4, 5}, []int{0, 3, 1, 2}},
		{[]int{2, 6, 4}, []int{0, 1, 2}}, {[]int{2, 3, 4, 1, 5, 2}, []int{0, 1, 3, 2, 5, 4}},
	} {
		cases = append(cases, one(fmt.Sprintf("permute/%v", p.axes), func(g *engine.Graph) *engine.Node {
			return engine.Permute(input(g, p.shape...), p.axes...)
		}))
	}
	for axis := range 4 {
		cases = append(cases,
			one(fmt.Sprintf("concat/axis%d", axis), func(g *engine.Graph) *engine.Node {
				a, b := []int{2, 3, 4, 5}, []int{2, 3, 4, 5}
				b[axis] = 3
				return engine.Concat(axis, input(g, a...), g.Input("b", engine.F32, b...), input(g, a...))
			}),
			one(fmt.Sprintf("slice/axis%d", axis), func(g *engine.Graph) *engine.Node {
				return engine.Slice(input(g, 4, 5, 6, 9), axis, 1, 4)
			}))
	}
	for _, s := range [][2]int{{8, 8}, {7, 11}, {4, 4}, {3, 2}} {
		cases = append(cases, one(fmt.Sprintf("upsample2d/%dx%d", s[0], s[1]), func(g *engine.Graph) *engine.Node {
			return engine.Upsample2D(input(g, 2, 4, 4, 6), s[0], s[1])
		}))
	}
	return append(cases,
		one("embedding/ids", func(g *engine.Graph) *engine.Node {
			return engine.Embedding(g.Weight("table", 10, 24), g.Input("ids", engine.I32, 2, 13))
		}),
		Case{Name: "embedding/q8", Weights: engine.Q8, Build: func(g *engine.Graph) {
			g.Output("y", engine.Embedding(g.Weight("table", 10, 40), g.Input("ids", engine.I32, 9)))
		}},
		Case{Name: "embedding/q2", Weights: engine.Q2, Build: func(g *engine.Graph) {
			g.Output("y", engine.Embedding(g.Weight("table", 10, 300), g.Input("ids", engine.I32, 9)))
		}},
		Case{Name: "embedding/of_reshaped", Weights: engine.F16, Build: reshapedTable},
		Case{Name: "embedding/of_reshaped_q8", Weights: engine.Q8, Build: reshapedTable},
		Case{Name: "embedding/of_reshaped_q4_odd", Weights: engine.Q4, Build: func(g *engine.Graph) {
			table := engine.Reshape(g.Weight("table", 1, 10, 40), 10, 40) // its blocks cross the rows
			g.Output("y", engine.Embedding(table, g.Input("ids", engine.I32, 9)))
		}},
		one("reshape/then_op", func(g *engine.Graph) *engine.Node {
			return engine.Affine(engine.Reshape(input(g, 2, 3, 4), 6, -1), 1, 1)
		}),
		one("reshape/of_weight", func(g *engine.Graph) *engine.Node {
			return engine.Add(input(g, 2, 3, 4), engine.Reshape(g.Weight("position", 3, 4), 1, 3, 4))
		}),
	)
}

// planCases are small networks that stress the planner: skips, values used
// late, inputs and weights as outputs, several outputs.
func planCases() []Case {
	return []Case{
		one("plan/skip", func(g *engine.Graph) *engine.Node {
			x := input(g, 1, 8, 8, 16)
			y := x
			for i := range 4 {
				w := g.Weight(fmt.Sprintf("w%d", i), 16, 16, 3, 3)
				y = engine.SiLU(engine.Conv2D(y, w, nil, 1, same))
			}
			return engine.Concat(-1, engine.Add(y, x), x)
		}),
		{Name: "plan/outputs", Build: func(g *engine.Graph) {
			x := input(g, 4, 8)
			y := engine.Affine(x, 2, 0)
			g.Output("x", x)
			g.Output("y", y)
			g.Output("z", engine.Add(engine.Reshape(y, 8, 4), engine.Reshape(x, 8, 4)))
			g.Output("twice", engine.Add(y, y))
		}},
		one("plan/transformer", func(g *engine.Graph) *engine.Node {
			const d = 32
			x := input(g, 2, 16, d)
			lin := func(name string, x *engine.Node, out int) *engine.Node {
				return engine.Linear(x, g.Weight(name, out, x.Shape.Dim(-1)), g.Weight(name+"_b", out))
			}
			norm := func(name string, x *engine.Node) *engine.Node {
				return engine.LayerNorm(x, g.Weight(name, d), g.Weight(name+"_b", d), 1e-5)
			}
			h := norm("n1", x)
			a := engine.Attention(lin("q", h, d), lin("k", h, d), lin("v", h, d), 4, 0.35, false)
			x = engine.Add(x, lin("o", a, d))
			return engine.Add(lin("down", engine.GEGLU(lin("up", norm("n2", x), 8*d)), d), x)
		}),
	}
}
