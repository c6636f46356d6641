//go:build !js

package tests

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/model"
)

// published is an entry of golden/model/sizes.json.
type published struct {
	Class      string                  `json:"class"`
	Config     json.RawMessage         `json:"config"`
	Parameters int                     `json:"parameters"`
	Tensors    int                     `json:"tensors"`
	Host       map[string]engine.Shape `json:"host"`   // the tensors that no graph reads: the host does, or nobody
	SHA256     string                  `json:"sha256"` // of the sorted lines "name shape"
}

// graphs are the networks whose weights together are the checkpoint's.
func (p published) graphs() ([]*engine.Graph, error) {
	var list []*engine.Graph
	var errs error
	add := func(g *engine.Graph, err error) {
		list, errs = append(list, g), cmp.Or(errs, err)
	}
	switch p.Class {
	case "UNet2DConditionModel":
		add(model.UNet2DCondition(p.Config, 1, 8, 8, 77))
	case "ControlNetModel":
		add(model.ControlNet(p.Config, 1, 8, 8, 77))
	case "CLIPTextModel":
		add(model.CLIPText(p.Config, 1, 77))
	case "CLIPTextModelWithProjection":
		add(model.CLIPText(p.Config, 1, 77, model.TextPrefix("text_model"), model.Penultimate(), model.WithProjection()))
	case "T5EncoderModel", "MT5EncoderModel", "UMT5EncoderModel":
		add(model.T5Encoder(p.Config, 1, 77))
	case "PixArtTransformer2DModel":
		add(model.PixArt(p.Config, 1, 8, 8, 77))
	case "SD3Transformer2DModel":
		add(model.SD3(p.Config, 1, 8, 8, 77))
	case "Flux2Transformer2DModel":
		add(model.Flux2(p.Config, 1, 8, 8, 77))
	case "ZImageTransformer2DModel":
		add(model.ZImage(p.Config, 1, 10, 8, 32))
	case "BertModel":
		add(model.BERT(p.Config, 1, 77))
	case "GemmaModel", "Gemma2Model":
		add(model.Gemma(p.Config, 1, 77, -1))
	case "Qwen3Model":
		add(model.Qwen3(p.Config, 1, 77))
	case "AutoencoderKLFlux2":
		add(model.AutoencoderKLFlux2Encoder(p.Config, 1, 64, 64))
		add(model.AutoencoderKLFlux2Decoder(p.Config, 1, 8, 8))
	case "DiTTransformer2DModel":
		add(model.DiT(p.Config, 1, 8, 8))
	case "SiTTransformer2DModel":
		add(model.SiT(p.Config, 1, 32, 32))
	case "UViT":
		var c struct {
			Side int `json:"img_size"`
		}
		if err := json.Unmarshal(p.Config, &c); err != nil {
			return nil, err
		}
		add(model.UViT(p.Config, 1, c.Side, c.Side))
	case "SanaTransformer2DModel":
		add(model.Sana(p.Config, 1, 8, 8, 8))
	case "AutoencoderDC":
		add(model.AutoencoderDCEncoder(p.Config, 1, 64, 64))
		add(model.AutoencoderDCDecoder(p.Config, 1, 2, 2))
	case "AuraFlowTransformer2DModel":
		add(model.AuraFlow(p.Config, 1, 8, 8, 77))
	case "LuminaNextDiT2DModel":
		add(model.Lumina(p.Config, 1, 8, 8, 77))
	case "HunyuanDiT2DModel":
		add(model.HunyuanDiT(p.Config, 1, 8, 8))
	case "UNet2DModel":
		add(model.UNet2D(p.Config, 1, 256, 256))
	case "VQModel":
		add(model.VQModelEncoder(p.Config, 1, 64, 64))
		add(model.VQModelDecoder(p.Config, 1, 8, 8))
	case "FluxTransformer2DModel":
		add(model.Flux(p.Config, 1, 8, 8, 77))
	case "AutoencoderKL":
		add(model.AutoencoderKLEncoder(p.Config, 1, 64, 64))
		add(model.AutoencoderKLDecoder(p.Config, 1, 8, 8))
	case "AutoencoderTiny":
		add(model.AutoencoderTinyEncoder(p.Config, 1, 64, 64))
		add(model.AutoencoderTinyDecoder(p.Config, 1, 8, 8))
	default:
		return nil, fmt.Errorf("no class %q", p.Class)
	}
	return list, errs
}

// TestPublishedModels: from the configs of published models, the graphs ask
// for exactly the weights that their checkpoints hold.
func TestPublishedModels(t *testing.T) {
	var file struct {
		Models map[string]published `json:"models"`
	}
	readJSON(t, filepath.Join("golden", "model", "sizes.json"), &file)
	for name, want := range file.Models {
		t.Run(name, func(t *testing.T) {
			graphs, err := want.graphs()
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			parameters, seen := 0, map[string]bool{}
			count := func(name string, shape engine.Shape) {
				dims := strings.ReplaceAll(strings.Trim(fmt.Sprint([]int(shape)), "[]"), " ", "x")
				lines = append(lines, fmt.Sprintf("%s %s\n", name, dims))
				parameters += shape.Elems()
			}
			for name, shape := range want.Host {
				count(name, shape)
			}
			for _, g := range graphs {
				for _, w := range g.Weights() {
					if seen[w.Name] {
						continue
					}
					seen[w.Name] = true
					count(w.Name, w.Shape)
				}
			}
			slices.Sort(lines)
			sum := sha256.Sum256([]byte(strings.Join(lines, "")))
			if len(lines) != want.Tensors || parameters != want.Parameters || hex.EncodeToString(sum[:]) != want.SHA256 {
				t.Errorf("%d tensors of %d parameters, want %d of %d", len(lines), parameters, want.Tensors, want.Parameters)
			}
		})
	}
}
