//go:build !js

package tests

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"wisp/engine/diffusion"
	"wisp/loader"
	"wisp/loader/pack"
)

// catalogued are the networks of the catalogue's models, in sizes.json.
var catalogued = map[string][]string{
	"hf:SimianLuo/LCM_Dreamshaper_v7":                {"lcm_unet", "clip_l", "sd_vae"},
	"hf:stable-diffusion-v1-5/stable-diffusion-v1-5": {"sd15_unet", "clip_l", "sd_vae"},
	"hf:IDKiro/sdxs-512-0.9":                         {"sdxs_unet", "open_clip_h", "taesd"},
	"hf:segmind/Segmind-Vega":                        {"vega_unet", "clip_l", "open_clip_bigg", "sd_vae"},
	"hf:segmind/SSD-1B":                              {"ssd_1b_unet", "clip_l", "open_clip_bigg", "sd_vae"},
	"hf:stabilityai/stable-diffusion-xl-base-1.0":    {"sdxl_unet", "clip_l", "open_clip_bigg", "sd_vae"},
	"hf:PixArt-alpha/PixArt-XL-2-512x512":            {"pixart_alpha_512", "t5_xxl", "sd_vae"},
	"hf:black-forest-labs/FLUX.2-klein-4B":           {"flux2_klein_4b", "qwen3_4b", "flux2_vae"},
	"hf:Tongyi-MAI/Z-Image-Turbo":                    {"z_image_turbo", "qwen3_4b", "flux_vae"},
	"hf:black-forest-labs/FLUX.1-schnell":            {"flux1_schnell", "clip_l", "t5_xxl", "flux_vae"},
	"hf:stabilityai/sd-turbo":                        {"sd21_unet", "open_clip_h", "sd_vae"},
	"hf:stabilityai/sdxl-turbo":                      {"sdxl_unet", "clip_l", "open_clip_bigg", "sd_vae"},
	"hf:facebook/DiT-XL-2-256":                       {"dit_xl_2_256", "sd_vae"},
}

// cards are the licences that models' cards on the hub name in their heads, where
// those could be read: huggingface.co/segmind/Segmind-Vega and
// Tongyi-MAI/Z-Image-Turbo themselves; stabilityai/stable-diffusion-xl-base-1.0,
// PixArt-alpha/PixArt-XL-2-512x512 and stable-diffusion-v1-5 in copies of theirs.
var cards = map[string]string{
	"hf:stable-diffusion-v1-5/stable-diffusion-v1-5": "creativeml-openrail-m",
	"hf:segmind/Segmind-Vega":                        "apache-2.0",
	"hf:stabilityai/stable-diffusion-xl-base-1.0":    "openrail++",
	"hf:PixArt-alpha/PixArt-XL-2-512x512":            "openrail++",
	"hf:Tongyi-MAI/Z-Image-Turbo":                    "apache-2.0",
}

// TestCatalogue: every model that the page offers is of a kind that the engine
// draws, packed in a way that there is, marked where its licence forbids
// commercial use, and of the parameters that its networks have.
func TestCatalogue(t *testing.T) {
	text, err := os.ReadFile("../site/catalogue.json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Models []struct {
			Model, Name, Pipeline, Licence, Quantise, Good string
			Commercial                                     *bool
			Gated                                          bool
			Parameters                                     int64
			Width, Height, Steps                           int
		}
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		t.Fatal(err)
	}
	if len(list.Models) < 12 {
		t.Errorf("%d models", len(list.Models))
	}
	var sizes struct{ Models map[string]published }
	readJSON(t, "golden/model/sizes.json", &sizes)
	seen := map[string]bool{}
	for _, m := range list.Models {
		if seen[m.Model] || !strings.HasPrefix(m.Model, "hf:") || strings.Count(m.Model, "/") != 1 || m.Name == "" || m.Good == "" {
			t.Errorf("%+v", m)
		}
		seen[m.Model] = true
		if card := cards[m.Model]; card != "" && card != m.Licence {
			t.Errorf("%s: the licence is %s, its card says %s", m.Name, m.Licence, card)
		}
		if err := pack.CheckQuant(m.Quantise); err != nil || m.Quantise == "auto" {
			t.Errorf("%s: quantise is %q", m.Name, m.Quantise)
		}
		if m.Parameters < 1e8 || m.Width%64 != 0 || m.Height%64 != 0 || m.Width == 0 || m.Height == 0 || m.Steps < 1 {
			t.Errorf("%s: %+v", m.Name, m)
		}
		var sum int64
		for _, network := range catalogued[m.Model] {
			sum += int64(sizes.Models[network].Parameters)
		}
		if off := m.Parameters - sum; max(off, -off) > sum/200 {
			t.Errorf("%s: %d parameters, its networks have %d", m.Name, m.Parameters, sum)
		}
		free := slices.Contains([]string{"mit", "apache-2.0", "creativeml-openrail-m", "openrail++"}, m.Licence)
		if m.Commercial == nil || *m.Commercial != free {
			t.Errorf("%s: the licence %s is not marked as it should be", m.Name, m.Licence)
		}
		_, err := diffusion.Components(&loader.Manifest{Index: json.RawMessage(`{"_class_name":"` + m.Pipeline + `"}`)})
		if err != nil && strings.Contains(err.Error(), "which wisp does not draw") {
			t.Errorf("%s: the engine does not draw %s (%v)", m.Name, m.Pipeline, err)
		}
	}
}
