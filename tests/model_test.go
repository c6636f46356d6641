package tests

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/model"
)

// networkCase is the case.json beside a network's golden.
type networkCase struct {
	Network     string   `json:"network"`
	Prefix      string   `json:"prefix"`
	Skip        int      `json:"skip"`
	SkipLayers  []int    `json:"skip_layers"`
	State       bool     `json:"state"`
	Unnormed    bool     `json:"unnormed"`
	States      []int    `json:"states"`
	Unused      []string `json:"unused"` // prefixes of the weights that no graph reads
	Base        int      `json:"base"`   // of proportional attention
	Linear      float64  `json:"linear"` // factors of the rotary embedding
	NTK         float64  `json:"ntk"`
	Penultimate bool     `json:"penultimate"`
	Pooled      bool     `json:"pooled"`
	Control     bool     `json:"control"`
}

// build records the network for the sizes of its golden inputs.
func (c networkCase) build(config []byte, in map[string]engine.Tensor) (*engine.Graph, error) {
	shape := func(name string) engine.Shape { return in[name].Shape }
	switch c.Network {
	case "clip":
		options := []model.TextOption{model.TextPrefix(c.Prefix), model.ClipSkip(c.Skip)}
		if c.Penultimate {
			options = append(options, model.Penultimate())
		}
		if c.Unnormed {
			options = append(options, model.Unnormed())
		}
		if c.State {
			options = append(options, model.WithPooled())
		}
		if c.Pooled {
			options = append(options, model.WithProjection())
		}
		s := shape("ids")
		return model.CLIPText(config, s[0], s[1], options...)
	case "unet":
		s := shape("sample")
		var options []model.UNetOption
		if c.Control {
			options = append(options, model.WithControl())
		}
		return model.UNet2DCondition(config, s[0], s[1], s[2], shape("context")[1], options...)
	case "controlnet":
		s := shape("sample")
		return model.ControlNet(config, s[0], s[1], s[2], shape("context")[1])
	case "t5":
		s := shape("ids")
		return model.T5Encoder(config, s[0], s[1])
	case "pixart":
		s := shape("sample")
		return model.PixArt(config, s[0], s[1], s[2], shape("context")[1])
	case "sd3":
		s := shape("sample")
		return model.SD3(config, s[0], s[1], s[2], shape("context")[1], model.SkipLayers(c.SkipLayers...))
	case "bert":
		s := shape("ids")
		return model.BERT(config, s[0], s[1])
	case "flux2":
		s := shape("sample")
		var options []model.Flux2Option
		for i := 0; ; i++ {
			r, ok := in[fmt.Sprintf("reference.%d", i)]
			if !ok {
				return model.Flux2(config, s[0], s[1], s[2], shape("context")[1], options...)
			}
			options = append(options, model.References([2]int{r.Shape[1], r.Shape[2]}))
		}
	case "z_image":
		s := shape("sample")
		return model.ZImage(config, s[0], s[1], s[2], shape("context")[1])
	case "qwen3":
		s := shape("ids")
		options := []model.Qwen3Option{model.Qwen3Prefix(c.Prefix)}
		if c.States != nil {
			options = append(options, model.HiddenStates(c.States...))
		}
		return model.Qwen3(config, s[0], s[1], options...)
	case "gemma":
		s := shape("ids")
		return model.Gemma(config, s[0], s[1], c.States[0])
	case "kl_flux2_decoder":
		s := shape("latents")
		return model.AutoencoderKLFlux2Decoder(config, s[0], s[1], s[2])
	case "kl_flux2_encoder":
		s := shape("image")
		return model.AutoencoderKLFlux2Encoder(config, s[0], s[1], s[2])
	case "dit":
		s := shape("sample")
		return model.DiT(config, s[0], s[1], s[2])
	case "sit":
		s := shape("sample")
		return model.SiT(config, s[0], s[1], s[2])
	case "u_vit":
		s := shape("sample")
		return model.UViT(config, s[0], s[1], s[2])
	case "decoder":
		s := shape("latents")
		return model.Decoder(config, s[0], s[1], s[2])
	case "encoder":
		s := shape("image")
		return model.Encoder(config, s[0], s[1], s[2])
	case "sana":
		s := shape("sample")
		return model.Sana(config, s[0], s[1], s[2], shape("context")[1])
	case "auraflow":
		s := shape("sample")
		return model.AuraFlow(config, s[0], s[1], s[2], shape("context")[1])
	case "lumina":
		s := shape("sample")
		var options []model.LuminaOption
		if c.Base != 0 {
			options = append(options, model.ProportionalAttention(c.Base))
		}
		return model.Lumina(config, s[0], s[1], s[2], shape("context")[1], options...)
	case "hunyuan":
		s := shape("sample")
		return model.HunyuanDiT(config, s[0], s[1], s[2])
	case "unet2d":
		s := shape("sample")
		return model.UNet2D(config, s[0], s[1], s[2])
	case "vq_decoder":
		s := shape("latents")
		return model.VQModelDecoder(config, s[0], s[1], s[2])
	case "vq_encoder":
		s := shape("image")
		return model.VQModelEncoder(config, s[0], s[1], s[2])
	case "flux":
		s := shape("sample")
		return model.Flux(config, s[0], s[1], s[2], shape("context")[1])
	case "taesd_decoder":
		s := shape("latents")
		return model.AutoencoderTinyDecoder(config, s[0], s[1], s[2])
	case "taesd_encoder":
		s := shape("image")
		return model.AutoencoderTinyEncoder(config, s[0], s[1], s[2])
	case "kl_decoder":
		s := shape("latents")
		return model.AutoencoderKLDecoder(config, s[0], s[1], s[2])
	case "kl_encoder":
		s := shape("image")
		return model.AutoencoderKLEncoder(config, s[0], s[1], s[2])
	}
	return nil, fmt.Errorf("no network %q", c.Network)
}

