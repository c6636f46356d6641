//go:build !js

package tests

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/engine/model"
)

// silent are the fields of configurations that do not touch what is computed:
// they concern training, number formats, or blocks that are refused.
var silent = []string{
	"dropout", "upcast_attention", "AutoencoderTiny force_upcast", "VQModel force_upcast", "PixArtTransformer2DModel num_embeds_ada_norm",
	"latent_magnitude", "latent_shift", // of pictures of latents
	"resnet_skip_time_act", "resnet_out_scale_factor", "mid_block_only_cross_attention", "cross_attention_norm", // of SimpleCrossAttn blocks
	"AutoencoderKLFlux2 batch_norm_momentum", "ZImageTransformer2DModel n_kv_heads", "VQModel sample_size", "ControlNetModel sample_size", // any size will do
	"PixArtTransformer2DModel norm_num_groups", "DiTTransformer2DModel norm_num_groups", // of a transformer over pixels
	"UViT use_checkpoint", "timestep_scale", // which diffusers does not read either
	"addition_embed_type_num_heads", // of addition_embed_type "text"
}

// readers read the facts of each class.
var readers = map[string]func([]byte) error{}

func init() {
	for class, read := range map[string]func([]byte) error{
		"UNet2DConditionModel ControlNetModel": func(b []byte) error { _, err := model.ReadUNet(b); return err },
		"UNet2DModel":                          func(b []byte) error { _, err := model.ReadUNet2D(b); return err },
		"AutoencoderDC AutoencoderKL AutoencoderKLFlux2 AutoencoderTiny VQModel": func(b []byte) error { _, err := model.ReadAutoencoder(b); return err },
		"FluxTransformer2DModel PixArtTransformer2DModel SD3Transformer2DModel DiTTransformer2DModel AuraFlowTransformer2DModel LuminaNextDiT2DModel HunyuanDiT2DModel Flux2Transformer2DModel ZImageTransformer2DModel SiTTransformer2DModel SanaTransformer2DModel UViT": func(b []byte) error { _, err := model.ReadTransformer(b); return err },
	} {
		for _, c := range strings.Fields(class) {
			readers[c] = read
		}
	}
}

// TestConfigFields: each field that diffusers' configurations have is read, and
// one of a wrong type is refused by its name, unless it is known not to matter.
func TestConfigFields(t *testing.T) {
	var file struct {
		Fields map[string][]string `json:"fields"`
	}
	readJSON(t, filepath.Join("golden", "model", "fields.json"), &file)
	for class, fields := range file.Fields {
		for _, field := range fields {
			config := fmt.Sprintf(`{"_class_name": %q, %q: {"no": "value"}}`, class, field)
			_, err := published{Class: class, Config: []byte(config)}.graphs()
			if err == nil {
				err = readers[class]([]byte(config))
			}
			refused := err != nil && strings.Contains(err.Error(), field)
			if refused == (slices.Contains(silent, field) || slices.Contains(silent, class+" "+field)) {
				t.Errorf("%s: %s gives %v", class, field, err)
			}
		}
	}
}
