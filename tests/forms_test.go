package tests

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"wisp/engine"
	"wisp/engine/enginetest"
	"wisp/engine/model"
	"wisp/tests/golden/seeded"
)

// formCase is one entry of golden/adapter/forms.json: a layer and what changes
// it, each as [shape, key, deviation, mean].
type formCase struct {
	Name     string
	Shape    []int
	Parts    map[string][4]json.RawMessage
	Strength float32
	Merged   []float32
}

// seededTensors are tensors by their seeds.
func seededTensors(t *testing.T, parts map[string][4]json.RawMessage) map[string]engine.Tensor {
	t.Helper()
	made := map[string]seeded.Tensor{}
	for name, p := range parts {
		s := seeded.Tensor{DType: "F32"}
		for i, to := range []any{&s.Shape, &s.Key, &s.Deviation, &s.Mean} {
			if err := json.Unmarshal(p[i], to); err != nil {
				t.Fatal(name, err)
			}
		}
		made[name] = s
	}
	file := seeded.NewCheckpoint(made)
	data := make([]byte, file.Size())
	if _, err := file.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return tensorsIn(t, data)
}

// layerGraph is one layer with a bias.
func layerGraph(t *testing.T, shape []int) *engine.Graph {
	t.Helper()
	g, err := engine.Build(func(g *engine.Graph) {
		bias := g.Weight("layer.bias", shape[0])
		if len(shape) == 2 {
			x := g.Input("x", engine.F32, 2, 5, shape[1])
			g.Output("y", engine.SiLU(engine.Linear(x, g.Weight("layer.weight", shape...), bias)))
			return
		}
		x, pad := g.Input("x", engine.F32, 2, 5, 7, shape[1]), shape[2]/2
		y := engine.Conv2D(x, g.Weight("layer.weight", shape...), bias, 1, [4]int{pad, pad, pad, pad})
		g.Output("y", engine.SiLU(y))
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestAdapterForms holds each form of change, worn, to the layer with the
// weight that LyCORIS or the form's own formula makes of it (forms.py).
func TestAdapterForms(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(adapterDir, "forms.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []formCase }
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatal(err, len(file.Cases))
	}
	raw := func(v ...any) (out [4]json.RawMessage) {
		for i := range v {
			out[i], _ = json.Marshal(v[i])
		}
		return out
	}
	for _, c := range file.Cases {
		g := layerGraph(t, c.Shape)
		given := seededTensors(t, map[string][4]json.RawMessage{
			"layer.weight": raw(c.Shape, 1, 0.5, 0), "layer.bias": raw([]int{c.Shape[0]}, 2, 0.3, 0), "x": raw(g.Inputs()[0].Shape, 3, 1, 0),
		})
		x := given["x"]
		delete(given, "x")
		tensors := map[string]engine.Tensor{}
		for part, v := range seededTensors(t, c.Parts) {
			dot := "."
			if part[0] == '_' {
				dot = ""
			}
			tensors["layer"+dot+part] = v
		}
		f := fromBytes(t, c.Name+".safetensors", written(t, tensors))
		parts := map[string]model.AdapterPart{}
		unknown, err := f.Parts(map[string]map[string][]int{"unet": {"layer.weight": c.Shape, "layer.bias": {c.Shape[0]}}},
			func(_, weight, part, key string, shape []int, read func() (string, []byte, error)) error {
				if weight != "layer.weight" {
					t.Errorf("%s: %s is of %s", c.Name, key, weight)
				}
				parts[part] = model.AdapterPart{Key: key, Shape: shape, Read: func() (engine.Tensor, error) {
					_, data, err := read()
					return engine.Tensor{DType: engine.F32, Shape: shape, Data: data}, err
				}}
				return nil
			})
		if err != nil || len(unknown) > 0 {
			t.Errorf("%s: unknown %q, %v", c.Name, unknown, err)
			continue
		}
		change, err := model.NewChange("layer.weight", model.Targets(g)["layer.weight"], parts)
		if err == nil && change.NeedsBase() {
			err = change.Measure(given["layer.weight"])
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		worn := &model.Adapter{Name: "a", Changes: map[string]*model.Change{"layer.weight": change}}
		adapted, err := model.Adapt(g, []*model.Adapter{worn})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		values := slices.Clone(given["layer.weight"].Float32s())
		if err := change.Merge(values, c.Strength); slices.Contains(change.Parts(), "bias") {
			if !errors.Is(err, model.ErrAdapter) {
				t.Errorf("%s: merged, though it changes a bias: %v", c.Name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		} else if err := enginetest.Compare(engine.FromFloat32s(values, c.Shape...), engine.FromFloat32s(c.Merged, c.Shape...), 1e-5); err != nil {
			t.Errorf("%s, merged: %v", c.Name, err)
		}
		loaded, err := change.Load()
		if err != nil {
			t.Fatal(c.Name, err)
		}
		var names []string
		merged := map[string]engine.Tensor{"layer.bias": given["layer.bias"], "layer.weight": engine.FromFloat32s(c.Merged, c.Shape...)}
		for part, v := range loaded {
			given[worn.Weight("layer.weight", part)] = v
			names = append(names, part)
		}
		slices.Sort(names)
		if want := slices.Sorted(slices.Values(change.Parts())); !slices.Equal(names, want) {
			t.Errorf("%s loads %q, has %q", c.Name, names, want)
		}
		for _, b := range backends(t) {
			got := runWith(t, b, adapted, given, withStrengths(worn, c.Strength, x))
			want := runWith(t, b, g, merged, map[string]engine.Tensor{"x": x})
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 1e-5*max(1, math.Abs(float64(want[i]))) {
					t.Errorf("%s on %s: value %d is %v, want %v", c.Name, b.label, i, got[i], want[i])
					break
				}
			}
		}
	}
}

func withStrengths(a *model.Adapter, strength float32, x engine.Tensor) map[string]engine.Tensor {
	in := a.BlockStrengths(strength, nil)
	in["x"] = x
	return in
}

// runWith compiles a graph with weights and returns its output y.
func runWith(t *testing.T, b engine.Backend, g *engine.Graph, weights, in map[string]engine.Tensor) []float32 {
	t.Helper()
	buffers := map[string]engine.Buffer{}
	for name, v := range weights {
		buffer, err := b.Upload(v)
		if err != nil {
			t.Fatal(err)
		}
		defer buffer.Release()
		buffers[name] = buffer
	}
	p, err := b.Compile(g, buffers)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	y := engine.NewTensor(engine.F32, g.Outputs[0].Node.Shape...)
	if err := p.Run(t.Context(), in, map[string]engine.Tensor{"y": y}); err != nil {
		t.Fatal(err)
	}
	return y.Float32s()
}
