// Package names knows what other programs call the layers of networks, CompVis'
// latent diffusion, Stability's generative models and MMDiT, Black Forest Labs'
// FLUX, OpenCLIP, and what diffusers and transformers call them. Start at
// [Layer].
package names

import (
	"fmt"
	"strconv"
	"strings"

	"wisp/loader/safetensors"
)

// Sizes of a denoiser that decide what other programs call its layers.
type Sizes struct {
	Layers int // of a UNet's block
	Blocks int // of Stable Diffusion 3's transformer
	Width  int // of FLUX's transformer
}

// Rows are rows of a layer's weight under diffusers' name for it.
type Rows struct {
	Name    string
	From, N int
	Swapped bool // its halves are exchanged
}

// Layer is what diffusers makes of the weight, of so many rows, that another
// program calls so: a fused projection becomes three. Kind is the other
// program's: "unet" for CompVis and Stability's generative models, "sd3",
// "flux", "clip" for OpenCLIP. A name that it does not know comes back as it is.
func Layer(kind, name string, rows int, s Sizes) (out []Rows) {
	t := safetensors.Tensor{Name: name, Shape: []int{rows}, Size: int64(rows)}
	var made []safetensors.Tensor
	switch kind {
	case "unet":
		made = As(t, UNet(s.Layers, name))
	case "sd3":
		made = SD3(s.Blocks-1, t)
	case "flux":
		made = FLUX(s.Width, t)
	case "clip":
		if t.Name = strings.TrimPrefix(OpenCLIP(name), "text_model."); strings.Contains(t.Name, ".in_proj_") {
			made = Pieces(t, "in_proj_", "q_proj.", "k_proj.", "v_proj.")
		} else {
			made = As(t, t.Name)
		}
	}
	for _, m := range made {
		out = append(out, Rows{m.Name, int(m.Begin), m.Shape[0], m.Swapped})
	}
	return out
}

// As is the tensor under another name, none for "".
func As(t safetensors.Tensor, name string) []safetensors.Tensor {
	if name == "" {
		return nil
	}
	t.Name = name
	return []safetensors.Tensor{t}
}

// Pieces cuts a tensor's rows into as many equal parts as there are names, each
// in place of old.
func Pieces(t safetensors.Tensor, old string, names ...string) []safetensors.Tensor {
	if len(t.Shape) == 0 || t.Shape[0] == 0 || t.Shape[0]%len(names) != 0 {
		return []safetensors.Tensor{t}
	}
	n := t.Shape[0] / len(names)
	var out []safetensors.Tensor
	for i, name := range names {
		out = append(out, As(t.Rows(i*n, n), strings.Replace(t.Name, old, name, 1))...)
	}
	return out
}

// Split cuts a name into its first n elements and the rest.
func Split(name string, n int) (head []string, rest string) {
	all := strings.SplitN(name, ".", n+1)
	if len(all) <= n {
		return append(all, make([]string, n-len(all))...), ""
	}
	return all[:n], all[n]
}

// Replaced gives the name for the first pair whose old start it has.
func Replaced(name string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if rest, ok := strings.CutPrefix(name, pairs[i]); ok {
			return pairs[i+1] + rest
		}
	}
	return name
}

// UNet is diffusers' name of a tensor of CompVis' UNet with so many layers a block.
func UNet(layers int, name string) string {
	head, rest := Split(name, 3)
	n, err := strconv.Atoi(head[1])
	step := layers + 1
	switch head[0] {
	case "input_blocks":
		if err != nil || n == 0 {
			return "conv_in." + rest
		}
		block, layer := (n-1)/step, (n-1)%step
		if layer == layers {
			return fmt.Sprintf("down_blocks.%d.downsamplers.0.%s", block, Replaced(rest, "op.", "conv."))
		}
		return unetLayer(fmt.Sprintf("down_blocks.%d", block), layer, head[2], rest)
	case "middle_block":
		if n == 1 {
			return "mid_block.attentions.0." + joined(head[2], rest)
		}
		return fmt.Sprintf("mid_block.resnets.%d.%s", n/2, Resnet(joined(head[2], rest)))
	case "output_blocks":
		block, layer := n/step, n%step
		if strings.HasPrefix(rest, "conv.") {
			return fmt.Sprintf("up_blocks.%d.upsamplers.0.%s", block, rest)
		}
		return unetLayer(fmt.Sprintf("up_blocks.%d", block), layer, head[2], rest)
	}
	return Replaced(name, "time_embed.0.", "time_embedding.linear_1.", "time_embed.2.", "time_embedding.linear_2.",
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
		return fmt.Sprintf("%s.resnets.%d.%s", block, layer, Resnet(rest))
	}
	return fmt.Sprintf("%s.attentions.%d.%s", block, layer, rest)
}

// Resnet is diffusers' name within a residual block.
func Resnet(name string) string {
	return Replaced(name, "in_layers.0.", "norm1.", "in_layers.2.", "conv1.", "emb_layers.1.", "time_emb_proj.",
		"out_layers.0.", "norm2.", "out_layers.3.", "conv2.", "skip_connection.", "conv_shortcut.", "nin_shortcut.", "conv_shortcut.")
}

