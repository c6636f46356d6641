//go:build !js

package tests

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The modules that code outside of tests may import, by the names used below.
const (
	safejsModule    = "github.com/hack-pad/safejs"
	indexedDBModule = "github.com/hack-pad/go-indexeddb"
	zstdModule      = "github.com/klauspost/compress/zstd"
	gzipModule      = "github.com/klauspost/compress/gzip" // of the command, never of the wasm
	float16Module   = "github.com/x448/float16"
	wazeroModule    = "github.com/tetratelabs/wazero"
	brotliModule    = "github.com/andybalholm/brotli" // of the command, never of the wasm
	minifyModule    = "github.com/evanw/esbuild"      // of the command, never of the wasm
)

// arrows lists what the files of each package may import besides the standard
// library: packages of this module by their folder ("." is the root), others
// by the start of their path. A folder that is missing here fails the test:
// a new package decides its place by adding a line. What lies under tests may
// import anything but wasm, and needs none.
var arrows = map[string][]string{
	".":                  {"site/command"},
	"engine":             {float16Module},
	"engine/cpu":         {"engine"},
	"engine/simd":        {"engine", "wasm/emit", wazeroModule, safejsModule},
	"engine/enginetest":  {"engine", "engine/cpu", float16Module},
	"engine/model":       {"engine"},
	"engine/sampler":     {},
	"engine/preprocess":  {},
	"engine/rng":         {},
	"engine/token":       {},
	"engine/diffusion":   {"engine", "engine/model", "engine/rng", "engine/sampler", "engine/token"},
	"webgpu":             {"engine", "shaders", safejsModule, float16Module},
	"shaders":            {"engine"}, // for its dtypes
	"loader":             {"loader/budget", "loader/decode", "loader/quant", zstdModule, safejsModule, indexedDBModule},
	"loader/budget":      {},
	"loader/decode":      {"wasm/emit"},
	"loader/quant":       {float16Module},
	"loader/gguf":        {float16Module},
	"loader/safetensors": {"loader/budget", "loader/gguf", float16Module},
	"loader/hub":         {"loader/safetensors"},
	"loader/single":      {"loader/gguf", "loader/names", "loader/safetensors"},
	"loader/adapter":     {"loader/names", "loader/safetensors"},
	"loader/names":       {"loader/safetensors"},
	"loader/network":     {"loader/names", "loader/safetensors"},
	"loader/upscaler":    {"loader/safetensors"},
	"loader/pack":        {"loader", "loader/quant", "loader/safetensors", float16Module},
	"wasm":               {"engine", "engine/cpu", "engine/diffusion", "engine/simd", "webgpu", "loader", "loader/adapter", "loader/network", "loader/upscaler", "loader/safetensors", "wasm/bridge", safejsModule},
	"wasm/bridge":        {safejsModule},
	"wasm/emit":          {},
	"wasm/prebuild":      {"engine/simd", "loader/decode"},
	"wasm/pack":          {"engine/diffusion", "engine/preprocess", "loader", "loader/gguf", "loader/hub", "loader/pack", "loader/safetensors", "loader/single", "wasm/bridge", safejsModule},
	"site":               {zstdModule, brotliModule, minifyModule, gzipModule},
	"site/publish":       {"loader", "site", brotliModule, gzipModule},
	"site/command":       {"engine", "engine/cpu", "engine/diffusion", "engine/simd", "loader", "loader/adapter", "loader/upscaler", "loader/hub", "loader/network", "loader/pack", "loader/safetensors", "loader/single", "site", "site/publish"},
}

// jsOnly are the imports that only files named *_js.go may have, and hostOnly
// those that such files may not.
var (
	jsOnly   = []string{"syscall/js", safejsModule, indexedDBModule}
	hostOnly = []string{wazeroModule}
)

