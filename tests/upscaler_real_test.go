//go:build upscaler

package tests

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"wisp/engine/diffusion"
	"wisp/loader/safetensors"
	"wisp/loader/upscaler"
	"wisp/tests/golden/pipeline"
)

// TestRealUpscaler draws what UpscalerJS drew, with its network of npm's
// @upscalerjs/default-model. The weights are fetched by
// `make upscaler` and never committed.
func TestRealUpscaler(t *testing.T) {
	dir := os.Getenv("UPSCALER")
	if dir == "" {
		t.Fatal("set UPSCALER to the unpacked package @upscalerjs/default-model: run `make upscaler`")
	}
	b := fastest(t)
	open := func(name string) (safetensors.Blob, error) {
		data, err := fs.ReadFile(os.DirFS(filepath.Join(dir, "models")), name)
		return memory{bytes.NewReader(data)}, err
	}
	f, err := upscaler.Open("model.json", open)
	if err != nil {
		t.Fatal(err)
	}
	u, err := diffusion.NewUpscaler(t.Context(), b.Backend, f)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	out, err := u.Upscale(t.Context(), readImage(t, filepath.Join(dir, "assets", "fixture.png")), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := pipeline.Compare(out, readImage(t, filepath.Join(dir, "assets", "samples", "2x", "result.png")))
	t.Logf("UpscalerJS's own picture: %.1f dB", db)
	if db < 45 {
		t.Errorf("PSNR %.1f dB, want 45", db)
	}
}
