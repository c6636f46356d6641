package single

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"wisp/loader/safetensors"
)

// The configs of networks, from the shapes of their tensors under diffusers'
// names; what shapes do not tell is as the models' publishers have it.

// numbered counts the modules that follow a prefix: "down_blocks.0.", ...
func numbered(set *safetensors.Set, format string, args ...any) int {
	return count(set, fmt.Sprintf(format, args...))
}

// depths lists for a block of a UNet how deep the transformer after each of its
// layers is.
func depths(set *safetensors.Set, block string) (list []int) {
	for layer := range numbered(set, "%s.resnets.", block) {
		list = append(list, numbered(set, "%s.attentions.%d.transformer_blocks.", block, layer))
	}
	return list
}

func unetConfig(set *safetensors.Set, sample int) map[string]any {
	c := map[string]any{"_class_name": "UNet2DConditionModel", "sample_size": sample, "act_fn": "silu", "flip_sin_to_cos": true, "freq_shift": 0,
		"center_input_sample": false, "downsample_padding": 1, "mid_block_scale_factor": 1, "norm_num_groups": 32, "norm_eps": 1e-5,
		"in_channels": dim(set, "conv_in.weight", 1), "out_channels": dim(set, "conv_out.weight", 0)}
	var channels, heads []int
	var down, up []string
	var deep, back [][]int
	linear := false
	n := numbered(set, "down_blocks.")
	for b := range n {
		channels = append(channels, dim(set, fmt.Sprintf("down_blocks.%d.resnets.0.conv1.weight", b), 0))
		heads = append(heads, max(1, channels[b]/64))
		deep = append(deep, depths(set, fmt.Sprintf("down_blocks.%d", b)))
		back = append(back, depths(set, fmt.Sprintf("up_blocks.%d", b)))
		down = append(down, blockType(deep[b], "DownBlock2D"))
		up = append(up, blockType(back[b], "UpBlock2D"))
	}
	for _, t := range set.Tensors {
		switch {
		case strings.HasSuffix(t.Name, ".attn2.to_k.weight"):
			c["cross_attention_dim"] = dim(set, t.Name, 1)
		case strings.HasSuffix(t.Name, ".proj_in.weight"):
			linear = len(t.Shape) == 2
		}
	}
	mid := numbered(set, "mid_block.attentions.0.transformer_blocks.")
	c["block_out_channels"], c["layers_per_block"] = channels, numbered(set, "down_blocks.0.resnets.")
	c["down_block_types"], c["up_block_types"] = down, up
	c["use_linear_projection"] = linear
	switch {
	case mid > 0:
		c["mid_block_type"] = "UNetMidBlock2DCrossAttn"
	case numbered(set, "mid_block.resnets.") > 0:
		c["mid_block_type"] = "UNetMidBlock2D"
	default:
		c["mid_block_type"] = nil
	}
	c["attention_head_dim"] = any(8)
	if linear {
		c["attention_head_dim"] = heads
	}
	transformerDepths(c, deep, back, mid)
	if in := dim(set, "add_embedding.linear_1.weight", 1); in > 0 {
		c["addition_embed_type"], c["addition_time_embed_dim"], c["projection_class_embeddings_input_dim"] = "text_time", 256, in
	}
	if in := dim(set, "time_embedding.cond_proj.weight", 1); in > 0 {
		c["time_cond_proj_dim"] = in
	}
	return c
}

func blockType(depths []int, plain string) string {
	if slices.Max(append([]int{0}, depths...)) > 0 {
		return "CrossAttn" + plain
	}
	return plain
}

// transformerDepths says how deep the transformers are: one number, one a
// block, or one a layer where a distilled model has it so. A block without
// transformers counts as deep as what is around it needs no other.
func transformerDepths(c map[string]any, deep, back [][]int, mid int) {
	perBlock := make([]int, len(deep))
	even := true
	for b, list := range deep {
		others := slices.Concat(list, back[len(back)-1-b])
		perBlock[b] = slices.Max(append([]int{0}, others...))
		for _, d := range others {
			even = even && d == perBlock[b]
		}
	}
	if !even {
		c["transformer_layers_per_block"], c["reverse_transformer_layers_per_block"] = deep, back
		return
	}
	one := slices.Compact(slices.DeleteFunc(append(slices.Clone(perBlock), mid), func(d int) bool { return d == 0 }))
	if len(one) < 2 {
		c["transformer_layers_per_block"] = first(append(one, 1)...)
		return
	}
	for b := range perBlock {
		if perBlock[b] == 0 { // the middle's is the last block's
			perBlock[b] = 1
			if b == len(perBlock)-1 {
				perBlock[b] = max(1, mid)
			}
		}
	}
	c["transformer_layers_per_block"] = perBlock
}

// vaeConfig has the scaling and shift of the pipeline's latents.
func vaeConfig(set *safetensors.Set, scaling, shift float64, sample int) map[string]any {
	var channels []int
	half, blocks, extra := "encoder.down_blocks", numbered(set, "encoder.down_blocks."), 0
	if blocks == 0 { // a decoder alone
		half, blocks, extra = "decoder.up_blocks", numbered(set, "decoder.up_blocks."), 1
	}
	for b := range blocks {
		channels = append(channels, dim(set, fmt.Sprintf("%s.%d.resnets.0.conv1.weight", half, b), 0))
	}
	if extra == 1 {
		slices.Reverse(channels)
	}
	c := map[string]any{"_class_name": "AutoencoderKL", "act_fn": "silu", "norm_num_groups": 32, "sample_size": sample,
		"in_channels": 3, "out_channels": first(dim(set, "decoder.conv_out.weight", 0), 3), "latent_channels": dim(set, "decoder.conv_in.weight", 1),
		"block_out_channels": channels, "layers_per_block": numbered(set, "%s.0.resnets.", half) - extra,
		"down_block_types": slices.Repeat([]string{"DownEncoderBlock2D"}, blocks), "up_block_types": slices.Repeat([]string{"UpDecoderBlock2D"}, blocks),
		"scaling_factor": scaling, "use_quant_conv": has(set, "quant_conv.weight"), "use_post_quant_conv": has(set, "post_quant_conv.weight"),
		"mid_block_add_attention": has(set, "decoder.mid_block.attentions.0.to_q.weight") || has(set, "decoder.mid_block.attentions.0.query.weight")}
	if shift != 0 {
		c["shift_factor"] = shift
	}
	return c
}

