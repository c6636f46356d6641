package model

import (
	"errors"
	"reflect"
	"testing"
)

func TestUNetFacts(t *testing.T) {
	for config, want := range map[string]UNetFacts{
		`{}`: {In: 4, Out: 4, Levels: 4, Context: 1280, Embedding: 320, Branches: 12, flipSinToCos: true},
		`{"sample_size": 64, "cross_attention_dim": 768}`:               {In: 4, Out: 4, Height: 64, Width: 64, Levels: 4, Context: 768, Embedding: 320, Branches: 12, flipSinToCos: true},
		`{"sample_size": [40, 64], "encoder_hid_dim": 6}`:               {In: 4, Out: 4, Height: 40, Width: 64, Levels: 4, Context: 6, Embedding: 320, Branches: 12, flipSinToCos: true},
		`{"flip_sin_to_cos": false, "freq_shift": 1, "in_channels": 9}`: {In: 9, Out: 4, Levels: 4, Context: 1280, Embedding: 320, Branches: 12, freqShift: 1},
		`{"time_cond_proj_dim": 256, "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}`: {
			In: 4, Out: 4, Levels: 4, Context: 1280, Embedding: 320, Branches: 12, TimestepCond: 256, Added: 2816, AddedTime: 256, flipSinToCos: true},
	} {
		if got, err := ReadUNet([]byte(config)); err != nil || got != want {
			t.Errorf("%s gives %+v, %v, want %+v", config, got, err, want)
		}
	}
	for _, config := range []string{`{"sample_size": "big"}`, `{"sample_size": -1}`, `{"sample_size": []}`, `{"sample_size": [8, 1000000]}`, `{"act_fn": "mish"}`} {
		if _, err := ReadUNet([]byte(config)); !errors.Is(err, ErrConfig) {
			t.Errorf("%s gives %v", config, err)
		}
	}
}

func TestAutoencoderFacts(t *testing.T) {
	four := `["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"], "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]`
	for config, want := range map[string]AutoencoderFacts{
		`{"_class_name": "AutoencoderTiny"}`: {Latent: 4, Factor: 8, Scaling: 1, class: "AutoencoderTiny"},
		// As Stable Diffusion 1.5 has it: without a scaling_factor.
		`{"_class_name": "AutoencoderKL", "block_out_channels": [128, 256, 512, 512], "down_block_types": ` + four + `}`: {Latent: 4, Factor: 8, Scaling: 0.18215, Sample: 512, Upcast: true, class: "AutoencoderKL"},
		`{"_class_name": "AutoencoderKL", "latent_channels": 16, "scaling_factor": 1.5, "shift_factor": 0.25, "sample_size": [96, 32], "force_upcast": false}`: {
			Latent: 16, Factor: 1, Scaling: 1.5, Shift: 0.25, Sample: 96, class: "AutoencoderKL"},
		`{"_class_name": "VQModel", "vq_embed_dim": 5}`: {Latent: 5, Factor: 1, Scaling: 0.18215, class: "VQModel"},
	} {
		if got, err := ReadAutoencoder([]byte(config)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s gives %+v, %v, want %+v", config, got, err, want)
		}
	}
	for _, config := range []string{`{}`, `{"_class_name": "AsymmetricAutoencoderKL"}`, `{"_class_name": "AutoencoderKL", "scaling_factor": 0}`, `{"_class_name": "AutoencoderKL", "sample_size": -1}`, `{"_class_name": "AutoencoderKL", "latents_mean": [1], "latents_std": [1]}`, `[`} {
		if _, err := ReadAutoencoder([]byte(config)); !errors.Is(err, ErrConfig) {
			t.Errorf("%s gives %v", config, err)
		}
		if _, err := Decoder([]byte(config), 1, 4, 4); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: decoder gives %v", config, err)
		}
	}
}

func TestTextFacts(t *testing.T) {
	got, err := ReadText([]byte(`{"text_config": {"hidden_size": 768, "num_attention_heads": 12, "projection_dim": 768}}`))
	if want := (TextFacts{77, 49408, 768, 768, 12, 49407}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// The pooled state is taken at the first end of text, or as transformers did
// for the configs that say 2.
func TestTextEnd(t *testing.T) {
	for config, want := range map[string]int{`{"eos_token_id": 7}`: 1, `{"eos_token_id": 2}`: 3, `{}`: 0} {
		f, err := ReadText([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		mask := f.End([]int32{1, 7, 7, 9, 0})
		for i, v := range mask {
			if (v == 1) != (i == want) || v != 0 && v != 1 {
				t.Errorf("%s: mask is %v, want its 1 at %d", config, mask, want)
			}
		}
	}
}
