package single

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wisp/loader/names"
	"wisp/loader/safetensors"
)

// The names of CompVis' latent diffusion and Stability's generative models,
// OpenCLIP and transformers, against those of diffusers.

// convertUNet names the tensors of a UNet as diffusers does.
func convertUNet(set *safetensors.Set) (*safetensors.Set, error) {
	layers := 2 // what precedes the first downsampling is the input and the layers of a block
	for n := 1; n < 64; n++ {
		if has(set, fmt.Sprintf("input_blocks.%d.0.op.weight", n)) {
			layers = n - 1
			break
		}
	}
	if layers < 1 {
		return nil, fmt.Errorf("%w: a UNet without layers", ErrUnknown)
	}
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return names.As(t, names.UNet(layers, t.Name)) })
}

// convertVAE names the tensors of an autoencoder as diffusers does.
func convertVAE(set *safetensors.Set) (*safetensors.Set, error) {
	if has(set, "decoder.mid_block.resnets.0.conv1.weight") {
		return set, nil // they are diffusers'
	}
	blocks := 0
	for _, t := range set.Tensors {
		if head, _ := names.Split(t.Name, 3); head[0] == "decoder" && head[1] == "up" {
			if n, err := strconv.Atoi(head[2]); err == nil && n < 64 {
				blocks = max(blocks, n+1)
			}
		}
	}
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
		name := ldmVAE(blocks, t.Name)
		if strings.Contains(name, ".attentions.") {
			t = safetensors.Flat(t)
		}
		return names.As(t, name)
	})
}

// convertCLIP names the tensors of CLIP's text encoder as transformers does.
func convertCLIP(set *safetensors.Set) (*safetensors.Set, error) {
	if !has(set, "positional_embedding") {
		return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return names.As(t, ldmText(t.Name)) })
	}
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
		t.Name = names.OpenCLIP(t.Name)
		switch {
		case t.Name == "":
			return nil
		case t.Name == "text_projection.weight" && len(t.Shape) == 2:
			t.Shape, t.Transposed = []int{t.Shape[1], t.Shape[0]}, true
		case strings.Contains(t.Name, ".in_proj_"):
			return names.Pieces(t, "in_proj_", "q_proj.", "k_proj.", "v_proj.")
		}
		return []safetensors.Tensor{t}
	})
}

// convertT5 drops the second name of the table of words.
func convertT5(set *safetensors.Set) (*safetensors.Set, error) {
	shared := has(set, "shared.weight")
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
		t.Name = llamaT5(t.Name)
		if t.Name == "encoder.embed_tokens.weight" {
			if shared {
				return nil
			}
			t.Name = "shared.weight"
		}
		if strings.HasPrefix(t.Name, "decoder.") || strings.HasPrefix(t.Name, "lm_head.") {
			return nil
		}
		return []safetensors.Tensor{t}
	})
}

func has(set *safetensors.Set, name string) bool {
	_, ok := find(set, name)
	return ok
}

// find looks a tensor up by its name.
func find(set *safetensors.Set, name string) (safetensors.Tensor, bool) {
	i, ok := slices.BinarySearchFunc(set.Tensors, name, func(t safetensors.Tensor, n string) int { return strings.Compare(t.Name, n) })
	if !ok {
		return safetensors.Tensor{}, false
	}
	return set.Tensors[i], true
}

func ldmVAE(blocks int, name string) string {
	name = names.Replaced(name, "encoder.quant_conv.", "quant_conv.", "decoder.post_quant_conv.", "post_quant_conv.")
	half, rest := names.Split(name, 1)
	if half[0] != "encoder" && half[0] != "decoder" {
		return name // quant_conv, post_quant_conv
	}
	head, tail := names.Split(rest, 2)
	out := half[0] + "."
	switch head[0] {
	case "norm_out":
		return out + "conv_norm_out." + head[1]
	case "mid":
		return out + names.Replaced(head[1]+"."+names.Resnet(attention(tail)), "block_1.", "mid_block.resnets.0.",
			"block_2.", "mid_block.resnets.1.", "attn_1.", "mid_block.attentions.0.")
	case "down", "up":
		n, err := strconv.Atoi(head[1])
		if err != nil {
			return ""
		}
		if head[0] == "up" { // counted from the picture
			n = blocks - 1 - n
		}
		out += fmt.Sprintf("%s_blocks.%d.", head[0], n)
		if part, deep := names.Split(tail, 2); part[0] == "block" {
			return out + "resnets." + part[1] + "." + names.Resnet(deep)
		}
		return out + names.Replaced(tail, "downsample.", "downsamplers.0.", "upsample.", "upsamplers.0.")
	}
	return out + rest
}

// attention renames the parts of an autoencoder's attention.
func attention(name string) string {
	return names.Replaced(name, "norm.", "group_norm.", "q.", "to_q.", "k.", "to_k.", "v.", "to_v.", "proj_out.", "to_out.0.")
}

// ldmText leaves transformers' own names; early checkpoints lack the prefix.
func ldmText(name string) string {
	if strings.HasSuffix(name, "position_ids") || name == "logit_scale" {
		return ""
	}
	if strings.HasPrefix(name, "text_projection.") {
		return name
	}
	return "text_model." + strings.TrimPrefix(name, "text_model.")
}
