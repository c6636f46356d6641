//go:build !js

package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/simd"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/webgpu"
)

var update = flag.Bool("update", false, "write MODELS.md")

// extent is a network at the size at which it is used: rows of guidance, then
// latents or pixels, and tokens.
type extent struct {
	rows, side, tokens int
}

// sizedGraph draws a published network at a size.
func (p published) sizedGraph(s extent) (*engine.Graph, error) {
	switch p.Class {
	case "UNet2DConditionModel":
		return model.UNet2DCondition(p.Config, s.rows, s.side, s.side, s.tokens)
	case "CLIPTextModel":
		return model.CLIPText(p.Config, 1, s.tokens)
	case "CLIPTextModelWithProjection":
		return model.CLIPText(p.Config, 1, s.tokens, model.TextPrefix("text_model"), model.Penultimate(), model.WithProjection())
	case "T5EncoderModel", "MT5EncoderModel", "UMT5EncoderModel":
		return model.T5Encoder(p.Config, 1, s.tokens)
	case "Qwen3Model":
		return model.Qwen3(p.Config, 1, s.tokens)
	case "PixArtTransformer2DModel":
		return model.PixArt(p.Config, s.rows, s.side, s.side, s.tokens)
	case "SD3Transformer2DModel":
		return model.SD3(p.Config, s.rows, s.side, s.side, s.tokens)
	case "DiTTransformer2DModel":
		return model.DiT(p.Config, s.rows, s.side, s.side)
	case "SiTTransformer2DModel":
		return model.SiT(p.Config, s.rows, s.side, s.side)
	case "UViT":
		return model.UViT(p.Config, s.rows, s.side, s.side)
	case "FluxTransformer2DModel":
		return model.Flux(p.Config, s.rows, s.side, s.side, s.tokens)
	case "Flux2Transformer2DModel":
		return model.Flux2(p.Config, s.rows, s.side, s.side, s.tokens)
	case "ZImageTransformer2DModel":
		return model.ZImage(p.Config, s.rows, s.side, s.side, s.tokens)
	case "BertModel":
		return model.BERT(p.Config, 1, s.tokens)
	case "HunyuanDiT2DModel":
		return model.HunyuanDiT(p.Config, s.rows, s.side, s.side)
	case "SanaTransformer2DModel":
		return model.Sana(p.Config, s.rows, s.side, s.side, s.tokens)
	case "Gemma2Model":
		return model.Gemma(p.Config, 1, s.tokens, -1)
	case "AuraFlowTransformer2DModel":
		return model.AuraFlow(p.Config, s.rows, s.side, s.side, s.tokens)
	case "UNet2DModel":
		return model.UNet2D(p.Config, s.rows, s.side, s.side)
	}
	var class map[string]any // an autoencoder's
	if err := json.Unmarshal(p.Config, &class); err != nil {
		return nil, err
	}
	class["_class_name"] = p.Class
	config, err := json.Marshal(class)
	if err != nil {
		return nil, err
	}
	return model.Decoder(config, 1, s.side, s.side)
}

// publishedPipeline is a row of MODELS.md.
type publishedPipeline struct {
	name, size string
	parts      []publishedPart
}

type publishedPart struct {
	network string // in sizes.json
	extent
}

// clip, and the decoder's largest tile: 512 pixels.
func clipOf(name string) publishedPart { return publishedPart{name, extent{1, 0, 77}} }

func vaeOf(name string, side int) publishedPart { return publishedPart{name, extent{1, side, 0}} }

func netOf(name string, rows, side, tokens int) publishedPart {
	return publishedPart{name, extent{rows, side, tokens}}
}

