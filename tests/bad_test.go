//go:build !js

package tests

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/engine/diffusion"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/single"
	"wisp/tests/golden/seeded"
)

// tensorFile is a .safetensors file taken apart.
type tensorFile map[string]*struct {
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	At    [2]int `json:"data_offsets"`
	data  []byte
}

// edit changes a tensorFile on disk.
func edit(t *testing.T, file string, change func(tensorFile)) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := int(binary.LittleEndian.Uint64(b))
	all := tensorFile{}
	head := map[string]json.RawMessage{}
	if err := json.Unmarshal(b[8:8+n], &head); err != nil {
		t.Fatal(err)
	}
	delete(head, "__metadata__")
	text, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		e.data = b[8+n+e.At[0] : 8+n+e.At[1]]
	}
	change(all)
	var data []byte
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e := all[name]
		e.At = [2]int{len(data), len(data) + len(e.data)}
		data = append(data, e.data...)
	}
	if text, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	b = append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	if err := os.WriteFile(file, append(b, data...), 0o666); err != nil {
		t.Fatal(err)
	}
}

// swap replaces text in a file.
func swap(t *testing.T, file, from, to string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(b, []byte(from)) {
		t.Fatalf("%s has no %s: %v", file, from, err)
	}
	if err := os.WriteFile(file, bytes.Replace(b, []byte(from), []byte(to), 1), 0o666); err != nil {
		t.Fatal(err)
	}
}

// packed takes a directory through what the command does, up to its first
// error, and returns what it tells beside.
func packed(t *testing.T, dir string) (unread []string, err error) {
	t.Helper()
	in, err := pack.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	plan, err := pack.NewPlan(in, pack.Options{})
	if err != nil {
		return nil, err
	}
	shapes, err := pack.Shapes(plan.Manifest)
	if err != nil {
		return nil, err
	}
	if err := diffusion.Check(plan, shapes); err != nil {
		return nil, err
	}
	_, err = pack.Pack(t.Context(), in, memoryModel{}, pack.Options{})
	return diffusion.Unread(plan, shapes), err
}

// TestBadInput: whatever of a model is wrong is refused by the name of its
// file, tensor or field, before anything is drawn with it.
func TestBadInput(t *testing.T) {
	const unet = "unet/diffusion_pytorch_model.safetensors"
	tensors := func(file string, change func(tensorFile)) func(string) {
		return func(dir string) { edit(t, filepath.Join(dir, file), change) }
	}
	field := func(file, from, to string) func(string) {
		return func(dir string) { swap(t, filepath.Join(dir, file), from, to) }
	}
	for name, c := range map[string]struct {
		change func(dir string)
		want   []string // of the error
	}{
		"a field out of range":       {field("unet/config.json", `"layers_per_block": 1`, `"layers_per_block": 100000`), []string{"UNet2DConditionModel", "layers_per_block", "100000"}},
		"a class that nobody gives":  {field("unet/config.json", `"num_class_embeds": null`, `"num_class_embeds": 10`), []string{"unet", "num_class_embeds"}},
		"a field of another kind":    {field("vae/config.json", `"latent_channels": 4`, `"latent_channels": "four"`), []string{"latent_channels"}},
		"a text encoder too narrow":  {field("unet/config.json", `"cross_attention_dim": 24`, `"cross_attention_dim": 40`), []string{"text_encoder makes states of width 24", "unet takes 40"}},
		"a decoder of other latents": {field("vae/config.json", `"latent_channels": 4`, `"latent_channels": 8`), []string{"vae decodes 8"}},
		"a tensor of the wrong shape": {tensors(unet, func(c tensorFile) {
			e := c["conv_in.bias"]
			e.Shape, e.data = []int{4}, e.data[:len(e.data)/2]
		}), []string{"unet", `"conv_in.bias"`, "[4]", "[8]"}},
		"a tensor missing": {tensors(unet, func(c tensorFile) { delete(c, "conv_in.bias") }), []string{"unet", `"conv_in.bias"`}},
		"a weight that is NaN": {tensors(unet, func(c tensorFile) {
			e := c["conv_in.bias"]
			e.data = bytes.Repeat([]byte{0xff}, len(e.data))
		}), []string{"conv_in.bias", "NaN"}},
		"a component missing": {func(dir string) { os.RemoveAll(filepath.Join(dir, "vae")) }, []string{"vae"}},
		"a file cut short": {func(dir string) {
			if err := os.Truncate(filepath.Join(dir, unet), 100_000); err != nil {
				t.Fatal(err)
			}
		}, []string{"unet", "safetensors"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := seeded.Directory(t, filepath.Join(plainPipeline, "model"))
			c.change(dir)
			_, err := packed(t, dir)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %s", err, want)
				}
			}
		})
	}
}

// TestUnread: a tensor that nothing reads is named; of the pipelines there are,
// there is none.
func TestUnread(t *testing.T) {
	dir := seeded.Directory(t, filepath.Join(plainPipeline, "model"))
	edit(t, filepath.Join(dir, "unet", "diffusion_pytorch_model.safetensors"), func(c tensorFile) {
		extra := *c["conv_in.bias"]
		c["conv_in.weight_scale"] = &extra
	})
	if unread, err := packed(t, dir); err != nil || fmt.Sprint(unread) != "[unet: conv_in.weight_scale]" {
		t.Errorf("unread are %v, %v", unread, err)
	}
	for _, dir := range tinyPipelines(t) {
		m := directory{t, filepath.Join(dir, "model")}
		if unread := diffusion.Unread(m, shapesOf(t, m)); len(unread) > 0 {
			t.Errorf("%s: unread are %v", dir, unread)
		}
	}
}

// TestUnknownSingleFile: a tensorFile of no known kind is refused by its name.
func TestUnknownSingleFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "odd.safetensors")
	if err := os.WriteFile(name, safetensorsOf(`{"a.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := single.Open([]single.File{{Name: "odd.safetensors", Open: func() (safetensors.Blob, error) { return openFile(name) }}}, nil)
	if err == nil || !strings.Contains(err.Error(), "odd.safetensors") || !strings.Contains(err.Error(), "no checkpoint of a kind that wisp knows") {
		t.Errorf("error %v", err)
	}
}

func openFile(name string) (safetensors.Blob, error) {
	b, err := os.ReadFile(name)
	return memoryBlob{bytes.NewReader(b)}, errors.Join(err)
}
