package model

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzConfig: no configuration makes a network panic, hang or grow without
// bound; the seeds are those of the goldens.
func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("../../tests/golden/model/*/config.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"transformer_layers_per_block": [[], [1], [], [2, 3]], "layers_per_block": [256, 256, 256, 256]}`))
	f.Add([]byte(`{"block_out_channels": null, "down_block_types": null, "up_block_types": []}`))
	f.Fuzz(func(t *testing.T, config []byte) {
		if g, err := UNet2DCondition(config, 1, 8, 8, 4); err == nil && len(g.Nodes) > 1<<18 {
			t.Errorf("%d nodes", len(g.Nodes))
		}
		ControlNet(config, 1, 8, 8, 4)
		T5Encoder(config, 1, 5)
		PixArt(config, 1, 8, 8, 4)
		SD3(config, 1, 8, 8, 4)
		CLIPText(config, 1, 7)
		AutoencoderTinyDecoder(config, 1, 4, 4)
		AutoencoderTinyEncoder(config, 1, 16, 16)
		AutoencoderKLDecoder(config, 1, 4, 4)
		AutoencoderKLEncoder(config, 1, 16, 16)
		AutoencoderKLFlux2Decoder(config, 1, 2, 2)
		AutoencoderKLFlux2Encoder(config, 1, 16, 16)
		VQModelDecoder(config, 1, 4, 4)
		VQModelEncoder(config, 1, 16, 16)
		UNet2D(config, 1, 16, 16)
		DiT(config, 1, 8, 8)
		AuraFlow(config, 1, 8, 8, 4)
		Lumina(config, 1, 8, 8, 4)
		LuminaRotary(config, 8, 8, 1, 1)
		HunyuanDiT(config, 1, 8, 8)
		Flux(config, 1, 4, 4, 4)
		Flux2(config, 1, 4, 4, 4)
		ZImage(config, 1, 8, 8, 32)
		Qwen3(config, 1, 5)
		BERT(config, 1, 5)
		ReadUNet(config)
		ReadUNet2D(config)
		ReadAutoencoder(config)
		ReadTransformer(config)
		ReadQwen3(config)
	})
}
