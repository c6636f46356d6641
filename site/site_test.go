package site

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// testFiles is a page with an engine and a model.
func testFiles(t *testing.T) (files fs.FS, chunk string) {
	t.Helper()
	sum := sha256.Sum256([]byte("chunk"))
	chunk = "models/default/" + hex.EncodeToString(sum[:]) + ".bin"
	engine := memory{"wisp.wasm": bytes.Repeat([]byte("wasm "), 1000), "pack.wasm": []byte("packer"), "wasm_exec.js": []byte("// Go's"), "replay.js": []byte("// WebGPU's"), "LICENSE": []byte("Apache"), "ATTRIBUTION.md": []byte("the artists"), chunk: []byte("chunk")}
	engine["models/default/manifest.json"] = []byte(`{"format": "wisp"}`)
	engine["models/default/.hidden"] = []byte("secret")
	files, err := Assemble(Layers{Files(), engine})
	if err != nil {
		t.Fatal(err)
	}
	return files, chunk
}

func get(t *testing.T, h http.Handler, method, path string, header map[string]string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost/", nil)
	r.URL.Path = path // as it is, without cleaning
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestHandler(t *testing.T) {
	files, chunk := testFiles(t)
	h := Handler(files)
	const revalidate, forever = "no-cache", "public, max-age=31536000, immutable"
	for _, c := range []struct {
		method, path string
		status       int
		ctype, cache string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", revalidate},
		{"GET", "/embed.html", 200, "text/html; charset=utf-8", revalidate},
		{"GET", "/index.html", 200, "text/html; charset=utf-8", revalidate},
		{"HEAD", "/app.js", 200, "text/javascript; charset=utf-8", revalidate},
		{"GET", "/style.css", 200, "text/css; charset=utf-8", revalidate},
		{"GET", "/wisp.wasm", 200, "application/wasm", revalidate},
		{"GET", "/wisp.webmanifest", 200, "application/manifest+json", revalidate},
		{"GET", "/icon.svg", 200, "image/svg+xml", revalidate},
		{"GET", "/models/default/manifest.json", 200, "application/json", revalidate},
		{"GET", "/" + chunk, 200, "application/octet-stream", forever},
		{"GET", "/models/", 404, "", ""},
		{"GET", "/models", 404, "", ""},
		{"GET", "/models/default/.hidden", 404, "", ""},
		{"GET", "/site.go", 404, "", ""},
		{"GET", "/../go.mod", 404, "", ""},
		{"GET", "/models/../../go.mod", 404, "", ""},
		{"GET", "//etc/passwd", 404, "", ""},
		{"GET", "/none", 404, "", ""},
		{"POST", "/", 405, "", ""},
	} {
		r := get(t, h, c.method, c.path, nil)
		if r.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, r.StatusCode, c.status)
			continue
		}
		for name, want := range map[string]string{
			"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		} {
			if got := r.Header.Get(name); got != want && c.status != 405 {
				t.Errorf("%s %s: %s is %q", c.method, c.path, name, got)
			}
		}
		if framing := r.Header.Get("Content-Security-Policy") + r.Header.Get("X-Frame-Options"); strings.HasSuffix(framing, "; frame-ancestors 'none'DENY") == (c.path == "/embed.html") && c.status != 405 {
			t.Errorf("%s: framing is %q", c.path, framing)
		}
		if c.status != 200 {
			continue
		}
		if got := r.Header.Get("Content-Type"); got != c.ctype {
			t.Errorf("%s: type %q, want %q", c.path, got, c.ctype)
		}
		if got := r.Header.Get("Cache-Control"); got != c.cache {
			t.Errorf("%s: Cache-Control %q, want %q", c.path, got, c.cache)
		}
		if body, _ := io.ReadAll(r.Body); c.method == "HEAD" && len(body) > 0 {
			t.Errorf("HEAD %s has a body of %d bytes", c.path, len(body))
		}
		if etag := r.Header.Get("ETag"); etag == "" {
			t.Errorf("%s has no ETag", c.path)
		} else if again := get(t, h, "GET", c.path, map[string]string{"If-None-Match": etag}); again.StatusCode != 304 {
			t.Errorf("%s again: status %d, want 304", c.path, again.StatusCode)
		}
	}
}

