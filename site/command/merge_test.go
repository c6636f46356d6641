//go:build !js

package command

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestPackLora: a model packed with a LoRA draws what another draws that wears
// it, and files that cannot be merged are refused with nothing written.
func TestPackLora(t *testing.T) {
	const layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_v"
	header := `{"` + layer + `.lora_down.weight":{"dtype":"F32","shape":[2,8],"data_offsets":[0,64]},"` + layer + `.lora_up.weight":{"dtype":"F32","shape":[8,2],"data_offsets":[64,128]}}`
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	for i := range 32 {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i%5)))
	}
	dir, model := t.TempDir(), tinyModel(t, func(string) {})
	name := func(base string) string { return filepath.Join(dir, base) }
	if err := os.WriteFile(name("style.safetensors"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) {
		t.Helper()
		if got := Run(t.Context(), args); got != want {
			t.Fatalf("%q: status %d, want %d", args, got, want)
		}
	}
	run(0, "pack", "-in", model, "-out", name("plain"), "-quant", "f32")
	run(0, "pack", "-in", model, "-out", name("merged"), "-quant", "f32", "-lora", name("style.safetensors")+":0.8")
	picture := func(out string, args ...string) []byte {
		t.Helper()
		run(0, append([]string{"generate", "-prompt", "a red cat", "-seed", "3", "-steps", "2", "-out", name(out)}, args...)...)
		b, err := os.ReadFile(name(out))
		if err != nil {
			t.Fatal(err)
		}
		return pixels(t, b)
	}
	merged := picture("a.png", "-model", name("merged"))
	worn := picture("b.png", "-model", name("plain"), "-lora", name("style.safetensors")+":0.8")
	without := picture("c.png", "-model", name("plain"))
	if far(merged, worn) > 1 || far(merged, without) < 2 {
		t.Errorf("merged it is %d from worn and %d from without", far(merged, worn), far(merged, without))
	}
	run(1, "pack", "-in", model, "-out", name("none"), "-lora", name("style.safetensors")+":1000")
	run(1, "pack", "-in", model, "-out", name("none"), "-lora", name("c.png"))
	if _, err := os.Stat(name("none")); err == nil {
		t.Error("a model was written")
	}
}

// pixels are a picture's colours.
func pixels(t *testing.T, file []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewNRGBA(img.Bounds())
	draw.Draw(out, out.Rect, img, image.Point{}, draw.Src)
	return out.Pix
}

// far is the largest difference of two pictures' colours.
func far(a, b []byte) (most int) {
	for i := range a {
		most = max(most, int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return most
}
