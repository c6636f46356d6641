package safetensors

import (
	"fmt"
	"strconv"
	"strings"
)

// Layout is what the names of a single-file checkpoint leave open: counts from
// the configs of the components.
type Layout struct {
	UNetLayers int // layers_per_block of the UNet
	VAEBlocks  int // len(block_out_channels) of the autoencoder
	// TextLayers is num_hidden_layers of text_encoder and text_encoder_2; a
	// checkpoint may hold more. 0 leaves a text encoder out.
	TextLayers [2]int
	// Projection says which of them have a text_projection.
	Projection [2]bool
}

// ldmParts are the prefixes of a single-file checkpoint, as CompVis' latent
// diffusion and Stability's generative models write it, with the component and
// the rule for the rest of the name.
var ldmParts = []struct {
	prefix, component string
	rename            func(l Layout, name string) string
}{
	{"model.diffusion_model.", "unet", ldmUNet},
	{"first_stage_model.", "vae", ldmVAE},
	{"cond_stage_model.transformer.", "text_encoder", ldmText},
	{"cond_stage_model.model.", "text_encoder", openCLIP},
	{"conditioner.embedders.0.transformer.", "text_encoder", ldmText},
	{"conditioner.embedders.0.model.", "text_encoder_2", openCLIP}, // the refiner's
	{"conditioner.embedders.1.model.", "text_encoder_2", openCLIP},
}

// IsLDM reports whether the set has the names of a single-file checkpoint.
func (s *Set) IsLDM() bool {
	for _, t := range s.Tensors {
		if strings.HasPrefix(t.Name, ldmParts[0].prefix) {
			return true
		}
	}
	return false
}

// LDM sorts the tensors of a single-file checkpoint of Stable Diffusion 1, 2
// or XL into the components of a diffusers pipeline, under the names that
// diffusers gives them. What no component has (averages of the training, the
// noise schedule) is left out; closing s closes them all.
func (s *Set) LDM(l Layout) (map[string]*Set, error) {
	out := map[string]*Set{}
	for _, part := range ldmParts {
		set, err := s.Map(func(t Tensor) []Tensor {
			name, ok := strings.CutPrefix(t.Name, part.prefix)
			if !ok {
				return nil
			}
			if name = part.rename(l, name); name == "" {
				return nil
			}
			t.Name = name
			return l.reshape(part.component, t)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.component, err)
		}
		if len(set.Tensors) == 0 {
			continue
		}
		if out[part.component] != nil {
			return nil, bad("the %s is there twice, under %s too", part.component, part.prefix)
		}
		out[part.component] = set
	}
	if len(out) == 0 {
		if err := s.Whole(); err != nil {
			return nil, err
		}
		return nil, bad("no tensor begins with %s: it is not a single-file checkpoint", ldmParts[0].prefix)
	}
	return out, nil
}

// reshape gives a renamed tensor the form that diffusers has it in.
func (l Layout) reshape(component string, t Tensor) []Tensor {
	text := 0
	if component == "text_encoder_2" {
		text = 1
	}
	switch {
	case strings.HasPrefix(component, "text_encoder") && l.beyond(text, t.Name):
		return nil
	case strings.HasPrefix(t.Name, "text_projection"):
		if !l.Projection[text] || len(t.Shape) != 2 {
			return nil
		}
		t.Shape, t.Transposed = []int{t.Shape[1], t.Shape[0]}, true
	case strings.Contains(t.Name, ".in_proj_") && len(t.Shape) > 0 && t.Shape[0]%3 == 0:
		return thirds(t)
	case component == "vae" && strings.Contains(t.Name, ".attentions."):
		return []Tensor{Flat(t)}
	}
	return []Tensor{t}
}

// beyond reports whether the tensor is of a layer that the component has not.
func (l Layout) beyond(text int, name string) bool {
	rest, ok := strings.CutPrefix(name, "text_model.encoder.layers.")
	if !ok {
		return l.TextLayers[text] == 0
	}
	number, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	return err != nil || n >= l.TextLayers[text]
}

// thirds cuts the stacked projections of an attention into its three.
func thirds(t Tensor) []Tensor {
	out := make([]Tensor, 3)
	for i, p := range []string{"q_proj.", "k_proj.", "v_proj."} {
		u := t
		u.Name = strings.Replace(t.Name, "in_proj_", p, 1)
		u.Shape = append([]int{t.Shape[0] / 3}, t.Shape[1:]...)
		u.Size = t.Size / 3
		u.Begin += int64(i) * u.Size
		out[i] = u
	}
	return out
}

// Flat is a tensor without its last two dimensions where they are 1: a linear
// layer that was written as a convolution.
func Flat(t Tensor) Tensor {
	if n := len(t.Shape); n == 4 && t.Shape[2] == 1 && t.Shape[3] == 1 {
		t.Shape = t.Shape[:2]
	}
	return t
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

func ldmUNet(l Layout, name string) string {
	head, rest := split(name, 3)
	n, err := strconv.Atoi(head[1])
	step := l.UNetLayers + 1
	switch head[0] {
	case "input_blocks":
		if err != nil || n == 0 {
			return "conv_in." + rest
		}
		block, layer := (n-1)/step, (n-1)%step
		if layer == l.UNetLayers {
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

func ldmVAE(l Layout, name string) string {
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
			n = l.VAEBlocks - 1 - n
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
func ldmText(_ Layout, name string) string {
	if strings.HasSuffix(name, "position_ids") {
		return ""
	}
	return "text_model." + strings.TrimPrefix(name, "text_model.")
}

func openCLIP(_ Layout, name string) string {
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
