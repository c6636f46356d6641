package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongCalls: what cannot be done fails before any work, and an
// interruption is no success.
func TestWrongCalls(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, c := range []struct {
		status int
		args   string
	}{
		{2, ""}, {2, "draw"}, {1, "verify"}, {1, "verify " + dir}, {1, "verify a b"}, {130, "verify site/models/default"}, {130, "generate -prompt x"},
		{1, "build dist"}, {1, "build -out " + file + " x"},
		{1, "pack -in " + dir}, {1, "pack -in " + dir + " -out " + file}, {1, "pack -in " + file + " -out " + dir}, {1, "pack -in hf:a -out " + dir},
		{1, "generate -prompt red heart"}, {1, "generate -prompt x -out " + dir}, {1, "generate -prompt x -out " + file + "/a.png"},
		{1, "generate -prompt x -backend gpu"}, {1, "generate -prompt x -model " + dir}, {1, "serve -dir " + file}, {1, "serve -dir " + dir + " -addr nowhere:port"},
	} {
		ctx := t.Context()
		if c.status == 130 {
			ctx = interrupted
		}
		if got := run(ctx, strings.Fields(c.args)); got != c.status {
			t.Errorf("%s: status %d, want %d", c.args, got, c.status)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "kept" {
		t.Errorf("%s is %q: %v", file, text, err)
	}
}

// TestBadRequests: what the model cannot draw is refused, and nothing written.
func TestBadRequests(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.png")
	for _, flags := range []string{
		"-steps 0", "-steps -3", "-steps 5000", "-guidance -1", "-guidance NaN", "-guidance 1e30", "-width 7", "-width 4096", "-height -8",
		"-count 0", "-count 1000", "-sampler none", "-schedule none",
	} {
		args := append([]string{"generate", "-prompt", "x", "-out", out}, strings.Fields(flags)...)
		if got := run(t.Context(), args); got != 1 {
			t.Errorf("%s: status %d, want 1", flags, got)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(out)); err != nil || len(entries) > 0 {
		t.Errorf("%v was written: %v", entries, err)
	}
}

// TestSave: a file that cannot be written whole stays as it is.
func TestSave(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.png")
	if err := save(name, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name+".part", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := save(name, []byte("new")); err == nil {
		t.Error("it was written through a directory")
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "old" {
		t.Errorf("it is %q: %v", text, err)
	}
	if err := save(os.DevNull, nil); err != nil {
		t.Error(err)
	}
}
