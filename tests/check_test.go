//go:build !js

package tests

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/engine/diffusion"
)

// shapesOf lists a model's weights as [diffusion.Check] wants them.
func shapesOf(t *testing.T, m diffusion.Model) map[string]map[string][]int {
	t.Helper()
	shapes := map[string]map[string][]int{}
	nets, err := diffusion.Nets(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nets {
		component := n.Component
		shapes[component] = map[string][]int{}
		if err := m.Stream(context.Background(), component, nil, func(name, _ string, shape []int, _ func(io.WriterAt) error) error {
			shapes[component][name] = shape
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return shapes
}

// without is a model that lacks a component's config.
type without struct {
	diffusion.Model
	component string
}

func (w without) Config(component string) (json.RawMessage, bool) {
	if component == w.component {
		return nil, false
	}
	return w.Model.Config(component)
}

// checkedWeights are of every network one that it cannot do without.
var checkedWeights = []string{
	"token_embedding.weight", "shared.weight", "embed_tokens.weight", "decoder.", "conv_in.weight", "transformer_blocks.0.attn", "layers.0.attention.to_q.weight", "layers.0.attn1.to_q", "word_embeddings.weight", "blocks.0.attn1.to_q", "blocks.0.attn.qkv",
}

// Check takes every pipeline that draws, and refuses what New would.
func TestCheck(t *testing.T) {
	for _, dir := range tinyPipelines(t) {
		m := directory{t, filepath.Join(dir, "model")}
		shapes := shapesOf(t, m)
		if err := diffusion.Check(m, shapes); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		for component := range shapes {
			weight := checkedWeights[slices.IndexFunc(checkedWeights, func(part string) bool {
				return slices.ContainsFunc(slices.Collect(maps.Keys(shapes[component])), func(name string) bool { return strings.Contains(name, part) })
			})]
			refused := func(change func(weights map[string][]int, name string)) {
				t.Helper()
				changed := maps.Clone(shapes)
				changed[component] = maps.Clone(shapes[component])
				for name := range shapes[component] {
					if strings.Contains(name, weight) {
						change(changed[component], name)
					}
				}
				if err := diffusion.Check(m, changed); !errors.Is(err, diffusion.ErrBadModel) || !strings.Contains(err.Error(), component) || !strings.Contains(err.Error(), weight) {
					t.Errorf("%s: %s: %v", dir, component, err)
				}
			}
			refused(func(weights map[string][]int, name string) { delete(weights, name) })
			refused(func(weights map[string][]int, name string) { weights[name] = []int{7} })
			if component == "text_encoder_3" { // Stable Diffusion 3 draws without
				if err := diffusion.Check(without{m, component}, shapes); err != nil {
					t.Errorf("%s without %s: %v", dir, component, err)
				}
				continue
			}
			if err := diffusion.Check(without{m, component}, shapes); !errors.Is(err, diffusion.ErrBadModel) || !strings.Contains(err.Error(), component) {
				t.Errorf("%s without %s: %v", dir, component, err)
			}
		}
	}
}

// scheduled is a model with another scheduler.
type scheduled struct {
	diffusion.Model
	config string
}

func (s scheduled) Config(component string) (json.RawMessage, bool) {
	if component == "scheduler" {
		return json.RawMessage(s.config), true
	}
	return s.Model.Config(component)
}

// TestCheckScheduler: what fails at the model's own number of steps is refused
// before it is packed, and what fails at one step alone is not.
func TestCheckScheduler(t *testing.T) {
	for _, c := range []struct{ pipeline, config, refused string }{
		{"sd3", `{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift_terminal": 0.1}`, ""},
		{"pixart_alpha", `{"_class_name": "DDPMScheduler", "variance_type": "learned_range"}`, "variance_type"},
		{"lumina", `{"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": true}`, "invert_sigmas"},
		{"sit", `{"_class_name": "FlowMatchEulerDiscreteScheduler", "stochastic_sampling": true}`, "stochastic_sampling"},
		{"pixart_alpha", `{"_class_name": "CLDScheduler"}`, "CLDScheduler, whose latents have velocities"},
	} {
		m := directory{t, filepath.Join("golden", "pipeline", c.pipeline, "model")}
		err := diffusion.Check(scheduled{m, c.config}, shapesOf(t, m))
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s, %s: %v", c.pipeline, c.config, err)
		}
	}
}
