package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/loader"
	"wisp/loader/safetensors"
)

// memoryOut is an [Output] in memory.
type memoryOut map[string][]byte

func (m memoryOut) Write(_ context.Context, name string, b []byte) error {
	m[name] = slices.Clone(b)
	return nil
}

// TestPlan: the sizes, names and licence that a plan tells are those of the
// model that is packed, and progress ends where it says.
func TestPlan(t *testing.T) {
	for _, model := range []string{"tiny_ddim_kl", "tiny_euler_v", "tiny_flow"} {
		for _, quant := range quants {
			in, err := OpenDir(filepath.Join("..", "..", "tests", "golden", "pipeline", model, "model"))
			if err != nil {
				t.Fatal(err)
			}
			var last int64
			o := Options{Quant: quant, Name: "tiny", OnProgress: func(done int64) { last = done }}
			plan, err := NewPlan(in, o)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Pack(t.Context(), in, memoryOut{}, o)
			if err != nil {
				t.Fatal(err)
			}
			var raw int64
			for _, c := range m.Chunks {
				raw += c.Raw
			}
			if plan.Packed[quant] != raw || plan.Input != last {
				t.Errorf("%s %s: planned %d of %d bytes, packed %d of %d", model, quant, plan.Packed[quant], plan.Input, raw, last)
			}
			if got, want := contents(plan.Manifest), contents(m); got != want {
				t.Errorf("%s %s: planned %s\npacked %s", model, quant, got, want)
			}
			in.Close()
		}
	}
}

// contents is a manifest but for where things are.
func contents(m *loader.Manifest) string {
	text := fmt.Sprintf("%q %q %q %q %s", m.Name, m.Licence, m.Card, m.Pipeline, m.Index)
	for _, f := range m.Files {
		text += " " + f.Name
	}
	for _, t := range m.Tensors {
		text += fmt.Sprintf(" %s/%s %s %v", t.Component, t.Name, t.DType, t.Shape)
	}
	return text
}

// TestPlanRefuses what Pack refuses, without reading any weights.
func TestPlanRefuses(t *testing.T) {
	index := []byte(`{"_class_name":"P","unet":["diffusers","UNet2DConditionModel"]}`)
	for _, c := range []struct {
		files map[string][]byte
		is    error
		want  string
	}{
		{map[string][]byte{"model.ckpt": {}}, fs.ErrNotExist, "model_index.json"},
		{map[string][]byte{"model_index.json": index}, fs.ErrNotExist, "unet"},
		{map[string][]byte{"model_index.json": index, "unet/config.json": []byte("{}"), "unet/diffusion_pytorch_model.bin": {}}, safetensors.ErrPickle, "unet"},
		{map[string][]byte{"model_index.json": index, "unet/config.json": []byte("{}"),
			"unet/diffusion_pytorch_model.safetensors": []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")}, safetensors.ErrPointer, "git lfs pull"},
	} {
		dir := t.TempDir()
		writeTree(t, dir, c.files)
		in, err := OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewPlan(in, Options{}); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.want, err)
		}
		in.Close()
	}
}
