//go:build !js

package loader

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDir(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := Dir(dir).Open(t.Context(), "manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	for _, bad := range []string{"../x", "a/b", "/etc/passwd", "", ".", ".."} {
		if _, err := Dir(dir).Open(t.Context(), bad); err == nil {
			t.Errorf("%q was opened", bad)
		}
	}
}
