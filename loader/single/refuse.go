package single

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"wisp/loader/safetensors"
)

// ErrPart refuses a file that is no model, but an addition to one.
var ErrPart = errors.New("this file is no whole model")

// ErrUnknown refuses a checkpoint of a kind that is not known.
var ErrUnknown = errors.New("this is no checkpoint of a kind that wisp knows")

// additions tells by pieces of names what a file is that is no network of a
// pipeline: the first row of which a tensor's name has a piece. Names are those
// that kohya's scripts, LyCORIS, PEFT, diffusers, CompVis and the IP-Adapter
// write.
var additions = []struct {
	pieces []string
	what   string
}{
	{[]string{"lora_up.", "lora_down.", "lora_A.", "lora_B.", "lora.up.", "lora.down.", ".hada_w1", ".lokr_w", ".oft_blocks", ".oft_diag", ".dora_scale", ".ia3."},
		"a LoRA, an addition to a model: open the model that it was made for first"},
	{[]string{"emb_params", "string_to_param"}, "an embedding of textual inversion, an addition to a model"},
	{[]string{"control_model.", "controlnet_", "zero_conv", "input_hint_block."}, "a ControlNet, an addition to a model"},
	{[]string{"ip_adapter.", "image_proj."}, "an IP-Adapter, an addition to a model"},
	{[]string{"motion_modules."}, "a motion module, an addition to a model"},
	{[]string{"unet.down_blocks.", "transformer.transformer_blocks.", "text_encoder.text_model."},
		"a diffusers pipeline merged into one file: give the directory that it was made from"},
}

// strangers tells by names which networks are none of those that are
// converted, though some of their names are the same.
var strangers = []struct{ name, what string }{
	{"distilled_guidance_layer.in_proj.bias", "Chroma"},
	{"double_layers.0.attn.w1q.weight", "AuraFlow"},
	{"cap_embedder.0.weight", "Lumina"},
	{"patchify_proj.weight", "LTX-Video"},
	{"head.modulation", "Wan"},
	{"txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias", "HunyuanVideo"},
	{"txt_in.text_norm.weight", "Qwen-Image"},
	{"clip_txt_mapper.weight", "Stable Cascade"},
	{"down_blocks.1.0.channelwise.0.weight", "Stable Cascade"},
	{"blocks.0.cross_attn.q_linear.weight", "PixArt or Sana"},
	{"mlp_t5.0.weight", "Hunyuan-DiT"},
}

// refuse fails where the set's names are those of something else than a
// network of a pipeline, and says what.
func refuse(set *safetensors.Set) error {
	for _, k := range additions {
		for _, t := range set.Tensors {
			if slices.ContainsFunc(k.pieces, func(piece string) bool { return strings.Contains(t.Name, piece) }) {
				return fmt.Errorf("%w: it is %s", ErrPart, k.what)
			}
		}
	}
	for _, k := range strangers {
		if has(set, k.name) && !has(set, zImageSign) {
			return fmt.Errorf("%w: it is of %s: give it as diffusers saves it", ErrUnknown, k.what)
		}
	}
	return nil
}
