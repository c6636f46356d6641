// An example writes what it printed to a file, which a browser has not.

//go:build !js

package engine_test

import (
	"context"
	"fmt"

	"wisp/engine"
	"wisp/engine/cpu"
)

// A layer: the graph is drawn once, compiled once, and run as often as wanted.
func Example() {
	g, err := engine.Build(func(g *engine.Graph) {
		x := g.Input("x", engine.F32, 2, 3)
		g.Output("y", engine.ReLU(engine.Linear(x, g.Weight("weight", 2, 3), g.Weight("bias", 2))))
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := cpu.New()
	defer b.Close()
	weights := map[string]engine.Buffer{}
	for name, t := range map[string]engine.Tensor{
		"weight": engine.FromFloat32s([]float32{1, 0, 1, 0, -1, 0}, 2, 3),
		"bias":   engine.FromFloat32s([]float32{0, 1}, 2),
	} {
		if weights[name], err = b.Upload(t); err != nil {
			fmt.Println(err)
			return
		}
	}
	p, err := b.Compile(g, weights)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	in := map[string]engine.Tensor{"x": engine.FromFloat32s([]float32{1, 2, 3, 4, 5, 6}, 2, 3)}
	out := map[string]engine.Tensor{"y": engine.NewTensor(engine.F32, 2, 2)}
	if err := p.Run(context.Background(), in, out); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out["y"].Float32s())
	// Output: [4 0 10 0]
}

// A shape that does not fit is an error that names the op, not a panic.
func ExampleBuild() {
	_, err := engine.Build(func(g *engine.Graph) {
		g.Output("y", engine.Add(g.Input("a", engine.F32, 2, 3), g.Input("b", engine.F32, 4)))
	})
	fmt.Println(err != nil)
	// Output: true
}
