//go:build !js

package tests

import (
	"path/filepath"
	"slices"
	"testing"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/webgpu"
)

// gpus are the published peaks of three devices: f32 operations and bytes a
// second.
var gpus = []struct {
	name             string
	flops, bandwidth float64
}{
	// 10 cores of 128 lanes at 1.47 GHz; 120 GB/s (Apple, "Apple introduces M4 chip", 2024).
	{"Apple M4", 3.8e12, 120e9},
	// 5888 lanes at 2.475 GHz; 192 bits of GDDR6X at 21 Gb/s (NVIDIA, Ada architecture whitepaper).
	{"RTX 4070", 29.1e12, 504e9},
	// 768 lanes at 1.35 GHz; 128 bits of LPDDR4X-4267 (Intel, i7-1185G7 specification).
	{"Intel Xe", 2.07e12, 68e9},
}

// costCase is a network at a size, with what a device of WebGPU's default
// limits may spend on it.
type costCase struct {
	name       string
	graph      *engine.Graph
	dispatches int // at most
	arena      int // bytes of activations in f32, at most
}

// costCases are Stable Diffusion 1.5 at 512 × 512 with guidance, its largest
// attention alone, and the default model at its own size with guidance.
func costCases(t *testing.T) []costCase {
	var file struct {
		Models map[string]published `json:"models"`
	}
	readJSON(t, filepath.Join("golden", "model", "sizes.json"), &file)
	known := func(name string) []byte { return file.Models[name].Config }
	m, _ := openDefault(t)
	ours := func(name string) []byte { config, _ := m.Config(name); return config }
	must := func(g *engine.Graph, err error) *engine.Graph {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	unet, err := model.ReadUNet(ours("unet"))
	if err != nil {
		t.Fatal(err)
	}
	attention := must(engine.Build(func(g *engine.Graph) {
		in := func(name string) *engine.Node { return g.Input(name, engine.F32, 1, 4096, 320) }
		g.Output("out", engine.Attention(in("q"), in("k"), in("v"), 8, 0.158, false))
	}))
	return []costCase{
		{"sd15_unet_512", must(model.UNet2DCondition(known("sd15_unet"), 2, 64, 64, 77)), 451, 116 << 20},
		{"sd15_unet_512_shallow", must(model.UNet2DCondition(known("sd15_unet"), 2, 64, 64, 77, model.FromDeep(0))), 32, 81 << 20}, // of a step that reuses the deep part
		{"sd_vae_decode_512", must(model.AutoencoderKLDecoder(known("sd_vae"), 1, 64, 64)), 110, 641 << 20},
		{"taesd_decode_512", must(model.AutoencoderTinyDecoder(known("taesd"), 1, 64, 64)), 40, 192 << 20},
		{"clip_l", must(model.CLIPText(known("clip_l"), 1, 77)), 115, 2 << 20},
		// q, k, v and the result: the scores of one head would be as large as 13 of them.
		{"attention_4096x8", attention, 1, 4 * 4096 * 320 * 4},
		{"default_unet", must(model.UNet2DCondition(ours("unet"), 2, unet.Height, unet.Width, 77)), 156, 2 << 20},
		{"default_decode", must(model.Decoder(ours("vae"), 1, unet.Height, unet.Width)), 39, 10 << 20},
	}
}

// TestCost plans networks for a device of default limits: every operand fits a
// binding, no score matrix is made, and neither dispatches nor memory exceed
// their bounds. `make bench-webgpu` prints its lines.
func TestCost(t *testing.T) {
	for _, c := range costCases(t) {
		t.Run(c.name, func(t *testing.T) {
			for _, d := range []engine.DType{engine.F32, engine.F16} {
				cost, err := webgpu.Count(c.graph, engine.F16, d, webgpu.DefaultLimits)
				if err != nil {
					t.Fatal(err)
				}
				checkCost(t, c, d, cost)
			}
		})
	}
}

// TestCostBesideExport plans a step of FLUX.2-klein-4B for a device of default
// limits: fewer dispatches and bytes than the nodes take that torch's ONNX
// exporter makes of it (golden/exported.py), with the same matrices in f16, and
// with those of 2 bits that it ships with.
func TestCostBesideExport(t *testing.T) {
	var sizes struct{ Models map[string]published }
	readJSON(t, filepath.Join("golden", "model", "sizes.json"), &sizes)
	var exported struct {
		Cases []struct{ Height, Width, Text, Dispatches, Bytes int } `json:"flux2_klein_4b"`
	}
	readJSON(t, filepath.Join("golden", "model", "onnx.json"), &exported)
	if len(exported.Cases) == 0 {
		t.Fatal("no exports")
	}
	for _, e := range exported.Cases {
		g, err := model.Flux2(sizes.Models["flux2_klein_4b"].Config, 1, e.Height, e.Width, e.Text)
		if err != nil {
			t.Fatal(err)
		}
		for _, matrices := range []engine.DType{engine.F16, engine.Q2} {
			cost, err := webgpu.Count(g, matrices, engine.F16, webgpu.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			flops, bytes := cost.Totals()
			if products := g.FLOPs(); products > flops || products < 0.97*flops {
				t.Errorf("%.0f operations in products, of %.0f in all", products, flops)
			}
			t.Logf("cost: klein_%d %v %d dispatches of the export's %d, %.2f GB moved of %.2f, %.0f GFLOP, %d MB weights, %d MB arena",
				16*e.Width, matrices, len(cost.Steps), e.Dispatches, float64(bytes)/1e9, float64(e.Bytes)/1e9, flops/1e9, cost.Weights>>20, cost.Arena>>20)
			for _, gpu := range gpus {
				t.Logf("cost: klein_%d %v on %-10s at least %7.1f ms", 16*e.Width, matrices, gpu.name, 1e3*cost.Roofline(gpu.flops, gpu.bandwidth))
			}
			if len(cost.Steps) >= e.Dispatches || bytes >= e.Bytes {
				t.Errorf("%v: %d dispatches and %d bytes; the export has %d and %d", matrices, len(cost.Steps), bytes, e.Dispatches, e.Bytes)
			}
		}
	}
}

func checkCost(t *testing.T, c costCase, d engine.DType, cost webgpu.Cost) {
	flops, bytes := cost.Totals()
	t.Logf("cost: %-18s %v %4d dispatches %3d pipelines %6.0f GFLOP %6.2f GB moved %4d MB arena %4d MB weights",
		c.name, d, len(cost.Steps), cost.Pipelines, flops/1e9, float64(bytes)/1e9, cost.Arena>>20, cost.Weights>>20)
	for _, gpu := range gpus {
		t.Logf("cost: %-18s %v on %-10s at least %7.1f ms", c.name, d, gpu.name, 1e3*cost.Roofline(gpu.flops, gpu.bandwidth))
	}
	if cost.Largest > webgpu.DefaultLimits.Binding {
		t.Errorf("%v: a binding of %d bytes", d, cost.Largest)
	}
	if slices.ContainsFunc(cost.Steps, func(s webgpu.StepCost) bool { return s.Kernel == "softmax" || s.Kernel == "matmul" }) {
		t.Errorf("%v: attention makes a score matrix", d)
	}
	if len(cost.Steps) > c.dispatches || cost.Arena > c.arena {
		t.Errorf("%v: %d dispatches and %d bytes, want at most %d and %d", d, len(cost.Steps), cost.Arena, c.dispatches, c.arena)
	}
}
