package safetensors

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestParts: what belongs to a model, but is none, is said to be that, where a
// single-file checkpoint is wanted.
func TestParts(t *testing.T) {
	for name, want := range map[string]string{
		"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight":                          "LoRA",
		"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight":          "LoRA",
		"unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_k_lora.up.weight": "LoRA",
		"lora_te_text_model_encoder_layers_0_mlp_fc1.hada_w1_a":                                  "LoRA",
		"lora_unet_mid_block_attentions_0.lokr_w1":                                               "LoRA",
		"emb_params":                                 "textual inversion",
		"control_model.input_blocks.0.0.weight":      "ControlNet",
		"controlnet_cond_embedding.conv_in.weight":   "ControlNet",
		"ip_adapter.1.to_k_ip.weight":                "IP-Adapter",
		"unet.down_blocks.0.resnets.0.conv1.weight":  "merged into one file",
		"double_blocks.0.img_attn.qkv.weight":        "denoiser alone",
		"input_blocks.0.0.weight":                    "denoiser alone",
		"down_blocks.0.resnets.0.conv1.weight":       "denoiser alone",
		"text_model.encoder.layers.0.mlp.fc1.weight": "text encoder alone",
		"decoder.up.0.block.0.conv1.weight":          "autoencoder alone",
		"decoder.up_blocks.0.resnets.0.conv1.weight": "autoencoder alone",
		"something.else":                             "no tensor begins with",
	} {
		header := fmt.Sprintf(`{%q:{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}`, name)
		s, err := OpenSet("a.safetensors", open(map[string][]byte{"a.safetensors": encode(header, 2)}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.LDM(Layout{UNetLayers: 2, VAEBlocks: 4})
		if is := errors.Is(err, ErrPart); is != (want != "no tensor begins with") || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := &Set{Tensors: []Tensor{{Name: "model.diffusion_model.input_blocks.0.0.weight"}, {Name: "control_model.x"}}}
	if err := s.Whole(); err != nil {
		t.Errorf("a whole model: %v", err)
	}
}