// OpenCLIP is transformers' name of a tensor of OpenCLIP's text encoder; "" for
// one that it has not.
func OpenCLIP(name string) string {
	if rest, ok := strings.CutPrefix(name, "transformer.resblocks."); ok {
		n, part, _ := strings.Cut(rest, ".")
		part = Replaced(part, "ln_1.", "layer_norm1.", "ln_2.", "layer_norm2.", "mlp.c_fc.", "mlp.fc1.",
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
	return Replaced(name, "token_embedding.", "text_model.embeddings.token_embedding.", "ln_final.", "text_model.final_layer_norm.")
}

// SD3 is what diffusers makes of a tensor of Stable Diffusion 3's transformer;
// last is the number of the last block.
func SD3(last int, t safetensors.Tensor) []safetensors.Tensor {
	head, rest := Split(t.Name, 2)
	if head[0] != "joint_blocks" {
		t.Name = Replaced(t.Name, "x_embedder.", "pos_embed.", "t_embedder.mlp.0.", "time_text_embed.timestep_embedder.linear_1.",
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
		return Pieces(t, "x_block.attn.qkv.", "attn.to_q.", "attn.to_k.", "attn.to_v.")
	case strings.HasPrefix(rest, "x_block.attn2.qkv."):
		return Pieces(t, "x_block.attn2.qkv.", "attn2.to_q.", "attn2.to_k.", "attn2.to_v.")
	case strings.HasPrefix(rest, "context_block.attn.qkv."):
		return Pieces(t, "context_block.attn.qkv.", "attn.add_q_proj.", "attn.add_k_proj.", "attn.add_v_proj.")
	}
	return As(t, block+Replaced(rest, "x_block.attn.ln_q.", "attn.norm_q.", "x_block.attn.ln_k.", "attn.norm_k.",
		"context_block.attn.ln_q.", "attn.norm_added_q.", "context_block.attn.ln_k.", "attn.norm_added_k.",
		"x_block.attn.proj.", "attn.to_out.0.", "context_block.attn.proj.", "attn.to_add_out.",
		"x_block.attn2.ln_q.", "attn2.norm_q.", "x_block.attn2.ln_k.", "attn2.norm_k.", "x_block.attn2.proj.", "attn2.to_out.0.",
		"x_block.adaLN_modulation.1.", "norm1.linear.", "context_block.adaLN_modulation.1.", "norm1_context.linear.",
		"x_block.mlp.fc1.", "ff.net.0.proj.", "x_block.mlp.fc2.", "ff.net.2.",
		"context_block.mlp.fc1.", "ff_context.net.0.proj.", "context_block.mlp.fc2.", "ff_context.net.2."))
}

// FLUX is what diffusers makes of a tensor of FLUX.1's transformer; width is the model's.
func FLUX(width int, t safetensors.Tensor) []safetensors.Tensor {
	head, rest := Split(t.Name, 2)
	switch head[0] {
	case "double_blocks":
		return fluxDouble(t, "transformer_blocks."+head[1]+".", rest)
	case "single_blocks":
		return fluxSingle(t, "single_transformer_blocks."+head[1]+".", rest, width)
	}
	t.Name = Replaced(t.Name, "time_in.in_layer.", "time_text_embed.timestep_embedder.linear_1.",
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
		return Pieces(t, "img_attn.qkv.", "attn.to_q.", "attn.to_k.", "attn.to_v.")
	case strings.HasPrefix(rest, "txt_attn.qkv."):
		return Pieces(t, "txt_attn.qkv.", "attn.add_q_proj.", "attn.add_k_proj.", "attn.add_v_proj.")
	}
	return As(t, block+Replaced(rest, "img_mod.lin.", "norm1.linear.", "txt_mod.lin.", "norm1_context.linear.",
		"img_attn.norm.query_norm.scale", "attn.norm_q.weight", "img_attn.norm.key_norm.scale", "attn.norm_k.weight",
		"txt_attn.norm.query_norm.scale", "attn.norm_added_q.weight", "txt_attn.norm.key_norm.scale", "attn.norm_added_k.weight",
		"img_mlp.0.", "ff.net.0.proj.", "img_mlp.2.", "ff.net.2.", "txt_mlp.0.", "ff_context.net.0.proj.", "txt_mlp.2.", "ff_context.net.2.",
		"img_attn.proj.", "attn.to_out.0.", "txt_attn.proj.", "attn.to_add_out."))
}

// fluxSingle cuts linear1 into the attention's three projections, of the
// model's width each, and the rest.
func fluxSingle(t safetensors.Tensor, block, rest string, width int) []safetensors.Tensor {
	if leaf, ok := strings.CutPrefix(rest, "linear1."); ok && width > 0 && len(t.Shape) > 0 && t.Shape[0] > 3*width {
		out := As(t.Rows(3*width, t.Shape[0]-3*width), block+"proj_mlp."+leaf)
		for i, name := range []string{"attn.to_q.", "attn.to_k.", "attn.to_v."} {
			out = append(out, As(t.Rows(i*width, width), block+name+leaf)...)
		}
		return out
	}
	return As(t, block+Replaced(rest, "modulation.lin.", "norm.linear.", "linear2.", "proj_out.",
		"norm.query_norm.scale", "attn.norm_q.weight", "norm.key_norm.scale", "attn.norm_k.weight"))
}