// TestNetworks holds each network of engine/model against diffusers and
// transformers on tiny seeded weights.
func TestNetworks(t *testing.T) {
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
			used := map[string]bool{}
			for _, n := range g.Weights() {
				used[n.Name] = true
			}
			for name := range weights {
				if !used[name] && !c.leavesOut(name) {
					t.Errorf("the graph does not use %s", name)
				}
			}
			checkGolden(t, g, weights, want, goldenTolerance)
			checkStored(t, g, weights, want)
		})
	}
}

// leavesOut says which weights a case rightly has no use for.
func (c networkCase) leavesOut(name string) bool {
	for _, i := range c.SkipLayers {
		if strings.HasPrefix(name, fmt.Sprintf("transformer_blocks.%d.", i)) {
			return true
		}
	}
	for _, prefix := range c.Unused {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	if c.Network == "lumina" && name == "pad_token" { // nothing reads it there either
		return true
	}
	return c.Skip > 0 && strings.Contains(name, "layers") || c.Network == "unet2d" && name == "time_proj.weight" // the host embeds
}

// TestLuminaRotary: the angles that the host makes are those that diffusers
// gave the golden.
func TestLuminaRotary(t *testing.T) {
	for _, dir := range []string{"golden/model/lumina", "golden/model/lumina_options"} {
		var c networkCase
		readJSON(t, filepath.Join(dir, "case.json"), &c)
		config, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		in := readGolden(t, filepath.Join(dir, "io.safetensors")).in
		s := in["sample"].Shape
		cos, sin, err := model.LuminaRotary(config, s[1], s[2], c.Linear, c.NTK)
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string][]float32{"rotary_cos": cos, "rotary_sin": sin} {
			if d, err := compare(engine.FromFloat32s(got, in[name].Shape...), in[name]); err != nil || d.maxAbs > 1e-6 {
				t.Errorf("%s: %s is off by %v, %v", dir, name, d.maxAbs, err)
			}
		}
	}
}

func TestTimestepEmbedding(t *testing.T) {
	var file struct {
		Cases []struct {
			Dim       int       `json:"dim"`
			Flip      bool      `json:"flip_sin_to_cos"`
			Shift     float32   `json:"freq_shift"`
			T         []float32 `json:"t"`
			Embedding []float64 `json:"embedding"`
		} `json:"cases"`
	}
	readJSON(t, filepath.Join("golden", "model", "timesteps.json"), &file)
	for _, c := range file.Cases {
		for i, got := range model.TimestepEmbedding(c.T, c.Dim, c.Flip, c.Shift) {
			// A frequency that differs in its last bit turns t = 999 by 6e-5.
			if d := math.Abs(float64(got) - c.Embedding[i]); d > 1e-4 {
				t.Errorf("dim %d, t %v: element %d is %v, want %v", c.Dim, c.T, i, got, c.Embedding[i])
			}
		}
	}
}

