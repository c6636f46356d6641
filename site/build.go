package site

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// glue lists the scripts that the engine's worker loads beside it: Go's, and
// the WebGPU backend's half in JavaScript.
var glue = []string{"wasm_exec.js", "replay.js"}

// Compile builds the engine from the checkout at root and puts wisp.wasm and
// the scripts beside it into out. It needs the go command and nothing else.
func Compile(ctx context.Context, root, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(out, "wisp.wasm"), "./wasm")
	build.Dir = root
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("site: build the engine: %w\n%s", err, text)
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("site: go env GOROOT: %w", err)
	}
	for i, file := range []string{filepath.Join(strings.TrimSpace(string(goroot)), "lib", "wasm", glue[0]), filepath.Join(root, "webgpu", glue[1])} {
		script, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("site: %w", err)
		}
		if err := os.WriteFile(filepath.Join(out, glue[i]), script, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Root finds the checkout of wisp around the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module wisp\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("site: not inside a checkout of wisp: change to its directory, or name a built one with -dir")
		}
		dir = filepath.Dir(dir)
	}
}

// Build writes a directory for any static host: the page, the engine under a
// name that carries its hash, and the models. The files of an older build in
// out are replaced.
func Build(files fs.FS, models fs.FS, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	old, _ := filepath.Glob(filepath.Join(out, "wisp-????????????????.wasm"))
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	wasm, err := fs.ReadFile(files, "wisp.wasm")
	if err != nil {
		return fmt.Errorf("site: %w", err)
	}
	sum := sha256.Sum256(wasm)
	name := "wisp-" + hex.EncodeToString(sum[:8]) + ".wasm"
	if err := os.WriteFile(filepath.Join(out, name), wasm, 0o644); err != nil {
		return err
	}
	page, err := fs.Glob(Files(), "*")
	if err != nil {
		return err
	}
	for _, file := range append(page, glue...) {
		data, err := fs.ReadFile(files, file)
		if err != nil {
			return fmt.Errorf("site: %w", err)
		}
		data = bytes.ReplaceAll(data, []byte("wisp.wasm"), []byte(name))
		if err := os.WriteFile(filepath.Join(out, file), data, 0o644); err != nil {
			return err
		}
	}
	return copyTree(models, filepath.Join(out, "models"))
}

// copyTree copies every regular file of src.
func copyTree(src fs.FS, out string) error {
	return fs.WalkDir(src, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(out, filepath.FromSlash(name))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		from, err := src.Open(name)
		if err != nil {
			return err
		}
		defer from.Close()
		f, err := os.Create(to)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, from); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	})
}