func TestHandlerCompresses(t *testing.T) {
	files, chunk := testFiles(t)
	h := Handler(files)
	want, err := fs.ReadFile(files, "wisp.wasm")
	if err != nil {
		t.Fatal(err)
	}
	etags := map[string]string{}
	for _, c := range []struct{ accept, encoding string }{
		{"", ""}, {"br", ""}, {"gzip, deflate, br", "gzip"}, {"gzip, deflate, br, zstd", "zstd"},
		{"zstd;q=0, gzip;q=0.5", "gzip"}, {"gzip; q=0", ""}, {"gzip;q=0.000", ""},
		{"gzip;q=0.9, zstd;q=0.1", "gzip"}, {"*;q=0.5", "zstd"}, {"*, zstd;q=0", "gzip"}, {"GZIP", "gzip"}, {"gzip;q=much", ""},
	} {
		r := get(t, h, "GET", "/wisp.wasm", map[string]string{"Accept-Encoding": c.accept})
		if got := r.Header.Get("Content-Encoding"); got != c.encoding {
			t.Errorf("for %q: encoding %q, want %q", c.accept, got, c.encoding)
		}
		if got := decoded(t, r); !bytes.Equal(got, want) {
			t.Errorf("for %q: %d bytes that differ from the file's %d", c.accept, len(got), len(want))
		}
		etag := r.Header.Get("ETag")
		if other, ok := etags[etag]; ok && other != c.encoding {
			t.Errorf("%q and %q share the ETag %s", c.encoding, other, etag)
		}
		etags[etag] = c.encoding
	}
	r := get(t, h, "GET", "/"+chunk, map[string]string{"Accept-Encoding": "zstd", "Range": "bytes=1-2"})
	if body, _ := io.ReadAll(r.Body); r.StatusCode != 206 || string(body) != "hu" {
		t.Errorf("a range of a chunk: status %d, %q", r.StatusCode, body)
	}
}

func decoded(t *testing.T, r *http.Response) []byte {
	t.Helper()
	body := io.Reader(r.Body)
	switch r.Header.Get("Content-Encoding") {
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			t.Fatal(err)
		}
		body = z
	case "zstd":
		z, err := zstd.NewReader(body)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		body = z
	}
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// workerFiles reads the list that a service worker starts with, and what of it
// comes later.
func workerFiles(t *testing.T, files fs.FS) (version string, list map[string]string, later []string) {
	t.Helper()
	text, err := fs.ReadFile(files, worker)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var build struct {
		Version string
		Files   map[string]string
		Later   map[string]string
	}
	if err := json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(line, "const build = "), ";")), &build); err != nil {
		t.Fatal(err)
	}
	maps.Copy(build.Files, build.Later)
	return build.Version, build.Files, slices.Collect(maps.Keys(build.Later))
}

