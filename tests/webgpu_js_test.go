package tests

import (
	"os"
	"path/filepath"
	"testing"

	"wisp/webgpu"
)

// openWebGPU starts the browser's device. A missing adapter fails.
func openWebGPU(t *testing.T, precision string) *webgpu.Backend {
	t.Helper()
	b, err := webgpu.New(t.Context(), webgpu.Options{Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// halfTolerance bounds the largest error against torch where activations are
// stored as f16, relative to the largest magnitude of the result.
const halfTolerance = 2e-2

// TestNetworksWebGPU holds every network against diffusers on the device, in
// f32 and, where the adapter has it, in f16.
func TestNetworksWebGPU(t *testing.T) {
	list := []labelled{{openWebGPU(t, "f32"), "gpu32"}}
	bounds := map[string]float64{"gpu32": goldenTolerance, "gpu16": halfTolerance}
	if b := openWebGPU(t, ""); b.Info().Precision == "f16" {
		list = append(list, labelled{b, "gpu16"})
	}
	for _, dir := range cases(t, "model") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var c networkCase
			readJSON(t, filepath.Join(dir, "case.json"), &c)
			config, err := os.ReadFile(filepath.Join(dir, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			want := readGolden(t, filepath.Join(dir, "io.safetensors"))
			g, err := c.build(config, want.in)
			if err != nil {
				t.Fatal(err)
			}
			weights := readSafetensors(t, filepath.Join(dir, "weights.safetensors"))
			for _, b := range list {
				checkGoldenOn(t, b, g, weights, want, bounds[b.label])
			}
		})
	}
}

// TestPipelinesWebGPU draws the pictures of the tiny pipelines on the device.
func TestPipelinesWebGPU(t *testing.T) {
	f32, best := openWebGPU(t, "f32"), openWebGPU(t, "")
	for _, dir := range tinyPipelines(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m := directory{t, filepath.Join(dir, "model")}
			checkPipeline(t, labelled{f32, "gpu32"}, m, dir, minPSNR)
			if best.Info().Precision == "f16" {
				checkPipeline(t, labelled{best, "gpu16"}, m, dir, minPackedPSNR)
			}
		})
	}
}
