package adapter

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"wisp/loader/safetensors"
)

// alphas are PEFT's settings, by the prefix of the network in the file.
type alphas map[string]peft

// peft is what counts of PEFT's LoraConfig.
type peft struct {
	Rank    float64            `json:"r"`
	Alpha   *float64           `json:"lora_alpha"`
	Alphas  map[string]float64 `json:"alpha_pattern"`
	Rooted  bool               `json:"use_rslora"`
	Alpha2  *float64           `json:"alpha"` // of its LoHa and LoKr
	Forward json.RawMessage    `json:"layer_replication"`
}

// maxSettings bounds the JSON of settings, in bytes.
const maxSettings = 1 << 20

// readAlphas reads diffusers' metadata, or the config that PEFT writes beside
// the file.
func readAlphas(metadata map[string]string, config []byte) (alphas, error) {
	a := alphas{}
	text := metadata["lora_adapter_metadata"]
	if len(text) > maxSettings || len(config) > maxSettings {
		return nil, fmt.Errorf("%w: the settings of PEFT are longer than %d bytes", ErrFile, maxSettings)
	}
	if text != "" {
		all := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, fmt.Errorf("%w: lora_adapter_metadata: %v", ErrFile, err)
		}
		nets := map[string]map[string]json.RawMessage{}
		for key, v := range all {
			at := strings.LastIndexByte(key, '.')
			prefix, field := key[:at+1], key[at+1:]
			if nets[prefix] == nil {
				nets[prefix] = map[string]json.RawMessage{}
			}
			nets[prefix][field] = v
		}
		for prefix, fields := range nets {
			b, _ := json.Marshal(fields) // of JSON
			if err := a.add(prefix, b, "lora_adapter_metadata"); err != nil {
				return nil, err
			}
		}
	}
	if config != nil {
		return a, a.add("", config, "adapter_config.json")
	}
	return a, nil
}

func (a alphas) add(prefix string, text []byte, from string) error {
	var p peft
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrFile, from, err)
	}
	if p.Alpha == nil {
		p.Alpha = p.Alpha2
	}
	for pattern := range p.Alphas {
		if strings.ContainsAny(strings.TrimPrefix(pattern, "^"), `^$*+?()[]{}|\`) {
			return fmt.Errorf("%w: %s: alpha_pattern %.100q is an expression, wisp reads names of layers or their ends", ErrFile, from, pattern)
		}
	}
	a[prefix] = p
	return nil
}

// of is the alpha of a layer as a tensor that the file lacks.
func (a alphas) of(stem string, entries []entry) (entry, bool) {
	rank := 0
	for _, e := range entries {
		switch {
		case e.part == "alpha":
			return entry{}, false
		case len(e.Shape) == 0:
		case e.part == "down" || e.part == "hada_w1_b" || e.part == "lokr_w2_b" || e.part == "lokr_w1_b":
			rank = e.Shape[0]
		}
	}
	prefix, p, ok := a.network(stem)
	if rank == 0 || !ok || p.Alpha == nil {
		return entry{}, false
	}
	alpha := *p.Alpha
	if v, ok := p.pattern(stem, prefix); ok {
		alpha = v
	}
	if p.Rooted {
		alpha *= math.Sqrt(float64(rank))
	}
	t := safetensors.Tensor{Name: stem + ".alpha", DType: "F32", View: safetensors.View{Scale: float32(alpha)}}
	return entry{t, "alpha"}, alpha != 0
}

// network is the settings of the network that a stem is of: those of its longest
// prefix, which ends with a dot.
func (a alphas) network(stem string) (prefix string, p peft, ok bool) {
	for _, at := range slices.Backward(cuts(stem)) {
		if p, ok := a[stem[:at]]; ok {
			return stem[:at], p, true
		}
	}
	return "", p, false
}

// pattern is the alpha of the longest of the patterns that name a stem: whole, or
// by its end.
func (p peft) pattern(stem, prefix string) (alpha float64, ok bool) {
	for _, whole := range []string{stem, strings.TrimPrefix(stem, prefix)} {
		for _, pattern := range []string{"^" + whole, whole} {
			if v, ok := p.Alphas[pattern]; ok {
				return v, true
			}
		}
	}
	for _, at := range cuts(stem) {
		if v, ok := p.Alphas[stem[at:]]; ok {
			return v, true
		}
	}
	return 0, false
}

// cuts are the places after a stem's dots, 0 first. Names of layers have some ten.
func cuts(stem string) []int {
	const most = 64
	at := []int{0}
	for i := 0; i < len(stem) && len(at) < most; i++ {
		if stem[i] == '.' {
			at = append(at, i+1)
		}
	}
	return at
}
