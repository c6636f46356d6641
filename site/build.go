package site

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
)

// glue lists the scripts that the engine's worker loads beside it: Go's, and
// the WebGPU backend's half in JavaScript.
var glue = []string{"wasm_exec.js", "replay.js"}

// The Go programs, before build gives them names with their hashes: the engine,
// and what packs a model that the visitor imports.
const (
	engine = "wisp.wasm"
	packer = "pack.wasm"
)

// programs has the package of each.
var programs = map[string]string{engine: "./wasm", packer: "./wasm/pack"}

// cold lists packages of the programs without long loops: compiled without
// inlining, they make it a tenth smaller.
var cold = []string{
	"wisp/engine/simd", "wisp/engine/model", "wisp/engine/diffusion", "wisp/engine/sampler", "wisp/engine/token",
	"wisp/webgpu", "wisp/wasm", "wisp/wasm/bridge", "wisp/wasm/emit", "wisp/loader/adapter", "wisp/loader/budget", "wisp/loader/decode",
	"wisp/loader/gguf", "wisp/loader/names", "wisp/loader/network", "wisp/loader/safetensors", "wisp/loader/upscaler", "wisp/wasm/pack",
	"encoding/json", "reflect", "fmt", "time", "strconv", "internal/strconv", "strings", "bytes", "context", "sort", "internal/fmtsort", "unicode",
	"wisp/loader", "github.com/hack-pad/safejs", "syscall/js", "io", "io/fs", "os", "log", "path", "internal/poll", "errors", "syscall", "image", "image/color",
}

// Compile builds the programs from the checkout at root and puts them, the
// scripts beside them and the licences into out. It needs the go command and nothing else.
func Compile(ctx context.Context, root, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	modules, err := os.MkdirTemp("", "wisp-modules-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(modules)
	emit := exec.CommandContext(ctx, "go", "run", "./wasm/prebuild", root, modules)
	emit.Dir = root
	if text, err := emit.CombinedOutput(); err != nil {
		return fmt.Errorf("site: emit the engine's modules: %w\n%s", err, text)
	}
	arguments := []string{"build", "-trimpath", "-ldflags=-s -w", "-tags=prebuilt", "-overlay=" + filepath.Join(modules, "overlay.json")}
	for _, p := range cold {
		arguments = append(arguments, "-gcflags="+p+"=-l")
	}
	tool, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return fmt.Errorf("site: go env: %w", err)
	}
	goroot, version, _ := strings.Cut(strings.TrimSpace(string(tool)), "\n")
	for name, pkg := range programs {
		build := exec.CommandContext(ctx, "go", append(arguments, "-o", filepath.Join(out, name), pkg)...)
		build.Dir = root
		build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("site: build %s: %w\n%s", name, err, text)
		}
		if err := stripFile(filepath.Join(out, name), version); err != nil {
			return err
		}
	}
	for name := range notices {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return fmt.Errorf("site: %w", err)
		}
		if err := os.WriteFile(filepath.Join(out, name), text, 0o644); err != nil {
			return err
		}
	}
	for i, file := range []string{filepath.Join(goroot, "lib", "wasm", glue[0]), filepath.Join(root, "webgpu", glue[1])} {
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

// Version names the checkout around the working directory, as git describes it;
// "" where there is none.
var Version = sync.OnceValue(func() string {
	root, err := Root()
	if err != nil {
		return ""
	}
	text, err := exec.Command("git", "-C", root, "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "" // an archive of the source has no history
	}
	return strings.TrimSpace(string(text))
})

// BuildOptions says how Build writes.
type BuildOptions struct {
	Out string // the directory
	// Brotli is the level of the .br twins, 0 (fast) to 11 (small): the engine
	// takes a second or half a minute.
	Brotli int
	// Log is told the subresource-integrity hashes.
	Log io.Writer
}

// Build writes a directory for any static host, which works under any path:
// the page, with hashes in the names of what only the page asks for, compressed
// twins for hosts that look for them, the headers in the files that common
// hosts read, the licences and the models. The files of an older build in Out
// are replaced; the hash-named ones of the build before this one stay, since
// pages that were opened before may still ask for them.
func Build(files fs.FS, models fs.FS, o BuildOptions) error {
	page, err := rename(files)
	if err != nil {
		return err
	}
	if page[credits], err = fs.ReadFile(files, credits); err != nil {
		return fmt.Errorf("site: %w", err)
	}
	before := builtBefore(o.Out)
	if page[worker], err = assemble(page, slices.Collect(maps.Keys(page))); err != nil {
		return err
	}
	page[catalogue] = served()[catalogue]
	printIntegrity(o.Log, page)
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return err
	}
	for name, data := range page {
		if err := writeTwins(filepath.Join(o.Out, name), data, o.Brotli); err != nil {
			return err
		}
	}
	for name, to := range notices {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("site: %w", err)
		}
		if err := writeTwins(filepath.Join(o.Out, to), data, o.Brotli); err != nil {
			return err
		}
	}
	for name, data := range headerFiles(page) {
		if err := os.WriteFile(filepath.Join(o.Out, name), data, 0o644); err != nil {
			return err
		}
	}
	if err := copyTree(models, filepath.Join(o.Out, "models"), o.Brotli); err != nil {
		return err
	}
	return removeOld(o.Out, page, before)
}

