package single

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"wisp/loader/safetensors"
)

// TestAdditions: what belongs to a model, but is no network of it, and networks
// of other kinds are said to be that.
func TestAdditions(t *testing.T) {
	for name, want := range map[string]string{
		"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight":                          "LoRA",
		"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight":          "LoRA",
		"unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_k_lora.up.weight": "LoRA",
		"diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight":                             "LoRA",
		"lora_te_text_model_encoder_layers_0_mlp_fc1.hada_w1_a":                                  "LoRA",
		"lora_unet_mid_block_attentions_0.lokr_w1":                                               "LoRA",
		"emb_params":                                  "textual inversion",
		"control_model.input_blocks.0.0.weight":       "ControlNet",
		"controlnet_cond_embedding.conv_in.weight":    "ControlNet",
		"ip_adapter.1.to_k_ip.weight":                 "IP-Adapter",
		"unet.down_blocks.0.resnets.0.conv1.weight":   "merged into one file",
		"distilled_guidance_layer.in_proj.bias":       "Chroma",
		"model.diffusion_model.cap_embedder.0.weight": "Lumina",
		"input_blocks.0.0.weight":                     "no CLIP",
		"text_model.encoder.layers.0.mlp.fc1.weight":  "begin with",
		"decoder.conv_in.weight":                      "VAE alone",
		"something.else":                              `begin with "something.else"`,
	} {
		header := fmt.Sprintf(`{%q:{"dtype":"F16","shape":[1,4],"data_offsets":[0,8]}}`, name)
		file := File{"a.safetensors", func() (safetensors.Blob, error) { return blobOf(header, 8), nil }}
		_, err := Open([]File{file}, nil)
		if !errors.Is(err, ErrPart) && !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrMissing) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
