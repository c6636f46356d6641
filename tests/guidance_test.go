package tests

import (
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
)

// TestReuseOfSteered: a ControlNet steers what is left of a UNet, too.
func TestReuseOfSteered(t *testing.T) {
	for _, c := range modeCases(t) {
		if len(c.Controls) == 0 || c.Request["reuse"] != nil {
			continue
		}
		b := backends(t)[0]
		whole, err := c.draw(t, b)
		if err != nil {
			t.Fatal(err)
		}
		c.Request = maps.Clone(c.Request)
		c.Request["reuse"] = json.RawMessage(`"deepcache interval=2 branch=1"`)
		part, err := c.draw(t, b)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if db := pipeline.Compare(whole, part); db < 10 || db > 60 {
			t.Errorf("%s: %.1f dB beside the picture whose steps are whole", c.Name, db)
		}
		return
	}
	t.Fatal("no case is steered")
}

// TestGuided draws with skip-layer guidance, with rescaled guidance, with a
// share of noise and with a deep part that serves several steps what diffusers draws with them: golden/guidance/make.py.
func TestGuided(t *testing.T) {
	checkGuided(t, backends(t), false)
}

// checkGuided draws all pictures or, where one takes seconds, those that reuse alone.
func checkGuided(t *testing.T, list []labelled, slow bool) {
	t.Helper()
	dir := filepath.Join("golden", "guidance")
	var file struct {
		Pictures []struct {
			Model, Skip, Reuse string
			Guidance, Rescale  float32
			Eta                *float32
		}
	}
	readJSON(t, filepath.Join(dir, "guidance.json"), &file)
	f, err := os.Open(filepath.Join(dir, "guided.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sheet, err := png.Decode(f)
	if err != nil || len(file.Pictures) == 0 {
		t.Fatal(err, len(file.Pictures))
	}
	for i, c := range file.Pictures {
		if slow && c.Reuse == "" {
			continue
		}
		for _, b := range list {
			p, err := diffusion.New(t.Context(), b.Backend, directory{t, filepath.Join("golden", "pipeline", c.Model, "model")}, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := p.Defaults()
			r.Prompt, r.Steps, r.Width, r.Height, r.Seed, r.Guidance = "red cat", 6, 32, 32, 4, c.Guidance
			r.SkipLayers, r.GuidanceRescale, r.Eta, r.Reuse = c.Skip, c.Rescale, c.Eta, c.Reuse
			result, err := p.Generate(t.Context(), r, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := image.NewNRGBA(image.Rect(0, 0, 32, 32))
			for at := range 32 * 32 {
				want.Set(at%32, at/32, sheet.At(32*i+at%32, at/32))
			}
			db := pipeline.Compare(result.Images[0], want)
			parity{Case: "guided " + c.Model, DB: db}.log(t, b)
			if db < minPSNR || len(result.Notices) > 0 {
				t.Errorf("%s: PSNR %.1f dB, want %d; %v", c.Model, db, minPSNR, result.Notices)
			}
			if slow {
				p.Close()
				continue
			}
			if plain, err := p.Generate(t.Context(), diffusion.Request{Prompt: r.Prompt, Steps: 6, Width: 32, Height: 32, Seed: 4, Guidance: c.Guidance, Count: 1}, nil); err != nil || fmt.Sprint(plain.Images[0].Pix) == fmt.Sprint(result.Images[0].Pix) {
				t.Errorf("%s: the settings change nothing, %v", c.Model, err)
			}
			p.Close()
		}
	}
}
