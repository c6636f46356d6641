package simd

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/enginetest"
)

func build(t testing.TB, f func(g *engine.Graph)) *engine.Graph {
	t.Helper()
	g, err := engine.Build(f)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestSharedWeight compiles one uploaded weight for several graphs that need
// it in different forms, in an order that drops the stored form in between.
func TestSharedWeight(t *testing.T) {
	flavours(t, func(t *testing.T, b *backend) {
		for _, dtype := range []engine.DType{engine.F32, engine.F16, engine.Q8} {
			packed := build(t, func(g *engine.Graph) {
				g.Output("y", engine.Linear(g.Input("x", engine.F32, 3, 10), g.Weight("w", 21, 10), nil))
			})
			single := build(t, func(g *engine.Graph) {
				g.Output("y", engine.Add(g.Input("x", engine.F32, 21, 10), g.Weight("w", 21, 10)))
			})
			rows := build(t, func(g *engine.Graph) {
				g.Output("y", engine.Embedding(g.Weight("w", 21, 10), g.Input("ids", engine.I32, 4)))
			})
			_, weights := enginetest.Data(packed, dtype)
			w, err := b.Upload(weights["w"])
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for _, g := range []*engine.Graph{packed, single, rows} {
					compareWith(t, b, g, map[string]engine.Buffer{"w": w}, weights)
				}
			}
			w.Release()
		}
	})
}

// compareWith runs g with buffers of b and compares with the oracle.
func compareWith(t *testing.T, b *backend, g *engine.Graph, buffers map[string]engine.Buffer, weights map[string]engine.Tensor) {
	t.Helper()
	in, _ := enginetest.Data(g, engine.F32)
	got, want := runOnce(t, b, g, buffers, in), oracle(t, g, weights, in)
	if err := enginetest.Compare(got, want, enginetest.Tolerance); err != nil {
		t.Errorf("%v: %v", g.Outputs[0].Node, err)
	}
}

