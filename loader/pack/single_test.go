package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configs is what a single-file checkpoint of testdata's kind lacks.
var configs = map[string][]byte{
	"model_index.json": []byte(`{"_class_name":"StableDiffusionXLPipeline","scheduler":["diffusers","EulerDiscreteScheduler"],
		"text_encoder":["transformers","CLIPTextModel"],"text_encoder_2":["transformers","CLIPTextModelWithProjection"],
		"tokenizer":["transformers","CLIPTokenizer"],"unet":["diffusers","UNet2DConditionModel"],"vae":["diffusers","AutoencoderKL"]}`),
	"scheduler/scheduler_config.json": []byte(`{"sigma_max":Infinity,"low": -Infinity,"x":NaN,"note":"NaN \" -Infinity"}`),
	"unet/config.json":                []byte(`{"block_out_channels":[4,8,8],"layers_per_block":2}`),
	"vae/config.json":                 []byte(`{"block_out_channels":[4,8,8],"layers_per_block":2}`),
	"text_encoder/config.json":        []byte(`{"num_hidden_layers":2,"architectures":["CLIPTextModel"]}`),
	"text_encoder_2/config.json":      []byte(`{"num_hidden_layers":2,"architectures":["CLIPTextModelWithProjection"]}`),
}

// TestSingleFile: a single-file checkpoint packs to the tensors that diffusers
// makes of it: names, shapes and bits.
func TestSingleFile(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, configs)
	in, err := OpenDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	config, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	from, err := NewSingle(in, "sdxl.safetensors", config)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	out, _ := packTo(t, "sdxl.safetensors", Options{From: from})
	var got []string
	for name, x := range loadAll(t, out) {
		sum := sha256.Sum256(x.Data)
		shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(x.Shape), "[]"), " ", "x")
		got = append(got, name+" "+shape+" "+hex.EncodeToString(sum[:8]))
	}
	text, err := os.ReadFile("testdata/sdxl.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		want[strings.TrimSpace(line)] = true
	}
	for _, line := range got {
		if !want[line] {
			t.Errorf("diffusers has no %s", line)
		}
		delete(want, line)
	}
	for line := range want {
		t.Errorf("missing: %s", line)
	}
	// Python's non-numbers.
	manifest, err := os.ReadFile(filepath.Join(out, "manifest.json"))
	if err != nil || !bytes.Contains(manifest, []byte(`{"sigma_max":null,"low":null,"x":null,"note":"NaN \" -Infinity"}`)) {
		t.Errorf("the scheduler's config is not JSON without NaN: %v", err)
	}
}

// TestSingleFileRefusals: what does not fit together is named.
func TestSingleFileRefusals(t *testing.T) {
	in, _ := OpenDir("testdata")
	for _, c := range []struct{ leave, weights, want string }{
		{"unet/config.json", "sdxl.safetensors", "unet/config.json"},
		{"", "nothing.safetensors", "nothing.safetensors"},
		{"", "sdxl.txt", "header"},
	} {
		dir := t.TempDir()
		writeTree(t, dir, configs)
		if c.leave != "" {
			os.Remove(filepath.Join(dir, c.leave))
		}
		config, err := OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewSingle(in, c.weights, config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.want, err)
		}
	}
	if _, err := OpenDir("testdata/sdxl.safetensors"); err == nil || !strings.Contains(err.Error(), "-config") {
		t.Errorf("%v", err)
	}
}

// TestOldAutoencoder: the names that diffusers had for attention before 0.18.
func TestOldAutoencoder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	dir := t.TempDir()
	tensors := map[string]array{"decoder.conv_in.weight": gaussian(rng, "F32", 4, 4, 3, 3)}
	for _, n := range []string{"query", "key", "value", "proj_attn"} {
		tensors["decoder.mid_block.attentions.0."+n+".weight"] = gaussian(rng, "F32", 4, 4, 1, 1)
		tensors["decoder.mid_block.attentions.0."+n+".bias"] = gaussian(rng, "F32", 4)
	}
	writeTree(t, dir, map[string][]byte{"config.json": []byte(`{"_class_name":"AutoencoderKL"}`),
		"diffusion_pytorch_model.safetensors": checkpoint(t, tensors)})
	out, _ := packTo(t, dir, Options{Quant: "f32"})
	got := loadAll(t, out)
	for old, name := range map[string]string{"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"} {
		x := got["vae/decoder.mid_block.attentions.0."+name+".weight"]
		if len(x.Shape) != 2 || !bytes.Equal(x.Data, tensors["decoder.mid_block.attentions.0."+old+".weight"].data) {
			t.Errorf("%s: %v", name, x.Shape)
		}
		if b := got["vae/decoder.mid_block.attentions.0."+name+".bias"]; !bytes.Equal(b.Data, tensors["decoder.mid_block.attentions.0."+old+".bias"].data) {
			t.Errorf("%s's bias differs", name)
		}
	}
}
