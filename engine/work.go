package engine

import (
	"context"
	"fmt"
	"time"
)

// FLOPs is how many floating-point operations the graph's products take,
// multiplications and additions: what its time is made of.
func (g *Graph) FLOPs() (sum float64) {
	for _, n := range g.Nodes {
		switch n.Op {
		case OpConv2D, OpDepthwiseConv2D, OpLinear: // of each element, a row of the weight
			w := n.Inputs[1].Shape
			sum += 2 * float64(n.Elems()) * float64(w.Elems()/w[0])
		case OpMatMul:
			sum += 2 * float64(n.Elems()) * float64(n.Inputs[0].Shape.Dim(-1))
		case OpAttention: // scores, then their sum of values
			sum += 4 * float64(n.Elems()) * float64(n.Inputs[1].Shape[1])
		}
	}
	return sum
}

// Rate measures how many floating-point operations a second a backend makes in
// a product of matrices, in some tenths of a second at most.
func Rate(ctx context.Context, b Backend) (float64, error) {
	const rows, d, layers = 256, 1024, 2
	g, err := Build(func(g *Graph) {
		x := g.Input("x", F32, rows, d)
		for range layers {
			x = Linear(x, g.Weight("w", d, d), nil)
		}
		g.Output("y", x)
	})
	if err != nil {
		return 0, err
	}
	w, err := b.Upload(NewTensor(F32, d, d))
	if err != nil {
		return 0, err
	}
	defer w.Release()
	p, err := b.Compile(g, map[string]Buffer{"w": w})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	in, out := map[string]Tensor{"x": NewTensor(F32, rows, d)}, map[string]Tensor{"y": NewTensor(F32, rows, d)}
	best, all := time.Duration(0), time.Now()
	for i := 0; i < 2 || i < 5 && time.Since(all) < time.Second/5; i++ { // the first has threads start
		begun := time.Now()
		if err := p.Run(ctx, in, out); err != nil {
			return 0, fmt.Errorf("engine: rate: %w", err)
		}
		if took := time.Since(begun); i == 1 || i > 1 && took < best {
			best = took
		}
	}
	return g.FLOPs() / max(best, time.Millisecond).Seconds(), nil // some clocks are coarser
}
