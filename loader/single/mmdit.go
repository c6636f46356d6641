package single

import (
	"strconv"
	"strings"

	"wisp/loader/names"
	"wisp/loader/safetensors"
)

// The names of Stability's MMDiT and Black Forest Labs' FLUX, against those of
// diffusers.

// convertSD3 names the tensors of Stable Diffusion 3's transformer as diffusers
// does. The last block's text is only attended to; its modulation, like that
// of the output, has shift before scale there, and after it in diffusers.
func convertSD3(set *safetensors.Set) (*safetensors.Set, error) {
	last := count(set, "joint_blocks.") - 1
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return names.SD3(last, t) })
}

// convertFLUX names the tensors of FLUX.1's transformer as diffusers does.
func convertFLUX(set *safetensors.Set) (*safetensors.Set, error) {
	width := 0
	if t, ok := find(set, "img_in.weight"); ok && len(t.Shape) == 2 {
		width = t.Shape[0]
	}
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return names.FLUX(width, t) })
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
