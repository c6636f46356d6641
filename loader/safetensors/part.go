package safetensors

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrPart refuses a file that is no whole model, but belongs to one.
var ErrPart = errors.New("this file is no whole model")

// partKinds tells by pieces of names what a file is that is no single-file
// checkpoint: the first row of which a tensor's name has a piece. Names are
// those that kohya's scripts, LyCORIS, PEFT, diffusers, CompVis, Black Forest
// Labs and the IP-Adapter write.
var partKinds = []struct {
	pieces []string
	what   string
}{
	{[]string{"lora_up.", "lora_down.", "lora_A.", "lora_B.", "lora.up.", "lora.down.", ".hada_w1", ".lokr_w", ".oft_blocks", ".oft_diag", ".dora_scale", ".ia3."},
		"a LoRA, an addition to a model: open the model that it was made for first"},
	{[]string{"emb_params", "string_to_param"}, "an embedding of textual inversion, an addition to a model"},
	{[]string{"control_model.", "controlnet_", "zero_conv"}, "a ControlNet, an addition to a model"},
	{[]string{"ip_adapter.", "image_proj."}, "an IP-Adapter, an addition to a model"},
	{[]string{"unet.down_blocks.", "transformer.transformer_blocks.", "text_encoder.text_model."},
		"a diffusers pipeline merged into one file: give the directory that it was made from"},
	{[]string{"double_blocks.", "transformer_blocks.", "joint_blocks.", "input_blocks.", "down_blocks.0.resnets."},
		"the denoiser alone, without text encoder and decoder: give the whole pipeline"},
	{[]string{"text_model.encoder.", "encoder.block.0.layer."}, "a text encoder alone: give the whole pipeline"},
	{[]string{"decoder.up", "decoder.mid", "decoder.layers.", "decoder.conv_in."}, "an autoencoder alone: give the whole pipeline"},
}

// Whole fails with [ErrPart] where the set's names are those of something else
// than a whole model, and says what.
func (s *Set) Whole() error {
	if s.IsLDM() {
		return nil
	}
	for _, k := range partKinds {
		for _, t := range s.Tensors {
			if slices.ContainsFunc(k.pieces, func(piece string) bool { return strings.Contains(t.Name, piece) }) {
				return fmt.Errorf("safetensors: %w: it is %s", ErrPart, k.what)
			}
		}
	}
	return nil
}
