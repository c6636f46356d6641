package tests

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/model"
)

// taef2Config is TAEF2's: an AutoencoderTiny of 32 latent channels whose middle
// blocks have norms.
const taef2Config = `{"_class_name": "AutoencoderTiny", "latent_channels": 32, "use_midblock_gn": true}`

// TestTAEF2 holds the tiny autoencoder to FLUX.2's real weights, which this
// repository does not hold: WISP_TAEF2 names their directory.
func TestTAEF2(t *testing.T) {
	dir := os.Getenv("WISP_TAEF2")
	if dir == "" {
		dir = filepath.FromSlash("../../shared/weights")
	}
	if _, err := os.Stat(filepath.Join(dir, "taef2_decoder.safetensors")); err != nil {
		t.Logf("TAEF2 IS NOT HELD TO ITS WEIGHTS: %v; WISP_TAEF2 may name their directory", err)
		return
	}
	want := readSafetensors(t, filepath.Join("golden", "model", "taef2.safetensors"))
	image, latents := want["image"], want["latents"]
	encoder, err := model.AutoencoderTinyEncoder([]byte(taef2Config), 1, image.Shape[1], image.Shape[2])
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := model.AutoencoderTinyDecoder([]byte(taef2Config), 1, latents.Shape[1], latents.Shape[2])
	if err != nil {
		t.Fatal(err)
	}
	list, err := simdBackends() // the oracle would take minutes
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range []struct {
		name    string
		g       *engine.Graph
		in, out map[string]engine.Tensor
	}{
		{"encoder", encoder, map[string]engine.Tensor{"image": image}, map[string]engine.Tensor{"latents": latents}},
		{"decoder", decoder, map[string]engine.Tensor{"latents": latents}, map[string]engine.Tensor{"image": want["decoded"]}},
	} {
		weights := map[string]engine.Tensor{}
		for name, w := range readSafetensors(t, filepath.Join(dir, "taef2_"+half.name+".safetensors")) {
			number, rest, _ := strings.Cut(name, ".")
			layer, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			if half.name == "decoder" { // whose first layer, a clamp, diffusers does not count
				layer--
			}
			weights[fmt.Sprintf("%s.layers.%d.%s", half.name, layer, rest)] = w
		}
		for _, n := range half.g.Weights() {
			if _, ok := weights[n.Name]; !ok {
				t.Fatalf("no weight %s", n.Name)
			}
		}
		if len(half.g.Weights()) != len(weights) {
			t.Errorf("%s: the graph takes %d of %d weights", half.name, len(half.g.Weights()), len(weights))
		}
		for _, b := range list {
			checkGoldenOn(t, b, half.g, weights, golden{half.in, half.out}, goldenTolerance)
		}
	}
	var squares float64
	decoded := want["decoded"].Float32s()
	for i, x := range image.Float32s() {
		d := float64(x-min(max(decoded[i], -1), 1)) / 2
		squares += d * d / float64(len(decoded))
	}
	t.Logf("taef2, round trip %.1f dB", -10*math.Log10(squares))
}
