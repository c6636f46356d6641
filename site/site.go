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

	"github.com/evanw/esbuild/pkg/api"
)

//go:embed *.html *.js *.svg *.png *.webmanifest catalogue.json compat/*.js languages/*.js lab/*.js lab/*.css
//go:embed module/*.js module/*.css module/*.d.ts page/*.js page/*.css studio/*.js
var embedded embed.FS

// Files returns the page and everything it loads but the programs and Go's
// script beside them (see [Compile]), its service worker (see [Assemble]) and the
// models.
func Files() fs.FS { return served() }

// served is the embedded files, their scripts and styles minified, some scripts
// within others. The folders are for readers: all files are served side by side,
// so that png.js keeps its address.
var served = sync.OnceValue(func() memory {
	written, files := memory{}, memory{}
	english, _ := embedded.ReadFile("page/strings.js")
	page, _ := embedded.ReadFile("index.html")
	other, _ := embedded.ReadFile("privacy.html")
	lab, _ := embedded.ReadFile("lab.html")
	other = append(other, lab...)
	err := fs.WalkDir(embedded, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if _, twice := written[path.Base(name)]; twice {
			return fmt.Errorf("site: two files are called %s", path.Base(name))
		}
		if written[path.Base(name)], err = embedded.ReadFile(name); path.Dir(name) == "languages" && err == nil {
			written[path.Base(name)], err = ordered(english, page, other, written[path.Base(name)])
		}
		return err
	})
	written["version.js"] = fmt.Appendf(nil, "export const version = %q;\n", Version())
	for name, data := range written {
		if err == nil && bundles[name] != nil {
			files[name], err = bundle(name, written)
		} else if err == nil && within(name) == name {
			files[name], err = lean(name, data)
		}
	}
	if err != nil {
		panic(err) // of what was compiled in
	}
	return files
})

// minify is how scripts and styles are made small.
func minify() api.TransformOptions {
	return api.TransformOptions{
		Target: api.ES2022, Charset: api.CharsetUTF8,
		MinifyWhitespace: true, MinifySyntax: true, MinifyIdentifiers: true, LogLevel: api.LogLevelSilent,
	}
}

// lean is a script or a style as it is served, and another file as it is.
func lean(name string, data []byte) ([]byte, error) {
	loader, ok := loaders[path.Ext(name)]
	if !ok {
		return data, nil
	}
	o := minify()
	o.Loader = loader
	r := api.Transform(string(data), o)
	if len(r.Errors) > 0 {
		return nil, fmt.Errorf("site: %s: %s", name, r.Errors[0].Text)
	}
	return r.Code, nil
}

// catalogue lists open models, for the page to show. A publisher may put another
// in its place, so no version of the page covers it.
const catalogue = "catalogue.json"

// names lists the files of the page.
func names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(served())), func(name string) bool { return name == catalogue })
}

// policy lets a page run its own code and connect to its own site and, where a
// visitor asks for a model from there, to the hub, and nothing else. sw.js adds
// the origins of models that the visitor allowed.
var policy = policyOf(hubHosts)

// hubHosts are those of the Hugging Face hub and of its files.
const hubHosts = " https://huggingface.co https://*.huggingface.co https://*.hf.co https://*.xethub.hf.co"

func policyOf(more string) string {
	return "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; " +
		"img-src 'self' blob: data:; connect-src 'self' blob:" + more + "; object-src 'none'; base-uri 'none'; form-action 'none'"
}

// WithoutHub has what this process builds and serves from now on forbid its
// pages to connect to the hub.
func WithoutHub() { policy = policyOf("") }

// worker is the service worker's own file, starter that of the script that
// starts a page, and care that whose text both have before their own.
const (
	worker  = "sw.js"
	starter = "boot.js"
	care    = "bytes.js"
)

