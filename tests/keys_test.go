//go:build !js

package tests

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"wisp/engine/model"
	"wisp/loader/adapter"
	"wisp/loader/safetensors"
	"wisp/tests/golden/seeded"
)

// TestAdapterKeys: every key that a LoRA of a published model may have, in each
// program's convention (golden/adapter/keys.py), finds its layer, and all
// layers are found.
func TestAdapterKeys(t *testing.T) {
	var sizes struct {
		Models map[string]published `json:"models"`
	}
	readJSON(t, filepath.Join("golden", "model", "sizes.json"), &sizes)
	data, err := os.ReadFile(filepath.Join(adapterDir, "keys.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	if err := json.NewDecoder(z).Decode(&lists); err != nil || len(lists) < 10 {
		t.Fatal(err, len(lists))
	}
	targets := map[string]adapter.Targets{}
	for name, keys := range lists {
		net, _, _ := strings.Cut(name, " ")
		if targets[net] == nil {
			targets[net] = targetsOf(t, net, sizes.Models)
		}
		tensors := map[string]seeded.Tensor{}
		for _, line := range keys {
			key, rows, _ := strings.Cut(line, " ")
			n, err := strconv.Atoi(rows)
			if err != nil {
				t.Fatal(line)
			}
			tensors[key] = seeded.Tensor{DType: "F32", Shape: []int{n, 1}}
		}
		f, err := adapter.Open("a.safetensors", func() (safetensors.Blob, error) { return seeded.NewCheckpoint(tensors), nil }, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		found := map[string]int{}
		unknown, err := f.Parts(targets[net], func(component, weight, part, key string, shape []int, _ func() (string, []byte, error)) error {
			if want := targets[net][component][weight][0]; part != "up" || shape[0] != want {
				t.Errorf("%s: %s is the %s of %s with %d rows, want %d", name, key, part, weight, shape[0], want)
			}
			found[weight]++
			return nil
		})
		if err != nil || len(unknown) > 0 {
			t.Errorf("%s: %d of %d keys find no layer: %.300q, %v", name, len(unknown), len(keys), unknown, err)
		}
		for weight, times := range found {
			if times != 1 {
				t.Errorf("%s: %d keys find %s", name, times, weight)
			}
		}
		want := len(lists[net+" diffusers"])
		if name == "sd15_unet kohya" { // diffusers' own list of it has the linear layers alone
			want = len(keys)
		}
		if len(found) != want {
			t.Errorf("%s: %d layers are found, there are %d", name, len(found), want)
		}
	}
}

// targetsOf are the weights of a published model's network.
func targetsOf(t *testing.T, net string, models map[string]published) adapter.Targets {
	t.Helper()
	component, of := "unet", net
	switch {
	case strings.HasPrefix(net, "clip"):
		component, of = "text_encoder", "clip_l"
	case !strings.HasSuffix(net, "_unet"):
		component = "transformer"
	}
	graphs, err := models[of].graphs()
	if err != nil || len(graphs) == 0 {
		t.Fatal(of, err)
	}
	weights := map[string][]int{}
	for _, g := range graphs {
		for name, target := range model.Targets(g) {
			weights[name] = target.Shape
		}
	}
	return adapter.Targets{component: weights}
}
