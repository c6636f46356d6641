package tests

import (
	"path/filepath"
	"testing"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/loader"
)

// openDefault opens the model that the page starts with; goldens is the
// directory of what diffusers makes of the weights it was packed from.
func openDefault(t testing.TB) (m *loader.Model, goldens string) {
	t.Helper()
	m, err := loader.Open(t.Context(), loader.Dir(filepath.Join("..", "site", "models", "default")), nil, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m, filepath.Join("golden", "pipeline", "default")
}

// TestDefaultModel draws with the packed default model what diffusers drew
// with the weights it was packed from.
func TestDefaultModel(t *testing.T) {
	m, goldens := openDefault(t)
	checkPipeline(t, fastest(t), m, goldens, minPackedPSNR) // cpu would take minutes
}

// packedTolerance bounds the largest error of one network with packed
// weights, relative to the largest magnitude of the result.
const packedTolerance = 0.05

// TestDefaultModules does so for each of its networks alone.
func TestDefaultModules(t *testing.T) {
	m, goldens := openDefault(t)
	for component, build := range map[string]func(config []byte, want golden) (*engine.Graph, error){
		"text_encoder": func(config []byte, want golden) (*engine.Graph, error) {
			s := want.in["ids"].Shape
			return model.CLIPText(config, s[0], s[1])
		},
		"unet": func(config []byte, want golden) (*engine.Graph, error) {
			s := want.in["sample"].Shape
			return model.UNet2DCondition(config, s[0], s[1], s[2], want.in["context"].Shape[1])
		},
		"vae": func(config []byte, want golden) (*engine.Graph, error) {
			s := want.in["latents"].Shape
			return model.Decoder(config, s[0], s[1], s[2])
		},
	} {
		t.Run(component, func(t *testing.T) {
			want := readGolden(t, filepath.Join(goldens, component+".safetensors"))
			config, _ := m.Config(component)
			g, err := build(config, want)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, g, tensors(t, m, component), want, packedTolerance)
		})
	}
}

// tensors reads all weights of a component.
func tensors(t *testing.T, m *loader.Model, component string) map[string]engine.Tensor {
	t.Helper()
	out := map[string]engine.Tensor{}
	err := m.Load(t.Context(), component, func(x loader.Tensor) error {
		d, err := engine.ParseDType(x.DType)
		out[x.Name] = engine.Tensor{DType: d, Shape: x.Shape, Data: x.Data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
