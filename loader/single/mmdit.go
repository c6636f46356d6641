package single

import (
	"strconv"
	"strings"

	"wisp/loader/safetensors"
)

// The names of Stability's MMDiT and Black Forest Labs' FLUX, against those of
// diffusers.

// convertSD3 names the tensors of Stable Diffusion 3's transformer as diffusers
// does. The last block's text is only attended to; its modulation, like that
// of the output, has shift before scale there, and after it in diffusers.
func convertSD3(set *safetensors.Set) (*safetensors.Set, error) {
	last := count(set, "joint_blocks.") - 1
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return sd3Tensor(last, t) })
}

// sd3Tensor is one of them; last is the number of the last block.
func sd3Tensor(last int, t safetensors.Tensor) []safetensors.Tensor {
	head, rest := split(t.Name, 2)
	if head[0] != "joint_blocks" {
		t.Name = replaced(t.Name, "x_embedder.", "pos_embed.", "t_embedder.mlp.0.", "time_text_embed.timestep_embedder.linear_1.",
			"t_embedder.mlp.2.", "time_text_embed.timestep_embedder.linear_2.", "y_embedder.mlp.0.", "time_text_embed.text_embedder.linear_1.",
			"y_embedder.mlp.2.", "time_text_embed.text_embedder.linear_2.", "final_layer.linear.", "proj_out.",
			"final_layer.adaLN_modulation.1.", "norm_out.linear.")
		if t.Name == "pos_embed" {
			t.Name = "pos_embed.pos_embed"
		}
		t.Swapped = strings.HasPrefix(t.Name, "norm_out.linear.")
		return []safetensors.Tensor{t}
	}
	block := "transformer_blocks." + head[1] + "."
	t.Swapped = head[1] == strconv.Itoa(last) && strings.HasPrefix(rest, "context_block.adaLN_modulation.")
	t.Name = block + rest
	switch {
	case strings.HasPrefix(rest, "x_block.attn.qkv."):
		return pieces(t, "x_block.attn.qkv.", "attn.to_q.", "attn.to_k.", "attn.to_v.")
	case strings.HasPrefix(rest, "x_block.attn2.qkv."):
		return pieces(t, "x_block.attn2.qkv.", "attn2.to_q.", "attn2.to_k.", "attn2.to_v.")
	case strings.HasPrefix(rest, "context_block.attn.qkv."):
		return pieces(t, "context_block.attn.qkv.", "attn.add_q_proj.", "attn.add_k_proj.", "attn.add_v_proj.")
	}
	return named(t, block+replaced(rest, "x_block.attn.ln_q.", "attn.norm_q.", "x_block.attn.ln_k.", "attn.norm_k.",
		"context_block.attn.ln_q.", "attn.norm_added_q.", "context_block.attn.ln_k.", "attn.norm_added_k.",
		"x_block.attn.proj.", "attn.to_out.0.", "context_block.attn.proj.", "attn.to_add_out.",
		"x_block.attn2.ln_q.", "attn2.norm_q.", "x_block.attn2.ln_k.", "attn2.norm_k.", "x_block.attn2.proj.", "attn2.to_out.0.",
		"x_block.adaLN_modulation.1.", "norm1.linear.", "context_block.adaLN_modulation.1.", "norm1_context.linear.",
		"x_block.mlp.fc1.", "ff.net.0.proj.", "x_block.mlp.fc2.", "ff.net.2.",
		"context_block.mlp.fc1.", "ff_context.net.0.proj.", "context_block.mlp.fc2.", "ff_context.net.2."))
}

// convertFLUX names the tensors of FLUX.1's transformer as diffusers does.
func convertFLUX(set *safetensors.Set) (*safetensors.Set, error) {
	width := 0
	if t, ok := find(set, "img_in.weight"); ok && len(t.Shape) == 2 {
		width = t.Shape[0]
	}
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return fluxTensor(width, t) })
}

