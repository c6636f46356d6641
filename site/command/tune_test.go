//go:build !js

package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTuneCommand: a packed model gets its timesteps, stays a good one, and keeps
// what else it says; with -n, and where nothing can be tuned, it stays as it is.
func TestTuneCommand(t *testing.T) {
	dir := tinyModel(t, func(dir string) {
		text := `{"name": "tiny", "steps": 4, "guidance": 1, "examples": ["red cat"], "schedule": "linspace"}`
		if err := os.WriteFile(filepath.Join(dir, "wisp.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	out := filepath.Join(t.TempDir(), "out")
	if Run(t.Context(), []string{"pack", "-in", dir, "-out", out}) != 0 {
		t.Fatal("not packed")
	}
	manifest := func() string {
		text, err := os.ReadFile(filepath.Join(out, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := manifest()
	for args, want := range map[string]int{"-steps 2 -pictures 1 -n": 0, "-steps 2 -pictures 0": 1, "-steps 5000": 1, "-backend none": 1} {
		if got := Run(t.Context(), append([]string{"tune", "-backend", "cpu", "-model", out}, strings.Fields(args)...)); got != want || manifest() != before {
			t.Errorf("%s: status %d, want %d; the model changed: %v", args, got, want, manifest() != before)
		}
	}
	if Run(t.Context(), []string{"tune", "-backend", "cpu", "-model", out, "-steps", "2", "-pictures", "1"}) != 0 {
		t.Fatal("not tuned")
	}
	after := manifest()
	if !strings.Contains(after, `"timesteps":{"2":[`) || !strings.Contains(after, `"examples":["red cat"]`) {
		t.Errorf("the manifest says %.600s", after)
	}
	if Run(t.Context(), []string{"verify", out}) != 0 {
		t.Error("the tuned model is no good one")
	}
	if Run(t.Context(), []string{"generate", "-backend", "cpu", "-model", out, "-prompt", "red cat", "-steps", "2", "-out", filepath.Join(t.TempDir(), "x.png")}) != 0 {
		t.Error("the tuned model does not draw")
	}
}
