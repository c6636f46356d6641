//go:build !js

package tests

import (
	"encoding/json"
	"errors"
	"image"
	"image/draw"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
)

// TestSchedulers draws with schedulers whose class and fields were drawn from a
// seed, and compares with the pictures of diffusers (golden/pipeline/schedulers.py):
// alike, or refused by a field's name.
func TestSchedulers(t *testing.T) {
	dir := filepath.Join("golden", "pipeline", "schedulers")
	data, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Size, Row int
		Cases     []struct {
			Scheduler json.RawMessage
			pipeline.Case
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil || len(golden.Cases) == 0 {
		t.Fatal(err, len(golden.Cases))
	}
	sheet := readImage(t, filepath.Join(dir, "pictures.png"))
	m := directory{t, filepath.Join("golden", "pipeline", "tiny_ddim_kl", "model")}
	for i, c := range golden.Cases {
		p, err := diffusion.New(t.Context(), cpu.New(), altered{m, "scheduler", string(c.Scheduler)}, nil)
		if errors.Is(err, diffusion.ErrBadModel) && namesField(err, c.Scheduler) {
			t.Logf("%.60s: refused: %v", c.Scheduler, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Scheduler, err)
			continue
		}
		r := c.Request()
		r.Width, r.Height, r.Count = golden.Size, golden.Size, 1
		result, err := p.Generate(t.Context(), r, nil)
		p.Close()
		if err != nil {
			t.Errorf("%s: %v", c.Scheduler, err)
			continue
		}
		want := image.NewNRGBA(image.Rect(0, 0, golden.Size, golden.Size))
		draw.Draw(want, want.Bounds(), sheet, image.Pt(i%golden.Row*golden.Size, i/golden.Row*golden.Size), draw.Src)
		db := pipeline.Compare(result.Images[0], want)
		t.Logf("%.200s: %.1f dB after %d steps", c.Scheduler, db, c.Steps)
		if db < minPSNR {
			t.Errorf("%s: PSNR %.1f dB, want %d", c.Scheduler, db, minPSNR)
		}
	}
}

// namesField is whether an error says one of the fields.
func namesField(err error, scheduler json.RawMessage) bool {
	var fields map[string]any
	json.Unmarshal(scheduler, &fields)
	for field := range fields {
		if strings.Contains(err.Error(), field) {
			return true
		}
	}
	return false
}
