package safetensors

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// A checkpoint's name or its index's, with the variant at any of the places where
// diffusers and transformers have put it. These are compiled where they are used:
// the engine's program, which does not, carries no regexp.
const checkpointName = `^(diffusion_pytorch_model|model)(?:\.([^.]+))?\.safetensors(?:(?:\.([^.]+))?\.index(?:\.([^.]+))?\.json)?$`

// shardName ends what looks like a variant in the name of a shard.
const shardName = `-\d+-of-\d+$`

// Best chooses among a folder's files: the one without a variant,
// then fp16, then bf16, unless another order is given, then the only one. Also
// is another of equal rank.
func Best(names []string, order ...string) (best, also string) {
	checkpoint, shard := regexp.MustCompile(checkpointName), regexp.MustCompile(shardName)
	least := 99
	if len(order) == 0 {
		order = []string{"", "fp16", "bf16"}
	}
	for _, n := range slices.Sorted(slices.Values(names)) {
		m := checkpoint.FindStringSubmatch(n)
		if m == nil || shard.MatchString(m[2]) {
			continue
		}
		variant := cmp.Or(m[2], m[3], m[4])
		r := 4 * slices.Index(append(order[:len(order):len(order)], variant), variant)
		if strings.HasSuffix(n, ".json") {
			r++
		}
		if m[1] == "model" {
			r += 2
		}
		switch {
		case r < least:
			least, best, also = r, n, ""
		case r == least:
			also = n
		}
	}
	return best, also
}