var publishedPipelines = []publishedPipeline{
	{"Stable Diffusion 1.5", "512", []publishedPart{clipOf("clip_l"), netOf("sd15_unet", 2, 64, 77), vaeOf("sd_vae", 64)}},
	{"LCM (SD 1.5), TAESD", "512", []publishedPart{clipOf("clip_l"), netOf("lcm_unet", 1, 64, 77), vaeOf("taesd", 64)}},
	{"BK-SDM small", "512", []publishedPart{clipOf("clip_l"), netOf("bk_sdm_small_unet", 2, 64, 77), vaeOf("sd_vae", 64)}},
	{"BK-SDM tiny", "512", []publishedPart{clipOf("clip_l"), netOf("bk_sdm_tiny_unet", 2, 64, 77), vaeOf("sd_vae", 64)}},
	{"SD-Turbo", "512", []publishedPart{clipOf("open_clip_h"), netOf("sd21_unet", 1, 64, 77), vaeOf("sd_vae", 64)}},
	{"SDXS", "512", []publishedPart{clipOf("open_clip_h"), netOf("sdxs_unet", 1, 64, 77), vaeOf("taesd", 64)}},
	{"Stable Diffusion 2.1", "768", []publishedPart{clipOf("open_clip_h"), netOf("sd21_unet", 2, 96, 77), vaeOf("sd_vae", 64)}},
	{"SDXL Turbo", "512", []publishedPart{clipOf("clip_l"), clipOf("open_clip_bigg"), netOf("sdxl_unet", 1, 64, 77), vaeOf("sd_vae", 64)}},
	{"Stable Diffusion XL", "1024", []publishedPart{clipOf("clip_l"), clipOf("open_clip_bigg"), netOf("sdxl_unet", 2, 128, 77), vaeOf("sd_vae", 64)}},
	{"LCM (SDXL)", "1024", []publishedPart{clipOf("clip_l"), clipOf("open_clip_bigg"), netOf("lcm_sdxl_unet", 1, 128, 77), vaeOf("sd_vae", 64)}},
	{"SSD-1B", "1024", []publishedPart{clipOf("clip_l"), clipOf("open_clip_bigg"), netOf("ssd_1b_unet", 2, 128, 77), vaeOf("sd_vae", 64)}},
	{"Segmind Vega", "1024", []publishedPart{clipOf("clip_l"), clipOf("open_clip_bigg"), netOf("vega_unet", 2, 128, 77), vaeOf("sd_vae", 64)}},
	{"Stable Diffusion 3 medium, without T5", "1024", []publishedPart{clipOf("clip_l"), clipOf("open_clip_bigg"), netOf("sd3_medium", 2, 128, 154), vaeOf("flux_vae", 64)}},
	{"Stable Diffusion 3.5 medium, without T5", "1024", []publishedPart{clipOf("clip_l"), clipOf("open_clip_bigg"), netOf("sd35_medium", 2, 128, 154), vaeOf("flux_vae", 64)}},
	{"Stable Diffusion 3.5 large", "1024", []publishedPart{clipOf("clip_l"), clipOf("open_clip_bigg"), netOf("t5_xxl", 1, 0, 256), netOf("sd35_large", 2, 128, 333), vaeOf("flux_vae", 64)}},
	{"PixArt-α 512", "512", []publishedPart{netOf("t5_xxl", 1, 0, 120), netOf("pixart_alpha_512", 2, 64, 120), vaeOf("sd_vae", 64)}},
	{"PixArt-Σ 1024", "1024", []publishedPart{netOf("t5_xxl", 1, 0, 300), netOf("pixart_sigma_1024", 2, 128, 300), vaeOf("sd_vae", 64)}},
	{"FLUX.1 schnell", "1024", []publishedPart{clipOf("clip_l"), netOf("t5_xxl", 1, 0, 256), netOf("flux1_schnell", 1, 64, 256), vaeOf("flux_vae", 64)}},
	{"FLUX.1 dev", "1024", []publishedPart{clipOf("clip_l"), netOf("t5_xxl", 1, 0, 512), netOf("flux1_dev", 1, 64, 512), vaeOf("flux_vae", 64)}},
	{"FLUX.2 klein 4B", "1024", []publishedPart{netOf("qwen3_4b", 1, 0, 512), netOf("flux2_klein_4b", 1, 64, 512), vaeOf("flux2_vae", 32)}},
	{"Z-Image Turbo", "1024", []publishedPart{netOf("qwen3_4b", 1, 0, 512), netOf("z_image_turbo", 1, 128, 512), vaeOf("flux_vae", 64)}},
	{"Hunyuan-DiT 1.2", "1024", []publishedPart{netOf("hunyuan_bert", 1, 0, 77), netOf("mt5_xl", 1, 0, 256), netOf("hunyuan_dit_1_2", 2, 128, 0), vaeOf("sd_vae", 64)}},
	{"AuraFlow", "1024", []publishedPart{netOf("pile_t5_xl", 1, 0, 256), netOf("auraflow", 2, 128, 256), vaeOf("sd_vae", 64)}},
	{"SANA-Sprint 0.6B", "1024", []publishedPart{netOf("gemma2_2b", 1, 0, 512), netOf("sana_sprint_600m", 1, 32, 304), vaeOf("dc_ae_f32c32_sana", 32)}},
	{"SANA-Sprint 1.6B", "1024", []publishedPart{netOf("gemma2_2b", 1, 0, 512), netOf("sana_sprint_1600m", 1, 32, 304), vaeOf("dc_ae_f32c32_sana", 32)}},
	{"DiT-XL/2", "256", []publishedPart{netOf("dit_xl_2_256", 2, 32, 0), vaeOf("sd_vae", 32)}},
	{"SiT-XL/2", "256", []publishedPart{netOf("sit_xl_2_256", 2, 32, 0), vaeOf("sd_vae", 32)}},
	{"U-ViT-H/2", "256", []publishedPart{netOf("u_vit_huge_2_256", 2, 32, 0), vaeOf("sd_vae", 32)}},
	{"U-ViT-S/2, MS-COCO", "256", []publishedPart{clipOf("clip_l"), netOf("u_vit_small_mscoco", 2, 32, 77), vaeOf("sd_vae", 32)}},
	{"U-ViT-M/4, ImageNet", "64", []publishedPart{netOf("u_vit_mid_imagenet64", 1, 64, 0)}},
	{"U-ViT-S/2, CIFAR-10", "32", []publishedPart{netOf("u_vit_small_cifar10", 1, 32, 0)}},
	{"DDPM CelebA-HQ", "256", []publishedPart{netOf("ddpm_celebahq_256", 1, 256, 0)}},
	{"LDM CelebA-HQ", "256", []publishedPart{netOf("ldm_celebahq_unet", 1, 64, 0), vaeOf("ldm_celebahq_vqvae", 64)}},
	{"Consistency model, ImageNet", "64", []publishedPart{netOf("consistency_imagenet64", 1, 64, 0)}},
}