// TestImports holds the arrows of the design: every Go file of the module,
// whatever its build tags.
func TestImports(t *testing.T) {
	files, seen := 0, map[string]bool{}
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"build", "dist", "node_modules", "testdata"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		files++
		seen[path.Dir(name)] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", filepath.FromSlash(name)), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if err := checkImport(name, imported); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d files were read", files)
	}
	for dir := range seen {
		if _, ok := arrows[dir]; !ok && !within(dir, "tests") {
			t.Errorf("package %s has no line in the table of arrows", dir)
		}
	}
}

// checkImport says what is wrong about a file, named from the module's root,
// importing a path.
func checkImport(file, imported string) error {
	dir, test := path.Dir(file), strings.HasSuffix(file, "_test.go")
	js := strings.HasSuffix(file, "_js.go") || strings.HasSuffix(file, "_js_test.go")
	if !js && startsWithAny(imported, jsOnly) {
		return fmt.Errorf("imports %s, which only files named *_js.go may", imported)
	}
	if js && startsWithAny(imported, hostOnly) {
		return fmt.Errorf("imports %s in a file for JavaScript", imported)
	}
	inner, own := strings.CutPrefix(imported, "wisp/")
	if own && (inner == "wasm" || inner == "wasm/pack" || within(inner, "tests") && !within(dir, "tests")) {
		return fmt.Errorf("imports %s, which nothing may", imported)
	}
	standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
	if !own && standard || test || within(dir, "tests") {
		return nil
	}
	if own && slices.Contains(arrows[dir], inner) || !own && startsWithAny(imported, arrows[dir]) {
		return nil
	}
	return fmt.Errorf("imports %s, which its package may not", imported)
}

// within reports whether a slash-separated path is dir or lies below it.
func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// startsWithAny reports whether an import path is one of the modules or a package of one.
func startsWithAny(imported string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return within(imported, m) })
}

// TestImportRules: each rule refuses what it is for.
func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		ok             bool
	}{
		{"engine/graph.go", "strings", true},
		{"engine/graph.go", float16Module, true},
		{"engine/graph.go", "wisp/loader", false},
		{"engine/graph.go", safejsModule, false},
		{"engine/host_js.go", safejsModule, false},
		{"engine/simd/host_js.go", safejsModule, true},
		{"engine/simd/host_js.go", "syscall/js", true},
		{"engine/simd/host_js.go", wazeroModule + "/api", false},
		{"engine/simd/host.go", wazeroModule + "/api", true},
		{"engine/simd/host.go", "syscall/js", false},
		{"loader/open.go", "wisp/engine", false},
		{"loader/decode/decode.go", "wisp/wasm/emit", true},
		{"loader/decode/decode.go", zstdModule, false},
		{"loader/store_js.go", indexedDBModule + "/idb", true},
		{"loader/store.go", indexedDBModule + "/idb", false},
		{"loader/load_test.go", "wisp/engine/cpu", true},
		{"loader/browser_js_test.go", safejsModule, true},
		{"loader/load_test.go", safejsModule, false},
		{"loader/load_test.go", "wisp/tests/browser", false},
		{"engine/diffusion/pipeline.go", "wisp/engine/simd", false},
		{"wasm/main_js.go", "wisp/site", false},
		{"site/server.go", "wisp/wasm", false},
		{"engine/simd/kernels.go", "wisp/wasm/emit", true},
		{"wasm/emit/module.go", "wisp/engine", false},
		{"serve.go", "wisp/site/command", true},
		{"serve.go", "wisp/wasm", false},
		{"wasm/main_js.go", "wisp/loader/pack", false},
		{"wasm/main_js.go", "wisp/wasm/pack", false},
		{"new/new.go", "wisp/engine", false},
		{"tests/browser/run/main.go", "wisp/tests/browser", true},
		{"tests/browser/run/main.go", "wisp/wasm", false},
	} {
		if err := checkImport(c.file, c.imported); (err == nil) != c.ok {
			t.Errorf("%s importing %s: %v", c.file, c.imported, err)
		}
	}
}
