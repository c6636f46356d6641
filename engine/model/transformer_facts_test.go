package model

import (
	"errors"
	"testing"
)

func TestTransformerFacts(t *testing.T) {
	for config, want := range map[string]TransformerFacts{
		`{"_class_name": "FluxTransformer2DModel", "guidance_embeds": true}`: {In: 64, Out: 64, Multiple: 1, Context: 4096, Pooled: 768, Inner: 3072, Guidance: true},
		`{"_class_name": "SD3Transformer2DModel"}`:                           {In: 16, Out: 16, Height: 128, Width: 128, Multiple: 2, Largest: 192, Context: 4096, Pooled: 2048, Inner: 1152, Layers: 18},
		`{"_class_name": "PixArtTransformer2DModel", "caption_channels": 9}`: {In: 4, Out: 8, Height: 128, Width: 128, Multiple: 2, Context: 9, Sized: true},
	} {
		if got, err := ReadTransformer([]byte(config)); err != nil || got != want {
			t.Errorf("%s gives %+v, %v, want %+v", config, got, err, want)
		}
	}
	for _, config := range []string{`{}`, `{"_class_name": "DiTTransformer3D"}`, `{"_class_name": "FluxTransformer2DModel", "num_layers": -1}`, `[`} {
		if _, err := ReadTransformer([]byte(config)); !errors.Is(err, ErrConfig) {
			t.Errorf("%s gives %v", config, err)
		}
	}
}

func TestUNet2DFacts(t *testing.T) {
	got, err := ReadUNet2D([]byte(`{"sample_size": [64, 32], "time_embedding_type": "fourier", "num_class_embeds": 10, "freq_shift": 1}`))
	want := UNet2DFacts{In: 3, Out: 3, Height: 64, Width: 32, Multiple: 8, Time: "fourier", Embedding: 448, Classes: 10, flipSinToCos: true, freqShift: 1}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := ReadUNet2D([]byte(`{"sample_size": [0]}`)); !errors.Is(err, ErrConfig) {
		t.Errorf("an empty picture gives %v", err)
	}
}
