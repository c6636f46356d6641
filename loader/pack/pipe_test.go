//go:build unix

package pack

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestPipes: a pipe in a file's place, in the input or the output, is refused
// at once and not waited for.
func TestPipes(t *testing.T) {
	src, _ := pipeline(t)
	model, _ := packTo(t, src, Options{})
	for _, name := range []string{
		"model_index.json", "unet/config.json", "unet/diffusion_pytorch_model-00001-of-00002.safetensors", "README.md", "tokenizer/merges.txt",
		"out/journal.part", "out/manifest.json.part", "out/manifest.json", "verify/manifest.json",
	} {
		dir, out := t.TempDir(), ""
		if err := os.CopyFS(dir, os.DirFS(src)); err != nil {
			t.Fatal(err)
		}
		out = filepath.Join(dir, "out")
		if err := errors.Join(os.Mkdir(out, 0o777), os.CopyFS(filepath.Join(dir, "verify"), os.DirFS(model))); err != nil {
			t.Fatal(err)
		}
		name = filepath.Join(dir, name)
		os.Remove(name)
		if err := syscall.Mkfifo(name, 0o666); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			ended <- errors.Join(Run(t.Context(), Options{In: dir, Out: out}), Verify(t.Context(), filepath.Join(dir, "verify"), io.Discard))
		}()
		select {
		case err := <-ended:
			if err == nil || !errors.Is(err, fs.ErrInvalid) && filepath.Base(filepath.Dir(name)) != "out" {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: it hangs", name)
		}
	}
}