// notices lists the licence, the credits that the model's sources ask for, and
// what they are called in a built site, whose hosts go by extensions.
var notices = map[string]string{"LICENSE": "LICENSE.txt", credits: credits}

// credits is what the page links to, so the service worker keeps it, too.
const credits = "ATTRIBUTION.md"

// builtBefore lists the files of the build in a directory, from its service
// worker; nothing where there is none.
func builtBefore(out string) map[string]string {
	text, err := os.ReadFile(filepath.Join(out, worker))
	if err != nil {
		return nil
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var build struct{ Files, Later map[string]string }
	if json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(line, "const build = "), ";")), &build) != nil {
		return nil
	}
	names := map[string]string{}
	maps.Copy(names, build.Files)
	maps.Copy(names, build.Later)
	return names
}

// removeOld deletes the hash-named files of builds older than the one before
// this; nothing where that was the same.
func removeOld(out string, page memory, before map[string]string) error {
	if len(before) > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(page)), func(name string) bool { return before[name] == "" && hashed.MatchString(name) }) {
		return nil
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		for _, twin := range encodings {
			name = strings.TrimSuffix(name, twin.ext)
		}
		if _, kept := page[name]; kept || before[name] != "" || !hashed.MatchString(name) || !e.Type().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(out, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// printIntegrity prints the subresource-integrity hashes of the modules that
// other sites load.
func printIntegrity(w io.Writer, page memory) {
	for _, name := range slices.Sorted(maps.Keys(page)) {
		stem, _, _ := strings.Cut(strings.TrimSuffix(name, ".js"), "-")
		if path.Ext(name) == ".js" && slices.Contains([]string{"wisp", "widget", "png", "strings", "de", "zh"}, stem) {
			sum := sha512.Sum384(page[name])
			fmt.Fprintf(w, "%-24s sha384-%s\n", name, base64.StdEncoding.EncodeToString(sum[:]))
		}
	}
}

// writeTwins writes a file and then, since a twin older than its file counts as
// another's, its compressed forms where they save something.
func writeTwins(path string, data []byte, brotliLevel int) error {
	if err := os.WriteFile(path, data, 0o644); err != nil || packed[filepath.Ext(path)] {
		return err
	}
	for ext, twin := range map[string][]byte{".gz": gzipped(data), ".zst": zstandard(data), ".br": brotlied(data, brotliLevel)} {
		if len(twin) >= len(data) {
			if err := os.Remove(path + ext); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		if err := os.WriteFile(path+ext, twin, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// brotlied compresses for browsers and hosts that know no zstd.
func brotlied(data []byte, level int) []byte {
	var b bytes.Buffer
	z := brotli.NewWriterLevel(&b, level)
	z.Write(data) // a bytes.Buffer does not fail
	z.Close()
	return b.Bytes()
}

// copyTree copies every regular file of src; with a level of Brotli of 0 or more,
// texts with their twins.
func copyTree(src fs.FS, out string, brotliLevel int) error {
	return fs.WalkDir(src, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(out, filepath.FromSlash(name))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		if ext := filepath.Ext(name); brotliLevel >= 0 && types[ext] != "" && !packed[ext] {
			data, err := fs.ReadFile(src, name)
			if err != nil {
				return err
			}
			return writeTwins(to, data, brotliLevel)
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
			return errors.Join(err, f.Close(), os.Remove(to))
		}
		return f.Close()
	})
}
