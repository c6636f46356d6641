package single

import (
	"strings"

	"wisp/loader/names"
	"wisp/loader/safetensors"
)

// The names of FLUX.2 and Z-Image, against those of diffusers, their configs and
// their pipelines.

// convertFLUX2 names the tensors of FLUX.2's transformer as diffusers does.
func convertFLUX2(set *safetensors.Set) (*safetensors.Set, error) {
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
		head, rest := names.Split(t.Name, 2)
		switch head[0] {
		case "double_blocks":
			return flux2Double(t, "transformer_blocks."+head[1]+".", rest)
		case "single_blocks":
			return names.As(t, "single_transformer_blocks."+head[1]+"."+names.Replaced(rest, "linear1.", "attn.to_qkv_mlp_proj.", "linear2.", "attn.to_out.",
				"norm.query_norm.scale", "attn.norm_q.weight", "norm.key_norm.scale", "attn.norm_k.weight"))
		}
		t.Name = names.Replaced(t.Name, "img_in.", "x_embedder.", "txt_in.", "context_embedder.",
			"time_in.in_layer.", "time_guidance_embed.timestep_embedder.linear_1.", "time_in.out_layer.", "time_guidance_embed.timestep_embedder.linear_2.",
			"guidance_in.in_layer.", "time_guidance_embed.guidance_embedder.linear_1.", "guidance_in.out_layer.", "time_guidance_embed.guidance_embedder.linear_2.",
			"double_stream_modulation_img.lin.", "double_stream_modulation_img.linear.", "double_stream_modulation_txt.lin.", "double_stream_modulation_txt.linear.",
			"single_stream_modulation.lin.", "single_stream_modulation.linear.", "final_layer.linear.", "proj_out.", "final_layer.adaLN_modulation.1.", "norm_out.linear.")
		t.Swapped = strings.HasPrefix(t.Name, "norm_out.linear.")
		return []safetensors.Tensor{t}
	})
}

func flux2Double(t safetensors.Tensor, block, rest string) []safetensors.Tensor {
	t.Name = block + rest
	switch {
	case strings.HasPrefix(rest, "img_attn.qkv."):
		return names.Pieces(t, "img_attn.qkv.", "attn.to_q.", "attn.to_k.", "attn.to_v.")
	case strings.HasPrefix(rest, "txt_attn.qkv."):
		return names.Pieces(t, "txt_attn.qkv.", "attn.add_q_proj.", "attn.add_k_proj.", "attn.add_v_proj.")
	}
	return names.As(t, block+names.Replaced(rest, "img_attn.norm.query_norm.scale", "attn.norm_q.weight", "img_attn.norm.key_norm.scale", "attn.norm_k.weight",
		"txt_attn.norm.query_norm.scale", "attn.norm_added_q.weight", "txt_attn.norm.key_norm.scale", "attn.norm_added_k.weight",
		"img_attn.proj.", "attn.to_out.0.", "txt_attn.proj.", "attn.to_add_out.", "img_mlp.0.", "ff.linear_in.", "img_mlp.2.", "ff.linear_out.",
		"txt_mlp.0.", "ff_context.linear_in.", "txt_mlp.2.", "ff_context.linear_out."))
}

func flux2Config(set *safetensors.Set) map[string]any {
	head := first(dim(set, "transformer_blocks.0.attn.norm_q.weight", 0), 128)
	width := dim(set, "x_embedder.weight", 0)
	inner := dim(set, "single_transformer_blocks.0.attn.to_out.weight", 1) - width
	c := map[string]any{"_class_name": "Flux2Transformer2DModel", "patch_size": 1, "in_channels": dim(set, "x_embedder.weight", 1), "out_channels": nil,
		"num_layers": numbered(set, "transformer_blocks."), "num_single_layers": numbered(set, "single_transformer_blocks."),
		"attention_head_dim": head, "num_attention_heads": max(1, width/head), "joint_attention_dim": dim(set, "context_embedder.weight", 1),
		"timestep_guidance_channels": dim(set, "time_guidance_embed.timestep_embedder.linear_1.weight", 1), "mlp_ratio": float64(inner) / float64(max(1, width)),
		"axes_dims_rope": []int{head / 4, head / 4, head / 4, head / 4}, "rope_theta": 2000, "eps": 1e-6,
		"guidance_embeds": has(set, "time_guidance_embed.guidance_embedder.linear_1.weight")}
	if out := dim(set, "proj_out.weight", 0); out != dim(set, "x_embedder.weight", 1) {
		c["out_channels"] = out
	}
	return c
}

