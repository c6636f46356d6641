// Package tests holds what spans packages: networks, pipelines and ops against
// goldens made by torch, and the rules on imports.
package tests

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/simd"
	"wisp/loader/safetensors"
	"wisp/tests/golden/seeded"
)

// labelled is a backend with the name that tests print for it.
type labelled struct {
	engine.Backend
	label   string
	weights string // their type; empty is f32
}

// parity is a row that `make parity` shows: a network's largest error over its
// largest value and its squared error over the squared signal, or a picture's dB.
type parity struct {
	Case    string  `json:"case"`
	Backend string  `json:"backend"`
	Weights string  `json:"weights"`
	Error   float64 `json:"error,omitempty"`
	NMSE    float64 `json:"nmse,omitempty"`
	DB      float64 `json:"dB,omitempty"`
}

// parityOf is the row of a network's output.
func parityOf(t *testing.T, d difference) parity {
	return parity{Case: path.Base(t.Name()), Error: d.maxAbs / d.scale, NMSE: d.nmse}
}

func (p parity) log(t *testing.T, b labelled) {
	t.Helper()
	p.Backend, p.Weights = b.label, cmp.Or(b.weights, "f32")
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("parity: %s", text)
}

// simdBackends are the flavours of the SIMD module that this host runs,
// started once: a browser has relaxed SIMD, wazero does not.
var simdBackends = sync.OnceValues(func() (list []labelled, err error) {
	for _, f := range []struct {
		label   string
		relaxed simd.Switch
	}{{"simd", simd.Off}, {"relaxed", simd.On}} {
		b, err := simd.New(simd.Options{Relaxed: f.relaxed})
		if errors.Is(err, engine.ErrUnsupported) && f.relaxed == simd.On {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, labelled{Backend: b, label: f.label})
	}
	return list, nil
})

// everywhere is set by make parity, which shows each backend in each browser.
var everywhere = flag.Bool("everywhere", false, "also run on what another host or browser runs on")

// backends are those that the goldens hold to account: natively the oracle and the
// module of a browser without relaxed SIMD, in a browser the one that it takes.
func backends(t *testing.T) []labelled {
	t.Helper()
	list, err := simdBackends()
	switch {
	case err != nil:
		t.Fatal(err)
	case runtime.GOOS != "js":
		return append([]labelled{{Backend: cpu.New(), label: "cpu"}}, list...)
	case *everywhere:
		return list
	}
	return list[len(list)-1:]
}

// fastest is the last of them.
func fastest(t *testing.T) labelled {
	t.Helper()
	list := backends(t)
	return list[len(list)-1]
}

// readSafetensors reads the f32 and i32 tensors of a golden file, or of its seeds.
func readSafetensors(t *testing.T, file string) map[string]engine.Tensor {
	t.Helper()
	b, err := seeded.File(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Parse(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	out := map[string]engine.Tensor{}
	for _, e := range f.Tensors {
		if e.DType == "I64" { // a count of batches: pack leaves it out, too
			continue
		}
		d, err := engine.ParseDType(strings.ToLower(e.DType))
		if err != nil {
			t.Fatalf("%s: %s: %v", file, e.Name, err)
		}
		out[e.Name] = engine.Tensor{DType: d, Shape: e.Shape, Data: b[e.Begin : e.Begin+e.Size]}
	}
	return out
}

// readJSON decodes a golden file into v.
func readJSON(t *testing.T, file string, v any) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return b
}

// golden is a graph's inputs and the results that torch gives for them.
type golden struct{ in, out map[string]engine.Tensor }

// readGolden splits a file of tensors named "in.NAME" and "out.NAME".
func readGolden(t *testing.T, file string) golden {
	g := golden{map[string]engine.Tensor{}, map[string]engine.Tensor{}}
	for name, tensor := range readSafetensors(t, file) {
		if in, ok := strings.CutPrefix(name, "in."); ok {
			g.in[in] = tensor
		} else {
			g.out[strings.TrimPrefix(name, "out.")] = tensor
		}
	}
	return g
}

// run executes a graph on a backend.
func run(b engine.Backend, g *engine.Graph, weights, in map[string]engine.Tensor) (map[string]engine.Tensor, error) {
	buffers := map[string]engine.Buffer{}
	for name, w := range weights {
		buffer, err := b.Upload(w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		defer buffer.Release()
		buffers[name] = buffer
	}
	p, err := b.Compile(g, buffers)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	out := map[string]engine.Tensor{}
	for _, o := range g.Outputs {
		out[o.Name] = engine.NewTensor(engine.F32, o.Node.Shape...)
	}
	return out, p.Run(context.Background(), in, out)
}

// difference measures got against want.
type difference struct {
	maxAbs float64 // the largest error
	scale  float64 // the largest magnitude of want
	nmse   float64 // squared error over squared signal
	cosine float64
}

func compare(got, want engine.Tensor) (d difference, err error) {
	if !got.Shape.Equal(want.Shape) {
		return d, fmt.Errorf("shape %v, want %v", got.Shape, want.Shape)
	}
	var dot, gg, ww, ee float64
	w := want.Float32s()
	for i, x := range got.Float32s() {
		g, w := float64(x), float64(w[i])
		if math.IsNaN(g) || math.IsInf(g, 0) {
			return d, fmt.Errorf("element %d is %v", i, g)
		}
		d.maxAbs = max(d.maxAbs, math.Abs(g-w))
		d.scale = max(d.scale, math.Abs(w))
		dot, gg, ww, ee = dot+g*w, gg+g*g, ww+w*w, ee+(g-w)*(g-w)
	}
	d.nmse, d.cosine = ee/ww, dot/math.Sqrt(gg*ww)
	return d, nil
}

// goldenTolerance bounds the largest error against torch in f32, relative to
// the largest magnitude of the result.
const goldenTolerance = 2e-5

// checkGolden runs a graph on every backend and requires each of its outputs
// to be within tolerance of its largest magnitude.
func checkGolden(t *testing.T, g *engine.Graph, weights map[string]engine.Tensor, want golden, tolerance float64) {
	t.Helper()
	for _, b := range backends(t) {
		checkGoldenOn(t, b, g, weights, want, tolerance)
	}
}

// checkGoldenOn runs a graph on one backend. It logs a line for each output,
// which `make parity` shows.
func checkGoldenOn(t *testing.T, b labelled, g *engine.Graph, weights map[string]engine.Tensor, want golden, tolerance float64) {
	t.Helper()
	got, err := run(b, g, weights, maps.Clone(want.in))
	if err != nil {
		t.Errorf("%s: %v", b.label, err)
		return
	}
	for name := range want.out {
		d, err := compare(got[name], want.out[name])
		if err != nil {
			t.Errorf("%s: output %q: %v", b.label, name, err)
			continue
		}
		parityOf(t, d).log(t, b)
		if d.maxAbs > tolerance*d.scale {
			t.Errorf("%s: output %q is off by %.3g of %.3g", b.label, name, d.maxAbs, d.scale)
		}
	}
}

// cases lists the directories of golden/kind.
func cases(t *testing.T, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("golden", kind, "*", "case.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens of %s: %v", kind, err)
	}
	for i := range files {
		files[i] = filepath.Dir(files[i])
	}
	return files
}
