package network

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wisp/loader/names"
	"wisp/loader/safetensors"
)

// ownNames tell of diffusers' files: of ControlNets for a UNet, Stable Diffusion 3
// and FLUX, and of T2I-Adapters.
var ownNames = []string{
	"controlnet_cond_embedding.conv_in.weight", "pos_embed_input.proj.weight", "controlnet_x_embedder.weight", "adapter.body.0.resnets.0.block1.weight",
}

// ControlNet names the tensors of a ControlNet's file as diffusers does, whose
// own names stay: lllyasviel's and kohya's files have CompVis' names.
func ControlNet(set *safetensors.Set) (*safetensors.Set, error) {
	const prefix = "control_model."
	there := namesOf(set)
	if there[prefix+"input_hint_block.0.weight"] {
		var err error
		set, err = set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
			name, ok := strings.CutPrefix(t.Name, prefix)
			if !ok {
				return nil // of the model that it was trained with
			}
			t.Name = name
			return []safetensors.Tensor{t}
		})
		if err != nil {
			return nil, err
		}
		there = namesOf(set)
	}
	switch {
	case slices.ContainsFunc(ownNames, func(name string) bool { return there[name] }):
		return set, nil
	case !there["input_hint_block.0.weight"]:
		return nil, fmt.Errorf("%w: it has neither controlnet_cond_embedding.conv_in.weight nor input_hint_block.0.weight, so it is no ControlNet", ErrUnknown)
	}
	layers := 2
	for n := 1; n < 64; n++ {
		if there[fmt.Sprintf("input_blocks.%d.0.op.weight", n)] {
			layers = n - 1
			break
		}
	}
	if layers < 1 {
		return nil, fmt.Errorf("%w: a ControlNet without layers", ErrUnknown)
	}
	last := 0 // of the layers that read the picture
	for n := 2; there[fmt.Sprintf("input_hint_block.%d.weight", n)]; n += 2 {
		last = n
	}
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return names.As(t, ldmControl(layers, last, t.Name)) })
}

// ldmControl is the name of a ControlNet's tensor; the way down is a UNet's.
func ldmControl(layers, last int, name string) string {
	head, rest := names.Split(name, 2)
	n, err := strconv.Atoi(head[1])
	switch {
	case head[0] == "zero_convs" && err == nil:
		return fmt.Sprintf("controlnet_down_blocks.%d.%s", n, strings.TrimPrefix(rest, "0."))
	case head[0] == "middle_block_out":
		return "controlnet_mid_block." + rest
	case head[0] == "input_hint_block" && n == 0:
		return "controlnet_cond_embedding.conv_in." + rest
	case head[0] == "input_hint_block" && n == last:
		return "controlnet_cond_embedding.conv_out." + rest
	case head[0] == "input_hint_block" && err == nil:
		return fmt.Sprintf("controlnet_cond_embedding.blocks.%d.%s", n/2-1, rest)
	}
	return names.UNet(layers, name)
}

func namesOf(set *safetensors.Set) map[string]bool {
	names := make(map[string]bool, len(set.Tensors))
	for _, t := range set.Tensors {
		names[t.Name] = true
	}
	return names
}