// weightTypes says how weights are stored that were packed with a choice.
func weightType(quant string) func(n *engine.Node) engine.DType {
	return func(n *engine.Node) engine.DType {
		d, err := engine.ParseDType(pack.Policy(quant, false, safetensors.Tensor{Name: n.Name, DType: "F16", Shape: n.Shape}))
		if err != nil {
			panic(err)
		}
		return d
	}
}

// need is what a set of networks takes, in bytes: packed, and of the SIMD module
// with all of them there.
type need struct{ packed, atOnce int64 }

func needOf(graphs []*engine.Graph, quant string) (n need, err error) {
	seen := map[string]bool{}
	for i, g := range graphs {
		for _, w := range g.Weights() {
			if name := fmt.Sprint(i, w.Name); !seen[name] {
				seen[name] = true
				n.packed += pack.Bytes(quant, safetensors.Tensor{Name: w.Name, DType: "F16", Shape: w.Shape})
			}
		}
	}
	n.atOnce, err = countSIMD(graphs, quant)
	return n, err
}

// tooLarge is more than WebAssembly addresses.
const tooLarge = 1 << 40

func countSIMD(graphs []*engine.Graph, quant string) (int64, error) {
	n, err := simd.Count(graphs, weightType(quant))
	if errors.Is(err, engine.ErrOutOfMemory) {
		return tooLarge, nil
	}
	return int64(n), err
}

// cell says how the processor draws: with all networks in memory, or by stages.
func (n need) cell() string {
	if n.atOnce < tooLarge {
		return fmt.Sprint(n.atOnce >> 20)
	}
	return "by stages"
}