// first is the first that is not zero.
func first(n ...int) int { return cmp.Or(n...) }

// clipConfig is that of CLIP's ViT-L, and of OpenCLIP's where the encoder is
// wider. Stable Diffusion 2 leaves out OpenCLIP's last layer of 24.
func clipConfig(set *safetensors.Set, second, projected bool) map[string]any {
	const embeddings = "text_model.embeddings."
	width := dim(set, embeddings+"token_embedding.weight", 1)
	layers := numbered(set, "text_model.encoder.layers.")
	c := map[string]any{"model_type": "clip_text_model", "architectures": []string{"CLIPTextModel"}, "hidden_act": "gelu", "hidden_size": width,
		"intermediate_size": dim(set, "text_model.encoder.layers.0.mlp.fc1.weight", 0), "num_attention_heads": max(1, width/64),
		"num_hidden_layers": layers, "max_position_embeddings": dim(set, embeddings+"position_embedding.weight", 0),
		"vocab_size": dim(set, embeddings+"token_embedding.weight", 0), "layer_norm_eps": 1e-5, "projection_dim": first(dim(set, "text_projection.weight", 0), width),
		"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 1}
	if width == 768 {
		c["hidden_act"] = "quick_gelu"
	}
	if second && layers == 24 {
		c["num_hidden_layers"] = 23
	}
	if projected {
		c["architectures"] = []string{"CLIPTextModelWithProjection"}
	}
	return c
}

func t5Config(set *safetensors.Set) map[string]any {
	heads := first(dim(set, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", 1), 64)
	return map[string]any{"model_type": "t5", "architectures": []string{"T5EncoderModel"}, "vocab_size": dim(set, "shared.weight", 0),
		"d_model": dim(set, "shared.weight", 1), "d_ff": dim(set, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight", 0),
		"d_kv": dim(set, "encoder.block.0.layer.0.SelfAttention.q.weight", 0) / heads, "num_heads": heads, "num_layers": numbered(set, "encoder.block."),
		"feed_forward_proj": "gated-gelu", "is_gated_act": true, "dense_act_fn": "gelu_new", "is_encoder_decoder": true, "layer_norm_epsilon": 1e-6,
		"relative_attention_num_buckets":  first(dim(set, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", 0), 32),
		"relative_attention_max_distance": 128, "tie_word_embeddings": false, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
}

func sd3Config(set *safetensors.Set) map[string]any {
	width := dim(set, "pos_embed.proj.weight", 0)
	patch := first(dim(set, "pos_embed.proj.weight", 2), 2)
	head := first(dim(set, "transformer_blocks.0.attn.norm_q.weight", 0), 64)
	c := map[string]any{"_class_name": "SD3Transformer2DModel", "sample_size": 128, "patch_size": patch, "in_channels": dim(set, "pos_embed.proj.weight", 1),
		"out_channels": dim(set, "proj_out.weight", 0) / (patch * patch), "num_layers": numbered(set, "transformer_blocks."),
		"attention_head_dim": head, "num_attention_heads": max(1, width/head), "joint_attention_dim": dim(set, "context_embedder.weight", 1),
		"caption_projection_dim": dim(set, "context_embedder.weight", 0), "pooled_projection_dim": dim(set, "time_text_embed.text_embedder.linear_1.weight", 1),
		"pos_embed_max_size": int(math.Sqrt(float64(dim(set, "pos_embed.pos_embed", 1)))), "qk_norm": nil}
	dual := []int{}
	for i := range c["num_layers"].(int) {
		if has(set, "transformer_blocks."+strconv.Itoa(i)+".attn2.to_q.weight") {
			dual = append(dual, i)
		}
	}
	c["dual_attention_layers"] = dual
	if has(set, "transformer_blocks.0.attn.norm_q.weight") {
		c["qk_norm"] = "rms_norm"
	}
	return c
}

func fluxConfig(set *safetensors.Set) map[string]any {
	head := first(dim(set, "transformer_blocks.0.attn.norm_q.weight", 0), 128)
	axes := []int{head / 8, head / 16 * 7, head / 16 * 7}
	in, out := dim(set, "x_embedder.weight", 1), dim(set, "proj_out.weight", 0)
	c := map[string]any{"_class_name": "FluxTransformer2DModel", "patch_size": 1, "in_channels": in, "out_channels": nil,
		"num_layers": numbered(set, "transformer_blocks."), "num_single_layers": numbered(set, "single_transformer_blocks."),
		"attention_head_dim": head, "num_attention_heads": max(1, dim(set, "x_embedder.weight", 0)/head), "axes_dims_rope": axes,
		"joint_attention_dim": dim(set, "context_embedder.weight", 1), "pooled_projection_dim": dim(set, "time_text_embed.text_embedder.linear_1.weight", 1),
		"guidance_embeds": has(set, "time_text_embed.guidance_embedder.linear_1.weight")}
	if in != out {
		c["out_channels"] = out
	}
	return c
}