// builtSite is what build writes from testFiles, over an older build.
func builtSite(t *testing.T) (out, log string) {
	t.Helper()
	files, _ := testFiles(t)
	out = t.TempDir()
	for _, old := range []string{"wisp-0123456789abcdef.wasm", "wisp-0123456789abcdef.wasm.br", "app-0123456789abcdef.js.gz"} {
		if err := os.WriteFile(filepath.Join(out, old), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	models := memory{"manifest.json": bytes.Repeat([]byte("{}"), 500)}
	if err := Build(files, dirOf(t, models), BuildOptions{Out: out, Brotli: 5, Log: &b}); err != nil {
		t.Fatal(err)
	}
	return out, b.String()
}

func TestBuild(t *testing.T) {
	out, log := builtSite(t)
	dist := os.DirFS(out)
	_, list, later := workerFiles(t, dist)
	if len(later) != 1 || !strings.HasPrefix(later[0], "pack-") {
		t.Errorf("what comes later is %v, want the packer", later)
	}
	for name, sum := range list {
		data, err := fs.ReadFile(dist, name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != sum {
			t.Errorf("%s has the hash %s, the service worker expects %s", name, got, sum)
		}
		// Every name of a script, style or engine in it is one of the new ones.
		if ext := filepath.Ext(name); ext != ".html" && ext != ".js" {
			continue
		}
		for _, m := range mention.FindAllSubmatch(data, -1) {
			if other := string(m[3]); slices.Contains([]string{".js", ".css", ".wasm"}, filepath.Ext(other)) && list[other] == "" && other != worker {
				t.Errorf("%s names %s, which is not there", name, other)
			}
		}
	}
	for _, stem := range append([]string{"app.js", "style.css", "worker.js", engine, packer}, glue...) {
		ext := filepath.Ext(stem)
		found, _ := fs.Glob(dist, strings.TrimSuffix(stem, ext)+"-????????????????"+ext)
		if len(found) != 1 || list[found[0]] == "" {
			t.Errorf("%s became %v", stem, found)
			continue
		}
		sum := sha256.Sum256(must(fs.ReadFile(dist, found[0])))
		if !strings.Contains(found[0], hex.EncodeToString(sum[:8])) {
			t.Errorf("%s is not named by its hash", found[0])
		}
	}
	for _, name := range []string{"models/manifest.json", "models/manifest.json.br", "LICENSE.txt", "ATTRIBUTION.md", "index.html", "wisp.d.ts", "widget.d.ts", "sw.js.br", "style.css", "app.js"} {
		_, err := fs.Stat(dist, name)
		if gone := name == "style.css" || name == "app.js"; gone != (err != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"_headers", "vercel.json", ".htaccess", "nginx.conf", "Caddyfile"} {
		data, err := fs.ReadFile(dist, name)
		if err != nil || !bytes.Contains(data, []byte("Cross-Origin-Embedder-Policy")) || !bytes.Contains(data, []byte("connect-src 'self'")) {
			t.Errorf("%s (%v): %s", name, err, data)
		}
	}
	headers := string(must(fs.ReadFile(dist, "_headers")))
	for _, name := range append(slices.Collect(maps.Keys(list)), "sw.js", "") {
		cache := "no-cache"
		if hashed.MatchString(name) {
			cache = "public, max-age=31536000, immutable"
		}
		if strings.Count(headers, "\n/"+name+"\n  Cache-Control: "+cache+"\n") != 1 {
			t.Errorf("_headers does not say once how /%s is cached", name)
		}
	}
	if rules := strings.Count(headers, "\n/"); rules > 99 {
		t.Errorf("_headers has %d rules: Cloudflare reads 100", rules)
	}
	for name, want := range map[string]string{
		"_headers":    "/\n  Content-Security-Policy: " + policy + unframed + "\n  X-Frame-Options: DENY\n",
		"vercel.json": `"/((?!.*embed\\.html).*)"`,
	} {
		data := string(must(fs.ReadFile(dist, name)))
		if !strings.Contains(data, want) || !strings.Contains(data, "frame-ancestors 'none'") || strings.Contains(data, "/embed\n") {
			t.Errorf("%s lets others frame the page, or none the widget:\n%s", name, data)
		}
	}
	if data := must(fs.ReadFile(dist, "vercel.json")); !json.Valid(data) {
		t.Errorf("vercel.json is not JSON: %s", data)
	}
	for _, name := range []string{"wisp.js", "widget.js"} {
		sum := sha512.Sum384(must(fs.ReadFile(dist, name)))
		if want := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(log, want) {
			t.Errorf("the hash of %s, %s, is not in:\n%s", name, want, log)
		}
	}
}

// A build keeps what the one before it named, for pages that are open, and drops
// what is older; the same build again drops nothing.
func TestBuildKeepsTheOneBefore(t *testing.T) {
	out := t.TempDir()
	build := func(engine string) string {
		files, _ := testFiles(t)
		if err := Build(Layers{memory{"wisp.wasm": []byte(engine)}, files}, dirOf(t, memory{}), BuildOptions{Out: out, Brotli: 0, Log: io.Discard}); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(engine))
		return "wisp-" + hex.EncodeToString(sum[:8]) + ".wasm"
	}
	var names []string
	for _, engine := range []string{"first", "second", "second", "third", "third"} {
		names = append(names, build(engine))
	}
	if _, err := os.Stat(filepath.Join(out, names[0])); err == nil {
		t.Errorf("%s is still there after two other builds", names[0])
	}
	for _, name := range names[1:] {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
}

// What was built is served with the twins that lie there.
func TestHandlerTwins(t *testing.T) {
	out, _ := builtSite(t)
	h := Handler(os.DirFS(out))
	want := must(os.ReadFile(filepath.Join(out, "sw.js")))
	for _, c := range []struct{ accept, encoding, ext string }{
		{"gzip, deflate, br, zstd", "br", ".br"}, {"br;q=0.5, zstd", "zstd", ".zst"}, {"gzip", "gzip", ".gz"}, {"", "", ""},
	} {
		r := get(t, h, "GET", "/sw.js", map[string]string{"Accept-Encoding": c.accept})
		if got := r.Header.Get("Content-Encoding"); got != c.encoding || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("for %q: encoding %q", c.accept, got)
		}
		body := must(io.ReadAll(r.Body))
		if !bytes.Equal(body, must(os.ReadFile(filepath.Join(out, "sw.js"+c.ext)))) {
			t.Errorf("for %q: not the file with %q", c.accept, c.ext)
		}
		if c.encoding == "br" {
			if got := must(io.ReadAll(brotli.NewReader(bytes.NewReader(body)))); !bytes.Equal(got, want) {
				t.Error("the brotli twin is another text")
			}
		}
	}
}

// A file that is put back with an older date, or one whose size and date are
// those of the one before, is served as it is, whatever its twins hold.
func TestHandlerTwinsByContent(t *testing.T) {
	defer func(before time.Duration) { trust = before }(trust)
	trust = 0
	dir := t.TempDir()
	name := filepath.Join(dir, "a.js")
	h := Handler(os.DirFS(dir))
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	check := func(what, want, encoding string) {
		t.Helper()
		r := get(t, h, "GET", "/a.js", map[string]string{"Accept-Encoding": "br"})
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "br" {
			body = brotli.NewReader(body)
		}
		if got := string(must(io.ReadAll(body))); got != want || r.Header.Get("Content-Encoding") != encoding {
			t.Errorf("%s: %.20q as %q", what, got, r.Header.Get("Content-Encoding"))
		}
	}
	put := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	first, second := strings.Repeat("first ", 100), strings.Repeat("other ", 100)
	if err := writeTwins(name, []byte(first), 1); err != nil {
		t.Fatal(err)
	}
	check("built", first, "br")
	put(second)
	check("put back with an older date", second, "")
	put(first)
	check("with the size and date of the one before", first, "br")
	if err := os.WriteFile(name+".br", brotlied([]byte(second), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	check("beside another's twin", first, "")
}

// A twin is never older than its file, which would make it another's, and none
// stays of a content that had one.
func TestTwinsFollow(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.js")
	for range 8 {
		if err := writeTwins(name, make([]byte, 16<<20), 0); err != nil {
			t.Fatal(err)
		}
		made := must(os.Stat(name)).ModTime()
		for _, e := range encodings {
			if twin := must(os.Stat(name + e.ext)).ModTime(); twin.Before(made) {
				t.Fatalf("the %s twin is %v older than its file", e.ext, made.Sub(twin))
			}
		}
	}
	if err := writeTwins(name, []byte("a"), 0); err != nil {
		t.Fatal(err)
	}
	for _, e := range encodings {
		if _, err := os.Stat(name + e.ext); err == nil {
			t.Errorf("the %s twin of the older content is still there", e.ext)
		}
	}
}

// A build that fails leaves the engine of the older one, which its page names.
func TestBuildFails(t *testing.T) {
	out := t.TempDir()
	old := filepath.Join(out, "wisp-0123456789abcdef.wasm")
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(out, "index.html"), 0o755); err != nil {
		t.Fatal(err)
	}
	files, _ := testFiles(t)
	if err := Build(files, memory{}, BuildOptions{Out: out, Brotli: 0, Log: io.Discard}); err == nil {
		t.Error("a page was written over a directory")
	}
	if _, err := os.Stat(old); err != nil {
		t.Error(err)
	}
}

// The npm package has all that its modules name, and types for each.
func TestPackage(t *testing.T) {
	files, _ := testFiles(t)
	out := t.TempDir()
	if err := Package(files, dirOf(t, memory{"manifest.json": []byte("{}")}), out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LICENSE", "ATTRIBUTION.md"} {
		if text := must(os.ReadFile(filepath.Join(out, name))); len(text) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	for _, name := range []string{"wisp.js", "widget.js", "worker.js", "png.js"} {
		for _, m := range mention.FindAllSubmatch(must(os.ReadFile(filepath.Join(out, name))), -1) {
			if other := string(m[3]); slices.Contains([]string{".js", ".wasm"}, filepath.Ext(other)) && len(m[2]) > 0 {
				if _, err := os.Stat(filepath.Join(out, other)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	var p struct {
		Name, Version, License string
		Exports                map[string]json.RawMessage
	}
	if err := json.Unmarshal(must(os.ReadFile(filepath.Join(out, "package.json"))), &p); err != nil || p.Name == "" || p.Version == "" || p.License != "Apache-2.0" {
		t.Errorf("package.json: %+v, %v", p, err)
	}
	for at, text := range p.Exports {
		var e struct{ Types, Default string }
		if json.Unmarshal(text, &e) != nil {
			continue // a directory of files
		}
		for _, name := range []string{e.Types, e.Default} {
			if name == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(out, name)); err != nil {
				t.Errorf("exports %s: %v", at, err)
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// dirOf writes files to a directory: what is copied may have directories.
func dirOf(t *testing.T, files memory) fs.FS {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return os.DirFS(dir)
}

// The page stays light: at the start 60 KB of scripts and styles, as the server
// compresses them; with all that a dropped file, a program or a tool calls for, and
// one language beside English, 80. What other sites embed is 30; the lab, a page of
// its own, adds at most 8.
func TestWeight(t *testing.T) {
	sizes := map[string]int{}
	var reach func(name string, later bool)
	reach = func(name string, later bool) {
		if _, seen := sizes[name]; seen || served()[name] == nil || (name == "embed.html" || name == "lab.html") && len(sizes) > 0 {
			return // another page, which the service worker knows
		}
		sizes[name] = len(gzipped(served()[name]))
		text := string(served()[name])
		for _, m := range mention.FindAllStringSubmatch(text, -1) {
			if later || path.Ext(name) != ".js" || !strings.Contains(text, "import("+m[0]) {
				reach(m[3], later)
			}
		}
	}
	sum := func() (all int) {
		language := 0
		for name, size := range sizes {
			_, err := fs.Stat(embedded, "languages/"+name)
			switch ext := path.Ext(name); {
			case ext != ".js" && ext != ".css":
			case err == nil:
				language = max(language, size)
			default:
				all += size
			}
		}
		return all + language
	}
	reach("index.html", false)
	for _, name := range []string{"worker.js", worker} {
		reach(name, false)
	}
	starts := sum()
	clear(sizes)
	reach("index.html", true)
	all := sum()
	clear(sizes)
	reach("embed.html", true)
	embed := sum()
	t.Logf("scripts and styles: %d bytes compressed, %d at the start, %d embedded", all, starts, embed)
	if lab := len(gzipped(served()["lab.js"])) + len(gzipped(served()["lab.css"])); lab > 8_000 {
		t.Errorf("the lab's own script and style are %d bytes compressed", lab)
	}
	if starts > 60_000 || all > 80<<10 || embed > 30_000 || starts < 20_000 || all < starts+20_000 || embed < 10_000 {
		t.Errorf("scripts and styles are %d bytes compressed, %d at the start, %d embedded", all, starts, embed)
	}
}

// What watches over a page's start knows its scripts and styles, and the version
// that the service worker has of them.
func TestStarter(t *testing.T) {
	out, _ := builtSite(t)
	dist := os.DirFS(out)
	found := must(fs.Glob(dist, "boot-????????????????.js"))
	if len(found) != 1 || !strings.Contains(string(must(fs.ReadFile(dist, "index.html"))), found[0]) {
		t.Fatalf("starters %v", found)
	}
	text := string(must(fs.ReadFile(dist, found[0])))
	line, rest, _ := strings.Cut(strings.TrimPrefix(text, "(() => {\n"), "\n")
	if rest == "" || !strings.HasPrefix(text, "(") {
		t.Error("it leaves its names to the page's other scripts")
	}
	var build struct {
		Page  string
		Files map[string]string
	}
	if err := json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(line, "const build = "), ";")), &build); err != nil {
		t.Fatal(err)
	}
	if len(build.Files) < 15 || strings.Contains(rest, "\nexport ") {
		t.Errorf("it knows %d files, and is a script: %v", len(build.Files), !strings.Contains(rest, "\nexport "))
	}
	for name, sum := range build.Files {
		if got := fmt.Sprintf("%x", sha256.Sum256(must(fs.ReadFile(dist, name)))); got != sum {
			t.Errorf("%s has the hash %s, the starter expects %s", name, got, sum)
		}
	}
	if worker := string(must(fs.ReadFile(dist, worker))); !strings.Contains(worker, fmt.Sprintf(`"page":%q`, build.Page)) {
		t.Errorf("the service worker has pages of another version than %s", build.Page)
	}
}

// A change to any file makes another version; nothing else does.
func TestAssembleVersions(t *testing.T) {
	build := func(script string) string {
		files, err := Assemble(Layers{Files(), memory{"wisp.wasm": []byte("a"), "pack.wasm": nil, "wasm_exec.js": []byte(script), "replay.js": nil, credits: nil}})
		if err != nil {
			t.Fatal(err)
		}
		version, kept, _ := workerFiles(t, files)
		if _, offline := kept[credits]; !offline {
			t.Error("the page's link to the credits is dead without a network")
		}
		return version
	}
	first, again, other := build("1"), build("1"), build("2")
	if first != again || first == other {
		t.Error("versions:", first, again, other)
	}
	if _, err := Assemble(Files()); err == nil {
		t.Error("a page without an engine was assembled")
	}
	var workers []string
	for _, policy := range []string{"a", "a", "b"} {
		text := must(assembleWorker(Files(), []string{"app.js"}, http.Header{"Content-Security-Policy": {policy}}))
		workers = append(workers, regexp.MustCompile(`"version":"\w+"`).FindString(string(text)))
	}
	if workers[0] != workers[1] || workers[0] == workers[2] {
		t.Error("versions by the headers:", workers)
	}
}

func TestUnder(t *testing.T) {
	f := Under("models", memory{"a": []byte("x")})
	for name, ok := range map[string]bool{"models/a": true, "a": false, "models": false, "modelsa": false, "models/b": false} {
		if _, err := f.Open(name); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A site that is built without the hub names none of its hosts, in any file.
func TestWithoutHub(t *testing.T) {
	with := policy
	defer func() { policy = with }()
	if !strings.Contains(with, "connect-src 'self' blob: https://huggingface.co ") {
		t.Errorf("the policy is %q", with)
	}
	for _, allowed := range []bool{true, false} {
		if !allowed {
			WithoutHub()
		}
		out, _ := builtSite(t)
		for _, name := range []string{"_headers", ".htaccess", "vercel.json", "nginx.conf", "Caddyfile", "sw.js"} {
			if text := string(must(os.ReadFile(filepath.Join(out, name)))); strings.Contains(text, "https://*.hf.co") != allowed {
				t.Errorf("%s: the hub is there: %v", name, !allowed)
			}
		}
	}
}
