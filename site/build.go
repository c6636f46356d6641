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
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	// Inlined, the calls that describe the SIMD kernels take a megabyte more.
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-gcflags=wisp/engine/simd=-l", "-o", filepath.Join(out, "wisp.wasm"), "./wasm")
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
// name that carries its hash, compressed twins for hosts that look for them, a
// headers file for hosts that read one, and the models. The files of an older
// build in out are replaced.
func Build(files fs.FS, models fs.FS, out string) error {
	page, err := rename(files)
	if err != nil {
		return err
	}
	assembled, err := Assemble(page)
	if err != nil {
		return err
	}
	if page[worker], err = fs.ReadFile(assembled, worker); err != nil {
		return err
	}
	page["_headers"] = headersFile()
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	old, _ := filepath.Glob(filepath.Join(out, "wisp-????????????????.wasm*"))
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for name, data := range page {
		if err := writeTwins(filepath.Join(out, name), data); err != nil {
			return err
		}
	}
	return copyTree(models, filepath.Join(out, "models"))
}

// rename returns the page's files with the engine under its hashed name.
func rename(files fs.FS) (memory, error) {
	wasm, err := fs.ReadFile(files, "wisp.wasm")
	if err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	sum := sha256.Sum256(wasm)
	engine := "wisp-" + hex.EncodeToString(sum[:8]) + ".wasm"
	page := memory{engine: wasm}
	names, err := fs.Glob(embedded, "*")
	if err != nil {
		return nil, err
	}
	for _, name := range append(names, glue...) {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("site: %w", err)
		}
		page[name] = bytes.ReplaceAll(data, []byte("wisp.wasm"), []byte(engine))
	}
	return page, nil
}

// writeTwins writes a file and, where that saves something, its .gz and .zst.
func writeTwins(path string, data []byte) error {
	twins := map[string][]byte{"": data}
	if !packed[filepath.Ext(path)] {
		twins[".gz"], twins[".zst"] = gzipped(data), zstandard(data)
	}
	for ext, twin := range twins {
		if ext != "" && len(twin) >= len(data) {
			continue
		}
		if err := os.WriteFile(path+ext, twin, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// headersFile is what Netlify, Cloudflare Pages and their like read: the
// headers that [Handler] sends.
func headersFile() []byte {
	header := http.Header{}
	isolate(header)
	var b bytes.Buffer
	b.WriteString("/*\n")
	for _, name := range slices.Sorted(maps.Keys(header)) {
		fmt.Fprintf(&b, "  %s: %s\n", name, header.Get(name))
	}
	b.WriteString("/models/*.bin\n  Cache-Control: public, max-age=31536000, immutable\n")
	b.WriteString("/wisp-*.wasm\n  Cache-Control: public, max-age=31536000, immutable\n")
	return b.Bytes()
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
