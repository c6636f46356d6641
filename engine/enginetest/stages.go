package enginetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"wisp/engine"
)

// shelf counts what is taken from it, and the most bytes at once.
type shelf struct {
	backend  engine.Backend
	weights  map[string]engine.Tensor
	now, top int64
	taken    []string
	fail     int // the Take that fails; 0 for none
	takes    int
	ahead    int // takes beside a run
}

// besides tells that what calls it is not called by a program's Run, but goes on
// beside it.
func besides() bool {
	stack := make([]byte, 1<<14)
	return !strings.Contains(string(stack[:runtime.Stack(stack, false)]), "(*stagedProgram).Run(")
}

// overlaps tells whether a backend takes weights while a program runs.
func overlaps(b engine.Backend) bool {
	o, ok := b.(engine.Overlapping)
	return ok && o.Overlaps()
}

func (s *shelf) Size(name string) int64 { return int64(len(s.weights[name].Data)) }

func (s *shelf) Take(_ context.Context, names []string) (map[string]engine.Buffer, error) {
	if besides() {
		s.ahead++
	}
	if s.takes++; s.takes == s.fail {
		return nil, errGone
	}
	got := map[string]engine.Buffer{}
	for _, name := range names {
		b, err := s.backend.Upload(s.weights[name])
		if err != nil {
			return nil, err
		}
		got[name] = b
		s.now += s.Size(name)
	}
	s.top = max(s.top, s.now)
	s.taken = append(s.taken, names...)
	return got, nil
}

func (s *shelf) Leave(weights map[string]engine.Buffer) {
	for name, b := range weights {
		b.Release()
		s.now -= s.Size(name)
	}
}

var errGone = errors.New("gone")

// transformer is a graph of equal blocks, with what all of them read.
func transformer(t testing.TB, blocks int) *engine.Graph {
	t.Helper()
	const d, tokens = 32, 12
	g, err := engine.Build(func(g *engine.Graph) {
		x := engine.Linear(g.Input("x", engine.F32, 1, tokens, 16), g.Weight("in", d, 16), g.Weight("in.b", d))
		when := engine.SiLU(engine.Linear(g.Input("t", engine.F32, 1, 8), g.Weight("time", d, 8), nil))
		scale := engine.Reshape(g.Weight("scale", d), 1, 1, d) // a view of a weight, in every block
		for i := range blocks {
			w := func(name string, shape ...int) *engine.Node { return g.Weight(fmt.Sprintf("%d.%s", i, name), shape...) }
			shift := engine.Reshape(engine.Linear(when, w("shift", d, d), nil), 1, 1, d)
			h := engine.Add(engine.Mul(engine.RMSNorm(x, w("norm", d), 1e-6), scale), shift)
			a := engine.Attention(engine.Linear(h, w("q", d, d), nil), engine.Linear(h, w("k", d, d), nil), engine.Linear(h, w("v", d, d), nil), 4, 0.3, false)
			x = engine.Add(x, engine.Linear(a, w("o", d, d), nil))
			x = engine.Add(x, engine.Linear(engine.GELU(engine.Linear(x, w("up", 4*d, d), w("up.b", 4*d))), w("down", d, 4*d), nil))
			if i == 1 {
				g.Output("early", x)
			}
		}
		g.Output("y", engine.Linear(x, g.Weight("out", 16, d), nil))
		g.Output("same", engine.Reshape(g.Input("t", engine.F32, 1, 8), 8))
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Stages checks on a backend that in stages a graph gives the bits that it gives
// in one piece, with no more weights at once than the budget, that what fits
// stays, and that the rest is read while the stages before run, where the backend
// can do both.
func Stages(t testing.TB, b engine.Backend) {
	t.Helper()
	g := transformer(t, 6)
	in, weights := Data(g, engine.F32)
	s := &shelf{backend: b, weights: weights}
	all := map[string]engine.Buffer{}
	var total int64
	var err error
	for name, w := range weights {
		if all[name], err = b.Upload(w); err != nil {
			t.Fatal(err)
		}
		total += s.Size(name)
	}
	whole, err := b.Compile(g, all)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	want := outputs()
	if err := whole.Run(t.Context(), in, want); err != nil {
		t.Fatal(err)
	}
	for _, share := range []int64{1, 3, 20} { // of 4
		s := &shelf{backend: b, weights: weights}
		budget := total * share / 4
		p, err := engine.CompileStages(b, g, budget, s)
		if err != nil {
			t.Fatal(err)
		}
		for run := range 2 {
			s.taken, s.ahead = nil, 0
			takes := s.takes
			got := outputs()
			if err := p.Run(t.Context(), in, got); err != nil {
				t.Fatal(err)
			}
			for name := range want {
				if !slices.Equal(got[name].Data, want[name].Data) {
					t.Errorf("%s, %d/4, run %d: %s has other bits", b.Name(), share, run, name)
				}
			}
			read := s.takes - takes
			if least := max(0, read-1); overlaps(b) && s.ahead < least || !overlaps(b) && s.ahead > 0 {
				t.Errorf("%s, %d/4, run %d: %d of %d reads beside the stage before", b.Name(), share, run, s.ahead, read)
			}
			again := int64(0)
			for _, name := range s.taken {
				again += s.Size(name)
			}
			if most := max(0, total-budget/2+4096); run > 0 && (again > most || share == 20 && again > 0) {
				t.Errorf("%s, %d/4: run %d brings %d bytes of %d, at most %d are needed", b.Name(), share, run, again, total, most)
			}
		}
		if s.top > budget {
			t.Errorf("%s, %d/4: %d bytes at once, the budget is %d of %d", b.Name(), share, s.top, budget, total)
		}
		// A weight that cannot be had ends the run, and the next one goes on.
		s.fail = s.takes + 1
		if err := p.Run(t.Context(), in, outputs()); share < 4 && !errors.Is(err, errGone) {
			t.Errorf("%s, %d/4: a weight is gone: %v", b.Name(), share, err)
		}
		if err := p.Run(t.Context(), in, outputs()); err != nil {
			t.Errorf("%s, %d/4: after that: %v", b.Name(), share, err)
		}
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Run(stopped, in, outputs()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", b.Name(), err)
		}
		if err := p.Close(); err != nil || s.now != 0 {
			t.Errorf("%s: closed, %d bytes are left (%v)", b.Name(), s.now, err)
		}
	}
}

func outputs() map[string]engine.Tensor {
	return map[string]engine.Tensor{"y": engine.NewTensor(engine.F32, 1, 12, 16), "early": engine.NewTensor(engine.F32, 1, 12, 32), "same": engine.NewTensor(engine.F32, 8)}
}
