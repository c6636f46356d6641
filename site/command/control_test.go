//go:build !js

package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/loader/pack"
	"wisp/loader/safetensors"
)

// renamed writes a safetensors file again under other names of the same length
// or not.
func renamed(t *testing.T, file string, name func(string) string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Parse(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	size := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
	head := string(data[8 : 8+size])
	for _, e := range f.Tensors {
		head = strings.Replace(head, `"`+e.Name+`"`, `"`+name(e.Name)+`"`, 1)
	}
	head += strings.Repeat(" ", -len(head)&7)
	n := len(head)
	out := append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, 0, 0, 0, 0}, head...)
	other := filepath.Join(filepath.Dir(file), "other.safetensors")
	if err := os.WriteFile(other, append(out, data[8+size:]...), 0o644); err != nil {
		t.Fatal(err)
	}
	return other
}

// ldm is CompVis' name of a tensor of the tiny ControlNet, whose blocks have one
// layer each.
func ldm(name string) string {
	resnet := strings.NewReplacer("norm1", "in_layers.0", "conv1", "in_layers.2", "time_emb_proj", "emb_layers.1",
		"norm2", "out_layers.0", "conv2", "out_layers.3", "conv_shortcut", "skip_connection")
	for _, r := range [][2]string{
		{"controlnet_cond_embedding.conv_in", "input_hint_block.0"}, {"controlnet_cond_embedding.conv_out", "input_hint_block.10"},
		{"controlnet_cond_embedding.blocks.0", "input_hint_block.2"}, {"controlnet_cond_embedding.blocks.1", "input_hint_block.4"},
		{"controlnet_cond_embedding.blocks.2", "input_hint_block.6"}, {"controlnet_cond_embedding.blocks.3", "input_hint_block.8"},
		{"controlnet_mid_block", "middle_block_out.0"}, {"time_embedding.linear_1", "time_embed.0"}, {"time_embedding.linear_2", "time_embed.2"},
		{"down_blocks.0.attentions.0", "input_blocks.1.1"}, {"down_blocks.0.downsamplers.0.conv", "input_blocks.2.0.op"},
		{"mid_block.attentions.0", "middle_block.1"}, {"conv_in", "input_blocks.0.0"},
	} {
		if rest, ok := strings.CutPrefix(name, r[0]+"."); ok {
			return "control_model." + r[1] + "." + rest
		}
	}
	for _, r := range [][2]string{
		{"down_blocks.0.resnets.0", "input_blocks.1.0"}, {"down_blocks.1.resnets.0", "input_blocks.3.0"},
		{"mid_block.resnets.0", "middle_block.0"}, {"mid_block.resnets.1", "middle_block.2"},
	} {
		if rest, ok := strings.CutPrefix(name, r[0]+"."); ok {
			return "control_model." + r[1] + "." + resnet.Replace(rest)
		}
	}
	if rest, ok := strings.CutPrefix(name, "controlnet_down_blocks."); ok {
		n, rest, _ := strings.Cut(rest, ".")
		return "control_model.zero_convs." + n + ".0." + rest
	}
	return name
}

// drawer draws with a model and more flags.
func drawer(t *testing.T, model string) func(flags ...string) []byte {
	out := filepath.Join(t.TempDir(), "out.png")
	return func(flags ...string) []byte {
		t.Helper()
		args := append([]string{"generate", "-model", model, "-prompt", "cat", "-steps", "2", "-seed", "1", "-backend", "cpu", "-out", out}, flags...)
		if got := Run(t.Context(), args); got != 0 {
			t.Fatalf("%v: ends with %d", flags, got)
		}
		picture, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return picture
	}
}

// Pictures are read beside the words.
func TestReferenceCommand(t *testing.T) {
	model := filepath.Join(t.TempDir(), "model")
	if err := pack.Run(t.Context(), pack.Options{In: tinyModel(t, func(string) {}), Out: model}); err != nil {
		t.Fatal(err)
	}
	const modes = "tests/golden/modes/"
	adapter, encoder := modes+"ip_plain/ip_adapter.safetensors", modes+"image_encoder"
	draw, guided := drawer(t, model), []string{"-guidance", "3"}
	with := func(flags ...string) []string { return append(append([]string{}, guided...), flags...) }
	plain := draw(guided...)
	read := with("-ip-adapter", adapter, "-image-encoder", encoder, "-reference", modes+"photo.png")
	if bytes.Equal(plain, draw(read...)) {
		t.Error("the picture is not read")
	}
	if bytes.Equal(draw(read...), draw(append(read, "-ip-adapter-weight", "0.5")...)) {
		t.Error("the weight changes nothing")
	}
	for _, bad := range [][]string{
		{"-reference", modes + "photo.png"}, {"-ip-adapter", adapter, "-image-encoder", encoder},
		{"-ip-adapter", adapter, "-reference", modes + "photo.png"}, {"-ip-adapter", adapter, "-image-encoder", modes + "control_a", "-reference", modes + "photo.png"},
		{"-ip-adapter", modes + "control_a", "-image-encoder", encoder, "-reference", modes + "photo.png"}, append(read, "-ip-adapter-weight", "nan"),
	} {
		if got := Run(t.Context(), append([]string{"generate", "-model", model, "-prompt", "cat", "-backend", "cpu", "-out", filepath.Join(t.TempDir(), "bad.png")}, bad...)); got == 0 {
			t.Errorf("%v is drawn", bad)
		}
	}
}

// A ControlNet steers a picture, alike from diffusers' directory and from a file
// with CompVis' names.
func TestControlCommand(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	if err := pack.Run(t.Context(), pack.Options{In: tinyModel(t, func(string) {}), Out: model}); err != nil {
		t.Fatal(err)
	}
	const modes = "tests/golden/modes/"
	net := t.TempDir()
	if err := os.CopyFS(net, os.DirFS(modes+"control_a")); err != nil {
		t.Fatal(err)
	}
	other := renamed(t, filepath.Join(net, "diffusion_pytorch_model.safetensors"), ldm)
	draw := drawer(t, model)
	image := modes + "photo.png"
	plain, steered := draw(), draw("-control", net+":"+image)
	if bytes.Equal(plain, steered) {
		t.Error("the picture is not steered")
	}
	if !bytes.Equal(steered, draw("-control", other+":"+image)) {
		t.Error("CompVis' names steer otherwise")
	}
	if bytes.Equal(steered, draw("-control", net+":"+image+":0.5:0:0.5")) {
		t.Error("the weight changes nothing")
	}
	for _, bad := range []string{net, net + ":none.png", net + ":" + image + ":x", net + ":" + image + ":nan", net + ":" + image + ":1:0.5", model + ":" + image, net + ":" + image + ":1:1:0"} {
		if got := Run(t.Context(), []string{"generate", "-model", model, "-prompt", "cat", "-backend", "cpu", "-out", filepath.Join(dir, "bad.png"), "-control", bad}); got == 0 {
			t.Errorf("-control %s is drawn", bad)
		}
	}
}
