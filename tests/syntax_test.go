//go:build !js

package tests

import (
	"path/filepath"
	"testing"

	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
)

// TestEmptyNegativePrompt: Stable Diffusion XL's is zeros in diffusers and in
// AUTOMATIC1111, an encoded text without words in ComfyUI.
func TestEmptyNegativePrompt(t *testing.T) {
	dir := filepath.Join("golden", "pipeline", "sdxl")
	cases, err := pipeline.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	simd, err := simdBackends()
	if err != nil {
		t.Fatal(err)
	}
	p, err := diffusion.New(t.Context(), simd[0], directory{t, filepath.Join(dir, "model")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range []struct {
		syntax, words string // without meaning, but not empty
		same          bool
	}{{"comfyui", "  ", true}, {"a1111", "  ", false}, {"none", "  ", false}} {
		r := cases[0].Request()
		r.PromptSyntax = c.syntax
		empty, err := p.Generate(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.NegativePrompt = c.words
		encoded, err := p.Generate(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if db := pipeline.Compare(empty.Images[0], encoded.Images[0]); (db == 99) != c.same {
			t.Errorf("%s: the empty prompt's picture is at %.1f dB of the encoded one's", c.syntax, db)
		}
	}
}