// convertZImage names the tensors of Z-Image's transformer as diffusers does.
func convertZImage(set *safetensors.Set) (*safetensors.Set, error) {
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
		switch {
		case t.Name == "norm_final.weight":
			return nil
		case strings.HasSuffix(t.Name, "_pad_token") && len(t.Shape) == 1:
			t.Shape = []int{1, t.Shape[0]}
		case strings.Contains(t.Name, ".attention.qkv."):
			return names.Pieces(t, ".attention.qkv.", ".attention.to_q.", ".attention.to_k.", ".attention.to_v.")
		}
		name := names.Replaced(t.Name, "final_layer.", "all_final_layer.2-1.", "x_embedder.", "all_x_embedder.2-1.")
		if stem, leaf, ok := strings.Cut(name, ".attention."); ok {
			name = stem + ".attention." + names.Replaced(leaf, "out.", "to_out.0.", "q_norm.", "norm_q.", "k_norm.", "norm_k.")
		}
		return names.As(t, name)
	})
}

func zImageConfig(set *safetensors.Set) map[string]any {
	width := dim(set, "all_x_embedder.2-1.weight", 0)
	head := first(dim(set, "layers.0.attention.norm_q.weight", 0), 128)
	axis := head / 8 * 3
	return map[string]any{"_class_name": "ZImageTransformer2DModel", "all_patch_size": []int{2}, "all_f_patch_size": []int{1},
		"in_channels": dim(set, "all_x_embedder.2-1.weight", 1) / 4, "dim": width, "n_layers": numbered(set, "layers."),
		"n_refiner_layers": numbered(set, "noise_refiner."), "n_heads": max(1, width/head), "n_kv_heads": max(1, width/head), "norm_eps": 1e-5,
		"qk_norm": has(set, "layers.0.attention.norm_q.weight"), "cap_feat_dim": dim(set, "cap_embedder.0.weight", 0), "siglip_feat_dim": nil,
		"rope_theta": 256.0, "t_scale": 1000.0, "axes_dims": []int{head - 2*axis, axis, axis}, "axes_lens": []int{1024, 512, 512}}
}

// flowScheduler is the schedule of models that predict a flow.
func flowScheduler(shift float64, dynamic bool) map[string]any {
	return map[string]any{"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": shift, "use_dynamic_shifting": dynamic,
		"base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096}
}

func qwenComponent() component {
	return component{name: "text_encoder", library: "transformers", class: "Qwen3ForCausalLM", role: qwen, config: qwenConfig}
}

// flux2Pipeline is FLUX.2-klein; the larger ones have another text encoder.
func flux2Pipeline(p part) *pipeline {
	distilled := !has(p.set, "time_guidance_embed.guidance_embedder.linear_1.weight")
	return &pipeline{what: "FLUX.2-klein", words: "tokenizer", scheduler: flowScheduler(3, true),
		index: map[string]any{"_class_name": "Flux2KleinPipeline", "is_distilled": distilled},
		components: []component{
			qwenComponent(),
			{name: "transformer", library: "diffusers", class: "Flux2Transformer2DModel", role: flux2, config: flux2Config},
			{name: "vae", library: "diffusers", class: "AutoencoderKLFlux2", role: vae, config: flux2VAEConfig},
		}}
}

func flux2VAEConfig(set *safetensors.Set) map[string]any {
	c := vaeConfig(set, 1, 0, 1024)
	delete(c, "scaling_factor")
	c["_class_name"], c["patch_size"], c["batch_norm_eps"], c["batch_norm_momentum"] = "AutoencoderKLFlux2", []int{2, 2}, 1e-4, 0.1
	var decoder []int
	for i := range numbered(set, "decoder.up_blocks.") {
		decoder = append([]int{dim(set, "decoder.up_blocks."+string(rune('0'+i))+".resnets.0.conv1.weight", 0)}, decoder...)
	}
	c["decoder_block_out_channels"] = decoder
	return c
}

func zImagePipeline(part) *pipeline {
	return &pipeline{what: "Z-Image", words: "tokenizer", scheduler: flowScheduler(3, false),
		index: map[string]any{"_class_name": "ZImagePipeline"},
		components: []component{
			qwenComponent(),
			{name: "transformer", library: "diffusers", class: "ZImageTransformer2DModel", role: zImage, config: zImageConfig},
			{name: "vae", library: "diffusers", class: "AutoencoderKL", role: vae, config: func(s *safetensors.Set) map[string]any { return vaeConfig(s, 0.3611, 0.1159, 1024) }},
		}}
}
