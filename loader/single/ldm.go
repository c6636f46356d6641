package single

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return named(t, ldmUNet(layers, t.Name)) })
}

// convertVAE names the tensors of an autoencoder as diffusers does.
func convertVAE(set *safetensors.Set) (*safetensors.Set, error) {
	if has(set, "decoder.mid_block.resnets.0.conv1.weight") {
		return set, nil // they are diffusers'
	}
	blocks := 0
	for _, t := range set.Tensors {
		if head, _ := split(t.Name, 3); head[0] == "decoder" && head[1] == "up" {
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
		return named(t, name)
	})
}

// convertCLIP names the tensors of CLIP's text encoder as transformers does.
func convertCLIP(set *safetensors.Set) (*safetensors.Set, error) {
	if !has(set, "positional_embedding") {
		return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return named(t, ldmText(t.Name)) })
	}
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
		t.Name = openCLIP(t.Name)
		switch {
		case t.Name == "":
			return nil
		case t.Name == "text_projection.weight" && len(t.Shape) == 2:
			t.Shape, t.Transposed = []int{t.Shape[1], t.Shape[0]}, true
		case strings.Contains(t.Name, ".in_proj_"):
			return pieces(t, "in_proj_", "q_proj.", "k_proj.", "v_proj.")
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

// named is the tensor under another name, none for "".
func named(t safetensors.Tensor, name string) []safetensors.Tensor {
	if name == "" {
		return nil
	}
	t.Name = name
	return []safetensors.Tensor{t}
}

// pieces cuts a tensor's rows into as many equal parts as there are names, each
// in place of old.
func pieces(t safetensors.Tensor, old string, names ...string) []safetensors.Tensor {
	if len(t.Shape) == 0 || t.Shape[0] == 0 || t.Shape[0]%len(names) != 0 {
		return []safetensors.Tensor{t}
	}
	n := t.Shape[0] / len(names)
	var out []safetensors.Tensor
	for i, name := range names {
		out = append(out, named(t.Rows(i*n, n), strings.Replace(t.Name, old, name, 1))...)
	}
	return out
}

// split cuts a name into its first n elements and the rest.
func split(name string, n int) (head []string, rest string) {
	all := strings.SplitN(name, ".", n+1)
	if len(all) <= n {
		return append(all, make([]string, n-len(all))...), ""
	}
	return all[:n], all[n]
}

// replaced gives the name for the first pair whose old start it has.
func replaced(name string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if rest, ok := strings.CutPrefix(name, pairs[i]); ok {
			return pairs[i+1] + rest
		}
	}
	return name
}

func ldmUNet(layers int, name string) string {
	head, rest := split(name, 3)
	n, err := strconv.Atoi(head[1])
	step := layers + 1
	switch head[0] {
	case "input_blocks":
		if err != nil || n == 0 {
			return "conv_in." + rest
		}
		block, layer := (n-1)/step, (n-1)%step
		if layer == layers {
			return fmt.Sprintf("down_blocks.%d.downsamplers.0.%s", block, replaced(rest, "op.", "conv."))
		}
		return unetLayer(fmt.Sprintf("down_blocks.%d", block), layer, head[2], rest)
	case "middle_block":
		if n == 1 {
			return "mid_block.attentions.0." + joined(head[2], rest)
		}
		return fmt.Sprintf("mid_block.resnets.%d.%s", n/2, ldmResnet(joined(head[2], rest)))
	case "output_blocks":
		block, layer := n/step, n%step
		if strings.HasPrefix(rest, "conv.") {
			return fmt.Sprintf("up_blocks.%d.upsamplers.0.%s", block, rest)
		}
		return unetLayer(fmt.Sprintf("up_blocks.%d", block), layer, head[2], rest)
	}
	return replaced(name, "time_embed.0.", "time_embedding.linear_1.", "time_embed.2.", "time_embedding.linear_2.",
		"label_emb.0.0.", "add_embedding.linear_1.", "label_emb.0.2.", "add_embedding.linear_2.",
		"out.0.", "conv_norm_out.", "out.2.", "conv_out.")
}

func joined(head, rest string) string {
	if rest == "" {
		return head
	}
	return head + "." + rest
}

// unetLayer names a residual layer, which comes first in its block, or the
// attention after it.
func unetLayer(block string, layer int, place, rest string) string {
	if place == "0" {
		return fmt.Sprintf("%s.resnets.%d.%s", block, layer, ldmResnet(rest))
	}
	return fmt.Sprintf("%s.attentions.%d.%s", block, layer, rest)
}

func ldmResnet(name string) string {
	return replaced(name, "in_layers.0.", "norm1.", "in_layers.2.", "conv1.", "emb_layers.1.", "time_emb_proj.",
		"out_layers.0.", "norm2.", "out_layers.3.", "conv2.", "skip_connection.", "conv_shortcut.", "nin_shortcut.", "conv_shortcut.")
}

func ldmVAE(blocks int, name string) string {
	name = replaced(name, "encoder.quant_conv.", "quant_conv.", "decoder.post_quant_conv.", "post_quant_conv.")
	half, rest := split(name, 1)
	if half[0] != "encoder" && half[0] != "decoder" {
		return name // quant_conv, post_quant_conv
	}
	head, tail := split(rest, 2)
	out := half[0] + "."
	switch head[0] {
	case "norm_out":
		return out + "conv_norm_out." + head[1]
	case "mid":
		return out + replaced(head[1]+"."+ldmResnet(attention(tail)), "block_1.", "mid_block.resnets.0.",
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
		if part, deep := split(tail, 2); part[0] == "block" {
			return out + "resnets." + part[1] + "." + ldmResnet(deep)
		}
		return out + replaced(tail, "downsample.", "downsamplers.0.", "upsample.", "upsamplers.0.")
	}
	return out + rest
}

// attention renames the parts of an autoencoder's attention.
func attention(name string) string {
	return replaced(name, "norm.", "group_norm.", "q.", "to_q.", "k.", "to_k.", "v.", "to_v.", "proj_out.", "to_out.0.")
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

func openCLIP(name string) string {
	if rest, ok := strings.CutPrefix(name, "transformer.resblocks."); ok {
		n, part, _ := strings.Cut(rest, ".")
		part = replaced(part, "ln_1.", "layer_norm1.", "ln_2.", "layer_norm2.", "mlp.c_fc.", "mlp.fc1.",
			"mlp.c_proj.", "mlp.fc2.", "attn.", "self_attn.")
		return "text_model.encoder.layers." + n + "." + part
	}
	switch name {
	case "positional_embedding":
		return "text_model.embeddings.position_embedding.weight"
	case "text_projection":
		return "text_projection.weight"
	case "logit_scale":
		return ""
	}
	return replaced(name, "token_embedding.", "text_model.embeddings.token_embedding.", "ln_final.", "text_model.final_layer_norm.")
}