// Assemble puts the service worker and the starter of exactly these page files
// before them: their first lines name files with their hashes, and the version
// that they make.
func Assemble(files fs.FS) (fs.FS, error) {
	start, err := assembleStarter(files, names())
	if err != nil {
		return nil, err
	}
	whole := Layers{memory{starter: start}, files}
	built, err := assemble(whole, slices.Concat(names(), glue, []string{engine, packer, credits}))
	if err != nil {
		return nil, err
	}
	return Layers{memory{worker: built, starter: start}, files}, nil
}

// assembled is a script of the page behind what it is told and the text of care.
func assembled(name string, build any) ([]byte, error) {
	head, err := json.Marshal(build)
	if err != nil {
		return nil, err
	}
	fetching, err := embedded.ReadFile("module/" + care)
	if err != nil {
		return nil, err
	}
	text, err := embedded.ReadFile(name)
	if err != nil {
		return nil, err
	}
	text, err = lean(name, slices.Concat(exported.ReplaceAll(fetching, nil), []byte("\n"), text))
	return fmt.Appendf(nil, "const build = %s;\n%s", head, text), err
}

// exported matches what makes a module of a script.
var exported = regexp.MustCompile(`(?m)^export `)

// parts lists the hashes of the scripts and styles that pages are made of, and
// names their version.
func parts(files fs.FS, names []string) (version string, hashes map[string]string, err error) {
	hashes = map[string]string{}
	all := sha256.New()
	for _, name := range slices.Sorted(slices.Values(names)) {
		other := func(part string) bool { return isNamed(name, part) }
		if !slices.Contains([]string{".js", ".css"}, path.Ext(name)) || slices.ContainsFunc(append(glue, worker, starter), other) {
			continue
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return "", nil, fmt.Errorf("site: %w", err)
		}
		hashes[name] = fmt.Sprintf("%x", sha256.Sum256(data))
		fmt.Fprintln(all, name, hashes[name])
	}
	return hex.EncodeToString(all.Sum(nil)[:8]), hashes, nil
}

// assembleStarter returns the script that starts pages made of the named files.
func assembleStarter(files fs.FS, names []string) ([]byte, error) {
	version, hashes, err := parts(files, names)
	if err != nil {
		return nil, err
	}
	text, err := assembled(starter, map[string]any{"page": version, "files": hashes})
	return fmt.Appendf(nil, "(() => {\n%s})();\n", text), err // a page's other scripts have names of their own
}

// assemble returns the service worker of the named files.
func assemble(files fs.FS, names []string) ([]byte, error) {
	header := http.Header{}
	isolate(header, "") // sw.js knows what embed.html has otherwise
	return assembleWorker(files, names, header)
}

// assembleWorker has the worker answer with a header: what it sends is of its
// version, too.
func assembleWorker(files fs.FS, names []string, header http.Header) ([]byte, error) {
	list := struct {
		Version string            `json:"version"`
		Page    string            `json:"page"` // the version of what pages are made of
		Headers map[string]string `json:"headers"`
		Files   map[string]string `json:"files"`
		Later   map[string]string `json:"later"` // what is kept once somebody asks for it
	}{Headers: map[string]string{}, Files: map[string]string{}, Later: map[string]string{}}
	for name := range header {
		list.Headers[name] = header.Get(name)
	}
	var err error
	if list.Page, _, err = parts(files, names); err != nil {
		return nil, err
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
		if isNamed(name, packer) {
			to = list.Later
		}
		to[name] = hex.EncodeToString(sum[:])
		fmt.Fprintf(all, "%s %x\n", name, sum)
	}
	text, err := assembled(worker, list.Headers) // in the order of their names
	if err != nil {
		return nil, err
	}
	all.Write(text)
	list.Version = hex.EncodeToString(all.Sum(nil)[:8])
	return assembled(worker, list)
}

// isNamed tells whether a file is the one of that name, which build may have put
// a hash into.
func isNamed(file, name string) bool {
	ext := path.Ext(name)
	return file == name || hashed.MatchString(file) && path.Ext(file) == ext && file[:len(file)-len("-0123456789abcdef"+ext)] == strings.TrimSuffix(name, ext)
}