// TestManyPrograms alternates programs that share the arena: a larger one
// moves it, and the smaller ones must follow.
func TestManyPrograms(t *testing.T) {
	b := open(t, Options{})
	var programs []engine.Program
	var graphs []*engine.Graph
	for i := range 4 {
		g := build(t, func(g *engine.Graph) {
			x := g.Input("x", engine.F32, 1, 8<<i, 8<<i, 4)
			g.Output("y", engine.SiLU(engine.Mul(engine.Softmax(x), g.Const(engine.FromFloat32s([]float32{1, 2, 3, 4}, 4)))))
		})
		p, err := b.Compile(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		graphs, programs = append(graphs, g), append(programs, p)
		for j := len(programs) - 1; j >= 0; j-- {
			in, _ := enginetest.Data(graphs[j], engine.F32)
			got := engine.NewTensor(engine.F32, graphs[j].Outputs[0].Node.Shape...)
			if err := programs[j].Run(context.Background(), in, map[string]engine.Tensor{"y": got}); err != nil {
				t.Fatal(err)
			}
			if err := enginetest.Compare(got, oracle(t, graphs[j], nil, in), enginetest.Tolerance); err != nil {
				t.Errorf("program %d of %d: %v", j, len(programs), err)
			}
		}
	}
}

// TestNoLeak makes sure that closing and releasing gives all memory back.
func TestNoLeak(t *testing.T) {
	b := open(t, Options{})
	g := build(t, func(g *engine.Graph) {
		h := engine.Linear(g.Input("x", engine.F32, 5, 64), g.Weight("w", 64, 64), g.Weight("b", 64))
		g.Output("y", engine.Add(h, g.Const(engine.NewTensor(engine.F32, 64))))
	})
	in, weights := enginetest.Data(g, engine.F16)
	var free []int
	for range 3 {
		buffers := map[string]engine.Buffer{}
		for name, w := range weights {
			buffers[name], _ = b.Upload(w)
		}
		runOnce(t, b, g, buffers, in)
		for _, w := range buffers {
			w.Release()
		}
		total := 0
		for _, s := range b.mem.free {
			total += s.size
		}
		free = append(free, b.mem.size-total)
	}
	if free[1] != free[0] || free[2] != free[0] {
		t.Errorf("bytes in use after each round: %v", free)
	}
}

func TestRunErrors(t *testing.T) {
	b := open(t, Options{})
	g := build(t, func(g *engine.Graph) {
		g.Output("y", engine.Embedding(g.Weight("w", 9, 4), g.Input("ids", engine.I32, 2)))
	})
	_, weights := enginetest.Data(g, engine.F32)
	if _, err := b.Compile(g, nil); err == nil || !strings.Contains(err.Error(), `"w" is missing`) {
		t.Errorf("missing weight: %v", err)
	}
	w, err := b.Upload(weights["w"])
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Compile(g, map[string]engine.Buffer{"w": w})
	if err != nil {
		t.Fatal(err)
	}
	for _, ids := range [][]int32{{0, 9}, {-1, 0}} {
		err := p.Run(context.Background(), map[string]engine.Tensor{"ids": engine.FromInt32s(ids, 2)}, nil)
		if err == nil || !strings.Contains(err.Error(), `input "ids"`) {
			t.Errorf("ids %v: %v", ids, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err = p.Run(ctx, map[string]engine.Tensor{"ids": engine.NewTensor(engine.I32, 2)}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	short := weights["w"]
	short.Data = short.Data[:7]
	if _, err := b.Upload(short); err == nil {
		t.Error("a short tensor was taken")
	}
}

// TestStream: a weight's memory ends where it ends, and is given back where
// filling it fails.
func TestStream(t *testing.T) {
	b := open(t, Options{})
	free := slices.Clone(b.mem.free)
	mine := errors.New("mine")
	_, err := b.Stream(engine.F16, engine.Shape{3, 5}, func(w io.WriterAt) error {
		for _, c := range []struct {
			at int64
			n  int
			ok bool
		}{{0, 30, true}, {29, 1, true}, {30, 0, true}, {29, 2, false}, {-1, 1, false}, {31, 0, false}, {1 << 40, 1, false}} {
			if n, err := w.WriteAt(make([]byte, c.n), c.at); (err == nil) != c.ok || c.ok && n != c.n {
				t.Errorf("%d bytes at %d: %d, %v", c.n, c.at, n, err)
			}
		}
		return mine
	})
	if err != mine || !slices.Equal(b.mem.free, free) {
		t.Errorf("%v; free %v, before %v", err, b.mem.free, free)
	}
	full := &backend{host: b.host, fl: b.fl, mem: newMemory(&ramHost{pages: 1, limit: 2})}
	if _, err := full.Stream(engine.F32, engine.Shape{1 << 20}, func(io.WriterAt) error { t.Error("filled"); return nil }); !errors.Is(err, engine.ErrOutOfMemory) {
		t.Errorf("without memory: %v", err)
	}
	if _, err := b.Stream(engine.F32, engine.Shape{-1}, nil); err == nil {
		t.Error("a negative extent was taken")
	}
}

// TestSlices makes sure that a long program is cut, so that a cancellation
// between two slices is seen, and that pieces of one op add up.
func TestSlices(t *testing.T) {
	b := open(t, Options{})
	g := build(t, func(g *engine.Graph) {
		x := g.Input("x", engine.F32, 700, 1000)
		g.Output("y", engine.Linear(x, g.Weight("w", 1600, 1000), nil))
	})
	w, err := b.Upload(engine.NewTensor(engine.F32, 1600, 1000))
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Compile(g, map[string]engine.Buffer{"w": w})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.(*program).cuts); n < 1 {
		t.Errorf("%d cuts in a program of 2.2 GFLOP", n)
	}
	in, _ := enginetest.Data(g, engine.F32)
	out := engine.NewTensor(engine.F32, 700, 1600)
	out.Data[len(out.Data)-1] = 1
	if err := p.Run(context.Background(), in, map[string]engine.Tensor{"y": out}); err != nil {
		t.Fatal(err)
	}
	for i, v := range out.Float32s() {
		if v != 0 {
			t.Fatalf("element %d is %v, want 0", i, v)
		}
	}
}
