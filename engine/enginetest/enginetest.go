// Package enginetest is the op table that every backend runs: the same cases
// check a backend against engine/cpu, serve as its benchmark and print what it
// supports. It knows no backend but the oracle. Start at [Cases] and [Run].
package enginetest

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
)

// Case is one graph of the table.
type Case struct {
	Name  string // op/what: "conv2d/3x3_s2"
	Build func(g *engine.Graph)
	NMSE  float64 // allowed normalised mean squared error against the oracle; 0 means Tolerance

	// Weights overrides the storage type of all 2-D and 4-D weights.
	Weights engine.DType
}

// Tolerance is the default bound on the normalised mean squared error in f32.
const Tolerance = 1e-7

// runs is how often each program is executed: a second and third run find
// state that leaks from one to the next.
const runs = 3

// Run checks a backend on every case of the table.
func Run(t *testing.T, b engine.Backend) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { Check(t, b, c) })
	}
}

// Check runs one case on the backend and on the oracle and compares all
// outputs. Fused forms are compared against the unfused graph.
func Check(t testing.TB, b engine.Backend, c Case) {
	t.Helper()
	g, err := engine.Build(c.Build)
	if err != nil {
		t.Fatal(err)
	}
	in, weights := Data(g, c.Weights)
	want, err := execute(cpu.Plain(), g, in, weights, 1)
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	got, err := execute(b, g, in, weights, runs)
	if err != nil {
		t.Fatal(err)
	}
	bound := c.NMSE
	if bound == 0 {
		bound = Tolerance
	}
	for _, o := range g.Outputs {
		reference := want[0][o.Name]
		for i, result := range got {
			if err := Compare(result[o.Name], reference, bound); err != nil {
				t.Errorf("run %d, output %q: %v", i, o.Name, err)
			}
			if string(result[o.Name].Data) != string(got[0][o.Name].Data) {
				t.Errorf("run %d, output %q: differs from run 0", i, o.Name)
			}
		}
	}
}

// execute uploads, compiles and runs a graph several times.
func execute(b engine.Backend, g *engine.Graph, in, weights map[string]engine.Tensor, times int) ([]map[string]engine.Tensor, error) {
	buffers := map[string]engine.Buffer{}
	for name, w := range weights {
		buf, err := engine.Stream(b, w.DType, w.Shape, pieces(w.Data))
		if err != nil {
			return nil, fmt.Errorf("upload %s: %w", name, err)
		}
		defer buf.Release()
		buffers[name] = buf
	}
	p, err := b.Compile(g, buffers)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var results []map[string]engine.Tensor
	for range times {
		out := map[string]engine.Tensor{}
		for _, o := range g.Outputs {
			out[o.Name] = guarded(o.Node)
		}
		if err := p.Run(context.Background(), in, out); err != nil {
			return nil, err
		}
		for name, t := range out {
			if err := checkGuards(t); err != nil {
				return nil, fmt.Errorf("output %q: %w", name, err)
			}
		}
		results = append(results, out)
	}
	return results, nil
}

// pieces writes data in pieces that end anywhere, the first one wrongly before
// it writes it rightly.
func pieces(data []byte) func(io.WriterAt) error {
	return func(w io.WriterAt) error {
		const size = 1000
		if _, err := w.WriteAt(make([]byte, min(size, len(data))), 0); err != nil {
			return err
		}
		for at := 0; at < len(data); at += size {
			if n, err := w.WriteAt(data[at:min(at+size, len(data))], int64(at)); err != nil || n != min(size, len(data)-at) {
				return fmt.Errorf("%d bytes at %d: %w", n, at, err)
			}
		}
		return nil
	}
}

const guard = 64 // bytes on each side of an output

// guarded allocates an output between sentinel bytes.
func guarded(n *engine.Node) engine.Tensor {
	size := engine.ByteSize(n.DType, n.Shape)
	data := make([]byte, size+2*guard)
	for i := range data {
		data[i] = 0xA5
	}
	return engine.Tensor{DType: n.DType, Shape: n.Shape, Data: data[guard : guard+size : len(data)]}
}

func checkGuards(t engine.Tensor) error {
	for _, b := range t.Data[len(t.Data):cap(t.Data)] {
		if b != 0xA5 {
			return fmt.Errorf("bytes after the tensor were overwritten")
		}
	}
	return nil
}

// Compare reports NaN and Inf that the reference lacks, then a normalised mean
// squared error above bound.
func Compare(got, want engine.Tensor, bound float64) error {
	g, w := got.Float32s(), want.Float32s()
	var num, den float64
	for i := range w {
		gi, wi := float64(g[i]), float64(w[i])
		if math.IsNaN(gi-gi) && !math.IsNaN(wi-wi) { // x−x is NaN for NaN and Inf
			return fmt.Errorf("element %d is %v, want %v", i, gi, wi)
		}
		num += (gi - wi) * (gi - wi)
		den += wi * wi
	}
	if nmse := num / max(den, 1e-12); !(nmse <= bound) {
		return fmt.Errorf("NMSE %.3g, allowed %.3g", nmse, bound)
	}
	return nil
}

// Data makes the inputs and weights of a graph from its names: normal values,
// weights scaled by 1/√k so that results keep their size. Indices count up
// to 10. Weights of two and more dimensions are stored as matrices says.
func Data(g *engine.Graph, matrices engine.DType) (in, weights map[string]engine.Tensor) {
	in, weights = map[string]engine.Tensor{}, map[string]engine.Tensor{}
	for _, n := range g.Inputs() {
		if n.DType == engine.I32 {
			ids := make([]int32, n.Elems())
			for i := range ids {
				ids[i] = int32(i*7) % 10
			}
			in[n.Name] = engine.FromInt32s(ids, n.Shape...)
			continue
		}
		in[n.Name] = engine.FromFloat32s(normal(n.Name, n.Elems(), 1), n.Shape...)
	}
	for _, n := range g.Weights() {
		_, k := n.Shape.Rows()
		scale := 1 / math.Sqrt(float64(k))
		t := engine.FromFloat32s(normal(n.Name, n.Elems(), scale), n.Shape...)
		if len(n.Shape) > 1 {
			t = Store(t, matrices)
		}
		weights[n.Name] = t
	}
	return in, weights
}

func normal(name string, n int, scale float64) []float32 {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(h.Sum64(), 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64() * scale)
	}
	return v
}
