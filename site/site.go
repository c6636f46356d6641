// Package site is the web page, the JavaScript module and the server that
// hands them out. The browser files are embedded, so that a built command
// carries them; models stay on disk. It knows nothing of the engine: the wasm
// is a file it is given. Start at [Handler] and [Build].
package site

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed *.html *.css *.js *.d.ts *.svg *.png *.webmanifest compat/*.js
var embedded embed.FS

// Files returns the page and everything it loads but the programs and Go's
// script beside them (see [Compile]), its service worker (see [Assemble]) and the
// models.
func Files() fs.FS { return served() }

// served is the embedded files, their scripts without the lines that are
// comments: those are for readers of the source. Empty lines in their places
// keep the numbers of the others. The folders are for readers, too: all files
// are served side by side, so that png.js keeps its address.
var served = sync.OnceValue(func() memory {
	files := memory{}
	err := fs.WalkDir(embedded, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := embedded.ReadFile(name)
		if path.Ext(name) == ".js" {
			data = comment.ReplaceAll(data, nil)
		}
		if _, twice := files[path.Base(name)]; twice {
			return fmt.Errorf("site: two files are called %s", path.Base(name))
		}
		files[path.Base(name)] = data
		return err
	})
	if err != nil {
		panic(err) // of what was compiled in
	}
	return files
})

// names lists the files of the page.
func names() []string { return slices.Sorted(maps.Keys(served())) }

// comment matches a line that is one.
var comment = regexp.MustCompile(`(?m)^[\t ]*//.*$`)

// policy lets a page run its own code and connect to its own site, and nothing
// else. sw.js adds the origins of models that the visitor allowed.
const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; " +
	"img-src 'self' blob: data:; connect-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'"

// worker is the service worker's own file.
const worker = "sw.js"

// Assemble puts the service worker of exactly these page files before them:
// its first line names every file with its hash, and the version they make.
func Assemble(files fs.FS) (fs.FS, error) {
	built, err := assemble(files, slices.Concat(names(), glue, []string{engine, packer}))
	if err != nil {
		return nil, err
	}
	return Layers{memory{worker: built}, files}, nil
}

// assemble returns the service worker of the named files.
func assemble(files fs.FS, names []string) ([]byte, error) {
	list := struct {
		Version string            `json:"version"`
		Headers map[string]string `json:"headers"`
		Files   map[string]string `json:"files"`
		Later   map[string]string `json:"later"` // what is kept once somebody asks for it
	}{Headers: map[string]string{}, Files: map[string]string{}, Later: map[string]string{}}
	header := http.Header{}
	isolate(header, "") // sw.js knows what embed.html has otherwise
	for name := range header {
		list.Headers[name] = header.Get(name)
	}
	all := sha256.New()
	for _, name := range slices.Sorted(slices.Values(names)) {
		if name == worker || path.Ext(name) == ".ts" {
			continue
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("site: %w", err)
		}
		sum := sha256.Sum256(data)
		to := list.Files
		if isPacker(name) {
			to = list.Later
		}
		to[name] = hex.EncodeToString(sum[:])
		fmt.Fprintf(all, "%s %x\n", name, sum)
	}
	text, err := fs.ReadFile(Files(), worker)
	if err != nil {
		return nil, err
	}
	all.Write(text)
	list.Version = hex.EncodeToString(all.Sum(nil)[:8])
	head, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "const build = %s;\n%s", head, text), nil
}

// isPacker knows the packer under either of its names.
func isPacker(name string) bool {
	stem, _, _ := strings.Cut(name, "-")
	return name == packer || stem+path.Ext(name) == packer
}
