package cpu_test

import (
	"context"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/enginetest"
)

// counting counts the runs of the programs it compiles, in their order.
type counting struct {
	engine.Backend
	runs []*int
}

type counted struct {
	engine.Program
	runs *int
}

func (b *counting) Compile(g *engine.Graph, weights map[string]engine.Buffer) (engine.Program, error) {
	p, err := b.Backend.Compile(g, weights)
	b.runs = append(b.runs, new(int))
	return counted{p, b.runs[len(b.runs)-1]}, err
}

func (p counted) Run(ctx context.Context, in, out map[string]engine.Tensor) error {
	*p.runs++
	return p.Program.Run(ctx, in, out)
}

// TestCompileFixed: what follows from the text is computed when that changes,
// and the results are those of the program in one piece.
func TestCompileFixed(t *testing.T) {
	g, err := engine.Build(func(g *engine.Graph) {
		x, text := g.Input("x", engine.F32, 1, 6, 8), g.Input("text", engine.F32, 1, 5, 4)
		k, v := engine.Linear(text, g.Weight("k", 8, 4), nil), engine.Linear(engine.SiLU(text), g.Weight("v", 8, 4), g.Weight("b", 8))
		h := engine.Attention(engine.Linear(x, g.Weight("q", 8, 8), nil), engine.Reshape(k, 1, 5, 8), v, 2, 0.5, false)
		g.Output("y", engine.Add(h, engine.Slice(k, 1, 0, 1)))
		g.Output("tokens", v)
		g.Output("size", engine.Reshape(text, 20))
	})
	if err != nil {
		t.Fatal(err)
	}
	in, weights := enginetest.Data(g, engine.F32)
	b := &counting{Backend: cpu.New()}
	buffers := map[string]engine.Buffer{}
	for name, w := range weights {
		if buffers[name], err = b.Upload(w); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := cpu.New().Compile(g, buffers)
	if err != nil {
		t.Fatal(err)
	}
	p, err := engine.CompileFixed(b, g, buffers, "text")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	run := func(p engine.Program) map[string]engine.Tensor {
		out := map[string]engine.Tensor{}
		for _, o := range g.Outputs {
			out[o.Name] = engine.NewTensor(engine.F32, o.Node.Shape...)
		}
		if err := p.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for i, want := range []struct {
		input       string // that changes before the run
		early, late int    // runs after it
	}{{"", 1, 1}, {"x", 1, 2}, {"text", 2, 3}, {"", 2, 4}} {
		if want.input != "" {
			in[want.input].Data[2] ^= 1
		}
		expected, got := run(whole), run(p)
		for name := range expected {
			if string(got[name].Data) != string(expected[name].Data) {
				t.Errorf("run %d: %s differs from that of one program", i, name)
			}
		}
		if *b.runs[0] != want.early || *b.runs[1] != want.late {
			t.Errorf("run %d: the early part ran %d times, the late one %d; want %d and %d", i, *b.runs[0], *b.runs[1], want.early, want.late)
		}
	}
	short := map[string]engine.Tensor{"x": in["x"], "text": engine.NewTensor(engine.F32, 1, 5, 3)}
	if err := p.Run(context.Background(), short, nil); err == nil {
		t.Error("a text of another shape was taken")
	}
	run(p)
	if *b.runs[0] != 4 {
		t.Errorf("the early part ran %d times, want once more after a failure", *b.runs[0])
	}
	// Nothing follows from x alone but by the text: one program.
	b.runs = nil
	if _, err := engine.CompileFixed(b, g, buffers); err != nil || len(b.runs) != 1 {
		t.Errorf("nothing fixed: %d programs, %v", len(b.runs), err)
	}
}