// webGPU is what a card of default limits must hold: weights of all networks
// and the activations, in f16, of the one that needs most.
func webGPU(graphs []*engine.Graph, d engine.DType) string {
	weights, arena := 0, 0
	for _, g := range graphs {
		c, err := webgpu.Count(g, d, engine.F16, webgpu.DefaultLimits)
		if err != nil {
			return "larger limits"
		}
		weights, arena = weights+c.Weights, max(arena, c.Arena)
	}
	return fmt.Sprint((weights + arena) >> 20)
}

// modelsTable is MODELS.md.
func modelsTable(t *testing.T) []byte {
	var file struct {
		Models map[string]published `json:"models"`
	}
	readJSON(t, filepath.Join("golden", "model", "sizes.json"), &file)
	var b bytes.Buffer
	fmt.Fprint(&b, `# What runs where

Made by `+"`go test ./tests -run TestModelsTable -update`"+`, which counts without a device what the backends plan; the test fails where this page no longer says what they do. Sizes in MB (10⁶ bytes) of what is downloaded at most, memory in MiB: of the processor's module, which WebAssembly bounds at 4096; of a graphics card with WebGPU's default limits (bindings of 128 MiB, buffers of 256), in f16, all networks there. "By stages": all together are too large, so layers come from where the model is kept as they are needed, which takes longer. "Larger limits": one of its tensors needs more than the default; most cards offer that. Pictures are of the model's own size, guidance with its two rows where the model uses it, and decoded in tiles of 512 pixels where they are larger.

## Pipelines

| Pipeline | Size | Parameters, M | q8, MB | q4, MB | Processor, q8 | q4 | WebGPU, q8 | q4 |
|---|---|---|---|---|---|---|---|---|
`)
	for _, p := range publishedPipelines {
		var graphs []*engine.Graph
		parameters := 0
		for _, part := range p.parts {
			g, err := file.Models[part.network].sizedGraph(part.extent)
			if err != nil {
				t.Fatalf("%s: %s: %v", p.name, part.network, err)
			}
			graphs = append(graphs, g)
			for _, w := range g.Weights() {
				parameters += w.Shape.Elems()
			}
		}
		q8, err := needOf(graphs, "q8")
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		q4, err := needOf(graphs, "q4")
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %s | %s | %s | %s |\n", p.name, p.size, parameters/1e6, q8.packed/1e6, q4.packed/1e6,
			q8.cell(), q4.cell(), webGPU(graphs, engine.Q8), webGPU(graphs, engine.Q4))
	}
	fmt.Fprint(&b, "\n## Networks\n\nOf each published configuration all weights: a text encoder's, both halves of an autoencoder.\n\n"+
		"| Configuration | Class | Parameters, M | q8, MB | q4, MB |\n|---|---|---|---|---|\n")
	names := make([]string, 0, len(file.Models))
	for name := range file.Models {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m := file.Models[name]
		graphs, err := m.graphs()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		seen, sizes := map[string]bool{}, map[string]int64{}
		for _, g := range graphs {
			for _, w := range g.Weights() {
				if !seen[w.Name] {
					seen[w.Name] = true
					for _, q := range []string{"q8", "q4"} {
						sizes[q] += pack.Bytes(q, safetensors.Tensor{Name: w.Name, DType: "F16", Shape: w.Shape})
					}
				}
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %.1f | %.1f | %.1f |\n", name, m.Class, float64(m.Parameters)/1e6, float64(sizes["q8"])/1e6, float64(sizes["q4"])/1e6)
	}
	return b.Bytes()
}

// TestModelsTable holds MODELS.md to the code.
func TestModelsTable(t *testing.T) {
	want := modelsTable(t)
	name := filepath.Join("..", "MODELS.md")
	if *update {
		if err := os.WriteFile(name, want, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		lines := strings.Split(string(want), "\n")
		for i, line := range strings.Split(string(got), "\n") {
			if i >= len(lines) || line != lines[i] {
				t.Fatalf("MODELS.md, line %d is\n%s\nrun go test ./tests -run TestModelsTable -update", i+1, line)
			}
		}
		t.Fatal("MODELS.md lacks lines: run go test ./tests -run TestModelsTable -update")
	}
}
