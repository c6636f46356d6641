package tests

import (
	"context"
	"image"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/engine/enginetest"
	"wisp/engine/model"
	"wisp/tests/golden/pipeline"
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

// precisions starts a backend in f32 and, where the adapter has it, one in f16.
func precisions(t *testing.T) []labelled {
	t.Helper()
	best := openWebGPU(t, "")
	if best.Info().Precision == "f32" {
		return []labelled{{Backend: best, label: "gpu32"}}
	}
	return []labelled{{Backend: openWebGPU(t, "f32"), label: "gpu32"}, {Backend: best, label: "gpu16"}}
}

// halfTolerance bounds the largest error against torch where activations are
// stored as f16, relative to the largest magnitude of the result.
const halfTolerance = 2e-2

// tolerances are the bounds by precision.
var tolerances = map[string]float64{"gpu32": goldenTolerance, "gpu16": halfTolerance}

// TestNetworksWebGPU holds every network against diffusers on the device, in
// f32 and, where the adapter has it, in f16.
func TestNetworksWebGPU(t *testing.T) {
	list := precisions(t)
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
				checkGoldenOn(t, b, g, weights, want, tolerances[b.label])
			}
		})
	}
}

// TestPipelinesWebGPU draws the first picture of each tiny pipeline on the
// device, as it is opened for a visitor: software adapters take seconds for one.
func TestPipelinesWebGPU(t *testing.T) {
	bounds := map[string]float64{"gpu32": minPSNR, "gpu16": minPackedPSNR}
	best := openWebGPU(t, "")
	list := []labelled{{Backend: best, label: map[string]string{"f32": "gpu32", "f16": "gpu16"}[best.Info().Precision]}}
	if *everywhere {
		list = precisions(t)
	}
	for _, dir := range tinyPipelines(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			cases, err := pipeline.Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range list {
				checkCases(t, b, directory{t, filepath.Join(dir, "model")}, dir, cases[:1], bounds[b.label])
			}
		})
	}
}

// TestGuidedWebGPU draws those pictures of TestGuided whose deep part serves several steps: a network that is cut gives
// and takes what no other does.
func TestGuidedWebGPU(t *testing.T) {
	checkGuided(t, []labelled{{Backend: openWebGPU(t, "f32"), label: "gpu32"}}, true)
}

// oraclePSNR is what the default model's picture must reach against the
// reference backend's.
var oraclePSNR = map[string]float64{"gpu32": 50, "gpu16": 35}

// TestDefaultModelWebGPU draws the default model's picture as the reference
// backend does.
func TestDefaultModelWebGPU(t *testing.T) {
	m, _ := openDefault(t)
	draw := func(b engine.Backend) image.Image {
		t.Helper()
		p, err := diffusion.New(t.Context(), b, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		request := p.Defaults()
		request.Prompt, request.Seed, request.Steps, request.Guidance = "red heart", 5, 2, 1 // the reference is slow
		r, err := p.Generate(t.Context(), request, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Images[0]
	}
	want := draw(cpu.New())
	for _, b := range precisions(t) {
		db := pipeline.Compare(draw(b), want)
		parity{Case: "default, against cpu", DB: db}.log(t, b)
		if db < oraclePSNR[b.label] {
			t.Errorf("%s: PSNR %.1f dB against cpu, want %.0f", b.label, db, oraclePSNR[b.label])
		}
	}
}

// TestStableDiffusionWebGPU holds networks with every layer of Stable
// Diffusion 1.5, a tenth and a quarter as wide, to the reference backend.
func TestStableDiffusionWebGPU(t *testing.T) {
	list := precisions(t)
	for name, build := range map[string]func() (*engine.Graph, error){
		"unet": func() (*engine.Graph, error) {
			config := `{"cross_attention_dim": 768, "attention_head_dim": 8, "block_out_channels": [32, 64, 128, 128]}`
			return model.UNet2DCondition([]byte(config), 1, 16, 16, 77)
		},
		"vae": func() (*engine.Graph, error) {
			config := `{"block_out_channels": [32, 64, 128, 128], "layers_per_block": 2,
				"down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
				"up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]}`
			return model.AutoencoderKLDecoder([]byte(config), 1, 6, 4)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := build()
			if err != nil {
				t.Fatal(err)
			}
			in, weights := enginetest.Data(g, engine.F32)
			want, err := run(cpu.New(), g, weights, maps.Clone(in))
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range list {
				checkGoldenOn(t, b, g, weights, golden{in, want}, tolerances[b.label])
			}
		})
	}
}

// loud is a model some of whose weights are multiplied, so that values leave the
// range of f16 on their way.
type loud struct {
	diffusion.Model
	factors map[string]float32
}

func (l loud) Stream(ctx context.Context, component string, prefixes []string, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	return l.Model.Stream(ctx, component, prefixes, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
		factor, ok := l.factors[name]
		if !ok {
			return each(name, dtype, shape, fill)
		}
		d, err := engine.ParseDType(dtype)
		if err != nil {
			return err
		}
		t := engine.NewTensor(d, shape...)
		if err := fill(t); err != nil {
			return err
		}
		values := t.Float32s()
		for i := range values {
			values[i] *= factor
		}
		t = engine.FromFloat32s(values, shape...)
		return each(name, "f32", shape, func(w io.WriterAt) error { _, err := w.WriteAt(t.Data, 0); return err })
	})
}

// TestBeyondHalf: what is too large for f16 is computed in f32, not drawn black
// or as noise: by a decoder whose norms bring it back, and by one of ReLUs, which
// must not take what is no number for 0.
func TestBeyondHalf(t *testing.T) {
	list := precisions(t)
	for dir, factors := range map[string]map[string]float32{
		plainPipeline: {"decoder.conv_in.weight": 50_000},
		filepath.Join("golden", "pipeline", "lcm"): {"decoder.layers.0.weight": 1e6, "decoder.layers.10.weight": 1e-6},
	} {
		cases, err := pipeline.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		picture := func(b engine.Backend) image.Image {
			p, err := diffusion.New(t.Context(), b, loud{directory{t, filepath.Join(dir, "model")}, factors}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			r, err := p.Generate(t.Context(), cases[0].Request(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return r.Images[0]
		}
		want := picture(cpu.New())
		for _, b := range list {
			db := pipeline.Compare(picture(b), want)
			parity{Case: "beyond f16, " + filepath.Base(dir), DB: db}.log(t, b)
			if db < minPackedPSNR {
				t.Errorf("%s: %s: %.1f dB against cpu", b.label, dir, db)
			}
		}
	}
}

// TestNotFiniteWebGPU is [TestNotFinite] on the device, in f32 and f16.
func TestNotFiniteWebGPU(t *testing.T) { checkNotFinite(t, precisions(t)) }
