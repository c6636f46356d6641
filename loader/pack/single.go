package pack

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"wisp/loader/safetensors"
)

// single is a single-file checkpoint as a pipeline: its configs and tokenizers
// come from another input, since the file has none.
type single struct {
	Input
	weights Input
	name    string
	sets    map[string]*safetensors.Set
	all     *safetensors.Set
}

// NewSingle makes an [Input] of a single-file checkpoint of Stable Diffusion
// (name in weights) and the configs of a pipeline of the same kind, of which
// no weights are read. Close ends the use of the file.
func NewSingle(weights Input, name string, configs Input) (interface {
	Input
	Close() error
}, error) {
	all, err := safetensors.OpenSet(path.Base(name), func(string) (safetensors.Blob, error) { return weights.Open(name) })
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	s := &single{Input: configs, weights: weights, name: name, all: all}
	l, err := layout(configs)
	if err == nil {
		s.sets, err = all.LDM(l)
	}
	if err != nil {
		all.Close()
		return nil, fmt.Errorf("pack: %s: %w", name, err)
	}
	return s, nil
}

// Checkpoints is the file.
func (s *single) Checkpoints() []string { return []string{s.name} }

// Open opens a file of the configs, or the checkpoint.
func (s *single) Open(name string) (safetensors.Blob, error) {
	if name == s.name {
		return s.weights.Open(name)
	}
	return s.Input.Open(name)
}

// Close closes the file.
func (s *single) Close() error { return s.all.Close() }

// Weights is a component's part of the file.
func (s *single) Weights(component string) (*safetensors.Set, error) {
	set := s.sets[component]
	if set == nil {
		return nil, fmt.Errorf("%s holds no tensors of it, though the configs have it: give the configs of a pipeline of the same kind", s.name)
	}
	return set, nil
}

// layout reads the counts that the file's names leave open.
func layout(configs Input) (l safetensors.Layout, err error) {
	var unet, vae struct {
		Blocks []int `json:"block_out_channels"`
		Layers int   `json:"layers_per_block"`
	}
	if err := readConfig(configs, "unet", &unet); err != nil {
		return l, err
	}
	if err := readConfig(configs, "vae", &vae); err != nil {
		return l, err
	}
	l.UNetLayers, l.VAEBlocks = unet.Layers, len(vae.Blocks)
	for i, name := range []string{"text_encoder", "text_encoder_2"} {
		text := struct {
			Layers        int `json:"num_hidden_layers"`
			Architectures []string
		}{Layers: 12} // CLIPTextConfig's default
		if err := readConfig(configs, name, &text); err != nil {
			if i == 0 {
				return l, err
			}
			continue
		}
		l.TextLayers[i] = text.Layers
		l.Projection[i] = strings.Contains(strings.Join(text.Architectures, " "), "WithProjection")
	}
	if l.UNetLayers < 1 || l.VAEBlocks < 1 {
		return l, errors.New("the configs do not say layers_per_block and block_out_channels")
	}
	return l, nil
}

func readConfig(in Input, component string, to any) error {
	b, err := readAll(in.Open, component+"/config.json", maxJSON)
	if err != nil {
		return fmt.Errorf("the configs: %w", err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("%s/config.json: %w", component, err)
	}
	return nil
}