// TestNetworkConfigErrors: what cannot be built is refused by the name of its field.
func TestNetworkConfigErrors(t *testing.T) {
	unet := func(b []byte) (*engine.Graph, error) { return model.UNet2DCondition(b, 1, 8, 8, 4) }
	clip := func(b []byte) (*engine.Graph, error) { return model.CLIPText(b, 1, 77) }
	tiny := func(b []byte) (*engine.Graph, error) { return model.AutoencoderTinyDecoder(b, 1, 8, 8) }
	control := func(b []byte) (*engine.Graph, error) { return model.ControlNet(b, 1, 8, 8, 4) }
	t5 := func(b []byte) (*engine.Graph, error) { return model.T5Encoder(b, 1, 77) }
	pixart := func(b []byte) (*engine.Graph, error) { return model.PixArt(b, 1, 8, 8, 4) }
	sd3 := func(b []byte) (*engine.Graph, error) { return model.SD3(b, 1, 8, 8, 4) }
	unet2d := func(b []byte) (*engine.Graph, error) { return model.UNet2D(b, 1, 8, 8) }
	vq := func(b []byte) (*engine.Graph, error) { return model.VQModelDecoder(b, 1, 8, 8) }
	dit := func(b []byte) (*engine.Graph, error) { return model.DiT(b, 1, 8, 8) }
	sit := func(b []byte) (*engine.Graph, error) { return model.SiT(b, 1, 8, 8) }
	sana := func(b []byte) (*engine.Graph, error) { return model.Sana(b, 1, 8, 8, 8) }
	dc := func(b []byte) (*engine.Graph, error) { return model.AutoencoderDCDecoder(b, 1, 2, 2) }
	uViT := func(b []byte) (*engine.Graph, error) { return model.UViT(b, 1, 8, 8) }
	aura := func(b []byte) (*engine.Graph, error) { return model.AuraFlow(b, 1, 8, 8, 4) }
	lumina := func(b []byte) (*engine.Graph, error) { return model.Lumina(b, 1, 8, 8, 4) }
	hunyuan := func(b []byte) (*engine.Graph, error) { return model.HunyuanDiT(b, 1, 8, 8) }
	bert := func(b []byte) (*engine.Graph, error) { return model.BERT(b, 1, 4) }
	flux2 := func(b []byte) (*engine.Graph, error) { return model.Flux2(b, 1, 4, 4, 4) }
	zImage := func(b []byte) (*engine.Graph, error) { return model.ZImage(b, 1, 8, 8, 32) }
	qwen3 := func(b []byte) (*engine.Graph, error) { return model.Qwen3(b, 1, 4) }
	klFlux2 := func(b []byte) (*engine.Graph, error) { return model.AutoencoderKLFlux2Decoder(b, 1, 4, 4) }
	flux := func(b []byte) (*engine.Graph, error) { return model.Flux(b, 1, 4, 4, 4) }
	sd3Skipping := func(b []byte) (*engine.Graph, error) { return model.SD3(b, 1, 8, 8, 4, model.SkipLayers(7, 18)) }
	kl := func(b []byte) (*engine.Graph, error) { return model.AutoencoderKLDecoder(b, 1, 8, 8) }
	for _, c := range []struct {
		build         func([]byte) (*engine.Graph, error)
		config, field string
	}{
		{unet, `{`, "UNet2DConditionModel"},
		{unet, `{"in_channels": "four"}`, "in_channels"},
		{unet, `{"in_channels": 0}`, "in_channels"},
		{unet, `{"act_fn": "mish"}`, "act_fn"},
		{unet, `{"block_out_channels": []}`, "block_out_channels"},
		{unet, `{"block_out_channels": [1e9, 1, 1, 1]}`, "block_out_channels"},
		{unet, `{"block_out_channels": [320, 640]}`, "down_block_types"},
		{unet, `{"layers_per_block": 1000000000}`, "layers_per_block"},
		{unet, `{"layers_per_block": [1, 2]}`, "layers_per_block"},
		{unet, `{"transformer_layers_per_block": [[1], [2], [3]]}`, "transformer_layers_per_block"},
		{unet, `{"transformer_layers_per_block": [1, 1, [1, 1], 1]}`, "transformer_layers_per_block"},
		{unet, `{"attention_head_dim": 7}`, "attention_head_dim"},
		{unet, `{"attention_head_dim": [0, 1, 1, 1]}`, "attention_head_dim"},
		{unet, `{"num_attention_heads": 8}`, "num_attention_heads"},
		{unet, `{"norm_num_groups": 7}`, "norm_num_groups"},
		{unet, `{"norm_num_groups": null}`, "norm_num_groups"},
		{unet, `{"norm_num_groups": 0}`, "norm_num_groups"},
		{unet, `{"class_embed_type": "image"}`, "class_embed_type"},
		{unet, `{"class_embed_type": "projection"}`, "projection_class_embeddings_input_dim"},
		{unet, `{"num_class_embeds": -1}`, "num_class_embeds"},
		{unet, `{"class_embeddings_concat": true}`, "class_embeddings_concat"},
		{unet, `{"dual_cross_attention": true}`, "dual_cross_attention"},
		{unet, `{"addition_embed_type": "text_time"}`, "projection_class_embeddings_input_dim"},
		{unet, `{"addition_embed_type": "image"}`, "addition_embed_type"},
		{unet, `{"encoder_hid_dim_type": "image_proj"}`, "encoder_hid_dim_type"},
		{unet, `{"down_block_types": ["KDownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"]}`, "down_block_types"},
		{unet, `{"conv_in_kernel": 4}`, "conv_in_kernel"},
		{unet, `{"conv_in_kernel": -3}`, "conv_in_kernel"},
		{unet, `{"mid_block_scale_factor": 0}`, "mid_block_scale_factor"},
		{control, `{"controlnet_conditioning_channel_order": "grb"}`, "controlnet_conditioning_channel_order"},
		{control, `{"conditioning_embedding_out_channels": null}`, "conditioning_embedding_out_channels"},
		{control, `{"num_attention_heads": 7}`, "attention_head_dim"},
		{t5, `{"feed_forward_proj": "gated-swoosh"}`, "feed_forward_proj"},
		{t5, `{"model_type": "byt5"}`, "model_type"},
		{sd3Skipping, `{}`, "num_layers"},
		{t5, `{"relative_attention_num_buckets": 7}`, "relative_attention_num_buckets"},
		{t5, `{"num_heads": 65536, "d_kv": 65536}`, "num_heads"},
		{pixart, `{"norm_type": "ada_norm_zero"}`, "norm_type"},
		{pixart, `{"patch_size": 3}`, "patch_size"},
		{pixart, `{"attention_head_dim": 71}`, "attention_head_dim"},
		{sd3, `{"qk_norm": "layer_norm"}`, "qk_norm"},
		{sd3, `{"caption_projection_dim": 7}`, "caption_projection_dim"},
		{sd3, `{"pos_embed_max_size": 3}`, "pos_embed_max_size"},
		{unet2d, `{"down_block_types": ["KDownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"]}`, "down_block_types"},
		{unet2d, `{"time_embedding_type": "learned"}`, "num_train_timesteps"},
		{unet2d, `{"class_embed_type": "projection"}`, "class_embed_type"},
		{unet2d, `{"norm_num_groups": null}`, "norm_num_groups"},
		{unet2d, `{"attention_head_dim": 9}`, "attention_head_dim"},
		{unet2d, `{"in_channels": 1, "down_block_types": ["SkipDownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"]}`, "in_channels"},
		{unet2d, `{"block_out_channels": [32, 32, 32, 32, 32], "down_block_types": ["DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"]}`, "block_out_channels"},
		{vq, `{"norm_type": "spatial"}`, "norm_type"},
		{vq, `{"lookup_from_codebook": true}`, "lookup_from_codebook"},
		{vq, `{"num_vq_embeddings": 0}`, "num_vq_embeddings"},
		{dit, `{"norm_type": "ada_norm"}`, "norm_type"},
		{dit, `{"num_embeds_ada_norm": null}`, "num_embeds_ada_norm"},
		{dit, `{"norm_elementwise_affine": true}`, "norm_elementwise_affine"},
		{sit, `{}`, "input_size"},
		{sit, `{"norm_type": "rms"}`, "norm_type"},
		{sit, `{"class_dropout_prob": 0}`, "class_dropout_prob"},
		{sit, `{"mlp_ratio": -1}`, "mlp_ratio"},
		{sit, `{"num_heads": 7}`, "num_heads"},
		{sana, `{}`, "guidance_embeds"},
		{sana, `{"guidance_embeds": true, "cross_attention_dim": null}`, "cross_attention_dim"},
		{sana, `{"guidance_embeds": true, "cross_attention_dim": 8}`, "cross_attention_dim"},
		{sana, `{"guidance_embeds": true, "qk_norm": "layer_norm"}`, "qk_norm"},
		{sana, `{"guidance_embeds": true, "patch_size": 3}`, "patch_size"},
		{sana, `{"guidance_embeds": true, "mlp_ratio": 1e9}`, "mlp_ratio"},
		{sana, `{"guidance_embeds": true, "interpolation_scale": 1}`, "interpolation_scale"},
		{dc, `{"decoder_norm_types": "batch_norm"}`, "decoder_norm_types"},
		{dc, `{"decoder_layers_per_block": [0, 3, 3, 3, 3, 3]}`, "decoder_layers_per_block"},
		{dc, `{"decoder_block_out_channels": [128, 256]}`, "decoder_layers_per_block"},
		{dc, `{"decoder_block_types": "EfficientViTBlock", "attention_head_dim": 48}`, "attention_head_dim"},
		{dc, `{"decoder_qkv_multiscales": [[], [], [], [4], [5], [5]]}`, "decoder_qkv_multiscales"},
		{dc, `{"latent_channels": 48}`, "latent_channels"},
		{dc, `{"encoder_block_out_channels": [8, 64, 64, 64, 64, 64]}`, "encoder_block_out_channels"},
		{uViT, `{"num_classes": 10, "img_size": 32}`, "img_size"},
		{uViT, `{"num_classes": 1}`, "num_classes"},
		{uViT, `{"clip_dim": 0}`, "clip_dim"},
		{uViT, `{"clip_dim": 8, "num_clip_token": 0}`, "num_clip_token"},
		{uViT, `{"num_classes": 10, "qk_scale": 0.5}`, "qk_scale"},
		{uViT, `{"num_classes": 10, "mlp_ratio": 1e9}`, "mlp_ratio"},
		{aura, `{"caption_projection_dim": 7}`, "caption_projection_dim"},
		{aura, `{"pos_embed_max_size": 3}`, "pos_embed_max_size"},
		{lumina, `{"num_kv_heads": 5}`, "num_kv_heads"},
		{lumina, `{"multiple_of": 0}`, "multiple_of"},
		{lumina, `{"ffn_dim_multiplier": 1e9}`, "ffn_dim_multiplier"},
		{hunyuan, `{"in_channels": 4, "patch_size": 2, "hidden_size": 1409}`, "hidden_size"},
		{hunyuan, `{"in_channels": 4, "patch_size": 2, "hidden_size": 1408, "num_layers": 3}`, "num_layers"},
		{hunyuan, `{"in_channels": 4}`, "patch_size"},
		{flux2, `{"axes_dims_rope": [64, 64]}`, "axes_dims_rope"},
		{flux2, `{"rope_theta": 0}`, "rope_theta"},
		{flux2, `{"mlp_ratio": 1e300}`, "mlp_ratio"},
		{zImage, `{"siglip_feat_dim": 8}`, "siglip_feat_dim"},
		{zImage, `{"axes_lens": [30, 512, 512]}`, "axes_lens"},
		{zImage, `{"all_patch_size": [2, 4]}`, "all_patch_size"},
		{bert, `{"position_embedding_type": "relative_key"}`, "position_embedding_type"},
		{bert, `{"max_position_embeddings": 3}`, "max_position_embeddings"},
		{bert, `{"is_decoder": true}`, "is_decoder"},
		{qwen3, `{"rope_scaling": {"type": "yarn"}}`, "rope_scaling"},
		{qwen3, `{"rope_parameters": {"rope_type": "yarn"}}`, "rope_type"},
		{qwen3, `{"use_sliding_window": true}`, "use_sliding_window"},
		{qwen3, `{"num_key_value_heads": 5}`, "num_key_value_heads"},
		{klFlux2, `{"decoder_block_out_channels": [32]}`, "decoder_block_out_channels"},
		{klFlux2, `{"batch_norm_eps": -1}`, "batch_norm_eps"},
		{flux, `{"patch_size": 2}`, "patch_size"},
		{flux, `{"axes_dims_rope": [16, 56, 54]}`, "axes_dims_rope"},
		{flux, `{"axes_dims_rope": [16, 57, 55]}`, "axes_dims_rope"},
		{flux, `{"num_layers": 1e9}`, "num_layers"},
		{clip, `{"hidden_act": "swoosh"}`, "hidden_act"},
		{clip, `{"num_attention_heads": 0}`, "num_attention_heads"},
		{clip, `{"num_hidden_layers": 1000000}`, "num_hidden_layers"},
		{clip, `{"max_position_embeddings": 76}`, "max_position_embeddings"},
		{clip, `{"text_config": {"vocab_size": -1}}`, "vocab_size"},
		{tiny, `{"num_decoder_blocks": [1]}`, "num_decoder_blocks"},
		{tiny, `{"num_decoder_blocks": [1, 1, 1, 100000000]}`, "num_decoder_blocks"},
		{tiny, `{"upsample_fn": "bilinear"}`, "upsample_fn"},
		{kl, `{"norm_num_groups": 0}`, "norm_num_groups"},
		{kl, `{"up_block_types": ["MidUpDecoderBlock2D"]}`, "up_block_types"},
		{kl, `{"latent_channels": -4}`, "latent_channels"},
	} {
		g, err := c.build([]byte(c.config))
		if g != nil || !errors.Is(err, model.ErrConfig) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s gives %v, want an ErrConfig that names %s", c.config, err, c.field)
		}
	}
}