// fluxTensor is one of them; width is the model's.
func fluxTensor(width int, t safetensors.Tensor) []safetensors.Tensor {
	head, rest := split(t.Name, 2)
	switch head[0] {
	case "double_blocks":
		return fluxDouble(t, "transformer_blocks."+head[1]+".", rest)
	case "single_blocks":
		return fluxSingle(t, "single_transformer_blocks."+head[1]+".", rest, width)
	}
	t.Name = replaced(t.Name, "time_in.in_layer.", "time_text_embed.timestep_embedder.linear_1.",
		"time_in.out_layer.", "time_text_embed.timestep_embedder.linear_2.", "vector_in.in_layer.", "time_text_embed.text_embedder.linear_1.",
		"vector_in.out_layer.", "time_text_embed.text_embedder.linear_2.", "guidance_in.in_layer.", "time_text_embed.guidance_embedder.linear_1.",
		"guidance_in.out_layer.", "time_text_embed.guidance_embedder.linear_2.", "txt_in.", "context_embedder.", "img_in.", "x_embedder.",
		"final_layer.linear.", "proj_out.", "final_layer.adaLN_modulation.1.", "norm_out.linear.")
	t.Swapped = strings.HasPrefix(t.Name, "norm_out.linear.") // shift before scale, as in SD3
	return []safetensors.Tensor{t}
}

func fluxDouble(t safetensors.Tensor, block, rest string) []safetensors.Tensor {
	t.Name = block + rest
	switch {
	case strings.HasPrefix(rest, "img_attn.qkv."):
		return pieces(t, "img_attn.qkv.", "attn.to_q.", "attn.to_k.", "attn.to_v.")
	case strings.HasPrefix(rest, "txt_attn.qkv."):
		return pieces(t, "txt_attn.qkv.", "attn.add_q_proj.", "attn.add_k_proj.", "attn.add_v_proj.")
	}
	return named(t, block+replaced(rest, "img_mod.lin.", "norm1.linear.", "txt_mod.lin.", "norm1_context.linear.",
		"img_attn.norm.query_norm.scale", "attn.norm_q.weight", "img_attn.norm.key_norm.scale", "attn.norm_k.weight",
		"txt_attn.norm.query_norm.scale", "attn.norm_added_q.weight", "txt_attn.norm.key_norm.scale", "attn.norm_added_k.weight",
		"img_mlp.0.", "ff.net.0.proj.", "img_mlp.2.", "ff.net.2.", "txt_mlp.0.", "ff_context.net.0.proj.", "txt_mlp.2.", "ff_context.net.2.",
		"img_attn.proj.", "attn.to_out.0.", "txt_attn.proj.", "attn.to_add_out."))
}

// fluxSingle cuts linear1 into the attention's three projections, of the
// model's width each, and the rest.
func fluxSingle(t safetensors.Tensor, block, rest string, width int) []safetensors.Tensor {
	if leaf, ok := strings.CutPrefix(rest, "linear1."); ok && width > 0 && len(t.Shape) > 0 && t.Shape[0] > 3*width {
		out := named(t.Rows(3*width, t.Shape[0]-3*width), block+"proj_mlp."+leaf)
		for i, name := range []string{"attn.to_q.", "attn.to_k.", "attn.to_v."} {
			out = append(out, named(t.Rows(i*width, width), block+name+leaf)...)
		}
		return out
	}
	return named(t, block+replaced(rest, "modulation.lin.", "norm.linear.", "linear2.", "proj_out.",
		"norm.query_norm.scale", "attn.norm_q.weight", "norm.key_norm.scale", "attn.norm_k.weight"))
}

// count is one more than the largest number that follows the prefix in a name.
func count(set *safetensors.Set, prefix string) int {
	n := 0
	for _, t := range set.Tensors {
		if rest, ok := strings.CutPrefix(t.Name, prefix); ok {
			head, _, _ := strings.Cut(rest, ".")
			if i, err := strconv.Atoi(head); err == nil && i >= 0 && i < 1<<7 {
				n = max(n, i+1)
			}
		}
	}
	return n
}
