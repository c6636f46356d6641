package publish

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"

	"wisp/site"
)

// worthPacking is the size from which a file that is not compressed costs visitors
// time.
const worthPacking = 4 << 10

// same reports whether a file came as it was built, by its SHA-256.
func (c *checker) same(name string, a answer, hash string) bool {
	switch sum := sha256.Sum256(a.body); {
	case a.err != nil || a.status != http.StatusOK:
		c.must(name, a.says()+": copy it there; hosts may leave out what they think is nothing for the public")
	case hex.EncodeToString(sum[:]) != hash:
		what := "is not the file that was built"
		if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") && path.Ext(name) != ".html" && path.Ext(name) != "" {
			what = "is answered with a page of the host's own"
		}
		c.must(name, what+": copy the whole directory again, and turn off what rewrites files (minifying, injected scripts)")
	default:
		return true
	}
	return false
}

// shared wants what lets pages of other sites read the file.
func (c *checker) shared(name string, a answer) {
	switch allowed := a.header.Get("Access-Control-Allow-Origin"); {
	case a.err != nil || a.status != http.StatusOK:
	case allowed == "":
		c.must(name, "pages of other sites, the widget's among them, may not read it: send Access-Control-Allow-Origin: *")
	case allowed != "*" && allowed != "https://example.org":
		c.better(name, "only pages of "+allowed+" may read it: send Access-Control-Allow-Origin: * for all")
	}
}

// typed wants the media types without which browsers refuse a module or compile
// slower.
func (c *checker) typed(name string, a answer) {
	want := site.TypeOf(name)
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	right, _, _ := mime.ParseMediaType(want)
	switch ext := path.Ext(name); {
	case kind == right || ext == ".js" && kind == "application/javascript" || path.Base(name) != name && ext == "":
	case ext == ".js" || ext == ".css" || ext == ".html":
		c.must(name, "comes as "+kind+", which browsers do not run: send Content-Type: "+want)
	case ext == ".wasm":
		c.better(name, "comes as "+kind+", so that it cannot be compiled while it arrives: send Content-Type: "+want)
	}
}

// kept wants what never changes to be kept, and what may change to be asked for.
func (c *checker) kept(name string, a answer) {
	cache := a.header.Get("Cache-Control")
	long := strings.Contains(cache, "max-age=31536000") || strings.Contains(cache, "immutable")
	switch {
	case site.Hashed(name) && !long:
		c.better(name, "is fetched again although its name changes with its content: send Cache-Control: "+site.Forever)
	case !site.Hashed(name) && long:
		c.must(name, "is kept for a year although it changes with the next build: send Cache-Control: no-cache")
	}
}

// compressed wants large texts and programs compressed, and what comes so to be
// the same file.
func (c *checker) compressed(name, hash string, size int) {
	if size < worthPacking || !site.Compressible(name) {
		return
	}
	a := c.get(name, maxText, map[string]string{"Accept-Encoding": "br, gzip"})
	var r io.Reader
	var err error
	switch a.header.Get("Content-Encoding") {
	case "br":
		r = brotli.NewReader(bytes.NewReader(a.body))
	case "gzip":
		c.better(name, "comes with gzip where brotli is a fifth smaller: hand out the .br files beside it")
		r, err = gzip.NewReader(bytes.NewReader(a.body))
	default:
		c.better(name, "comes uncompressed: hand out the .br, .zst and .gz files beside it, or let the host compress")
		return
	}
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(io.LimitReader(r, maxText))
	}
	if sum := sha256.Sum256(plain); err != nil || hex.EncodeToString(sum[:]) != hash {
		c.must(name, "is another file when it comes compressed: copy the .br, .zst and .gz files of the same build")
	}
}

// isolated wants the headers of the page itself.
func (c *checker) isolated() {
	a := c.get("index.html", maxText, nil)
	for name, values := range site.Headers("index.html") {
		if got := a.header.Get(name); got != "" && (got == values[0] || name != "Cross-Origin-Opener-Policy" && name != "Cross-Origin-Embedder-Policy") {
			continue
		}
		switch name {
		case "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy":
			c.better("index.html", "the service worker adds "+name+" from the second page on; for threads at once send "+name+": "+values[0])
		case "Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options":
			c.better("index.html", "a line of defence is missing: send "+name+": "+values[0])
		}
	}
}
