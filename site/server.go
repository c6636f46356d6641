package site

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// types maps the extensions of what is served; the system's own table, which
// differs between machines, is not asked.
var types = map[string]string{
	".bin":         "application/octet-stream",
	".css":         "text/css; charset=utf-8",
	".html":        "text/html; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".md":          "text/plain; charset=utf-8",
	".png":         "image/png",
	".svg":         "image/svg+xml",
	".ts":          "text/plain; charset=utf-8",
	".txt":         "text/plain; charset=utf-8",
	".wasm":        "application/wasm",
	".webmanifest": "application/manifest+json",
}

// packed lists the extensions that are not worth compressing again.
var packed = map[string]bool{".bin": true, ".png": true}

// encodings lists what a file may be compressed with, and the extension of a
// compressed twin beside it; of two that a client likes as much, the first.
var encodings = []struct{ name, ext string }{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// hashed matches names that carry the hash of their content: such a file
// never changes.
var hashed = regexp.MustCompile(`(^|/)([0-9a-f]{64}\.bin|[^/]+-[0-9a-f]{16}\.(wasm|js|css))$`)

// maxCached is the largest file that is compressed and kept in memory.
const maxCached = 64 << 20

// Handler serves the files: hash-named ones for a year, the rest by ETag and
// compressed. Headers isolate the page from other origins (COOP, COEP), so
// that threads may share memory. Directories are not listed.
func Handler(files fs.FS) http.Handler {
	h := &handler{files: files, cache: map[string]*document{}}
	go h.prepare(engine)
	return h
}

// prepare compresses a large file before the first visitor waits for it.
func (h *handler) prepare(name string) {
	f, info, err := open(h.files, name)
	if err != nil {
		return // a built site has it under another name
	}
	defer f.Close()
	if d, err := h.document(name, f, info); err == nil {
		for _, form := range d.forms {
			form()
		}
	}
}

type handler struct {
	files fs.FS
	mu    sync.Mutex
	cache map[string]*document
}

// document is one version of a file in memory, with its compressed forms by
// encoding.
type document struct {
	modified time.Time
	data     []byte
	etag     string
	forms    map[string]func() []byte
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	isolate(w.Header())
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" || strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	if !fs.ValidPath(name) || strings.Contains("/"+name, "/.") {
		http.NotFound(w, r)
		return
	}
	f, info, err := open(h.files, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	h.serve(w, r, name, f, info)
}

// isolate sets the headers every answer carries. Files may be embedded by
// other sites (the widget); the page itself may not reach into them.
func isolate(header http.Header) {
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Embedder-Policy", "require-corp")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Content-Security-Policy", policy)
	header.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
}

// open opens a regular file.
func open(files fs.FS, name string) (fs.File, fs.FileInfo, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, name string, f fs.File, info fs.FileInfo) {
	header := w.Header()
	ext := path.Ext(name)
	ctype := types[ext]
	if ctype == "" {
		ctype = "application/octet-stream"
	}
	header.Set("Content-Type", ctype)
	header.Set("Cache-Control", "no-cache")
	if hashed.MatchString(name) {
		header.Set("Cache-Control", forever)
	}
	if seeker, ok := f.(io.ReadSeeker); ok && (ext == ".bin" || info.Size() > maxCached) {
		if hashed.MatchString(name) {
			header.Set("ETag", `"`+strings.TrimSuffix(path.Base(name), ext)+`"`)
		}
		http.ServeContent(w, r, "", info.ModTime(), seeker)
		return
	}
	d, err := h.document(name, f, info)
	if err != nil {
		http.Error(w, "the file cannot be read", http.StatusInternalServerError)
		return
	}
	data, etag := d.data, d.etag
	if len(d.forms) > 0 {
		header.Add("Vary", "Accept-Encoding")
		if enc := negotiate(r.Header.Values("Accept-Encoding"), d.forms); enc != "" {
			data, etag = d.forms[enc](), etag+"-"+enc
			header.Set("Content-Encoding", enc)
		}
	}
	header.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// document returns the file's content from memory, read again when it has
// changed.
func (h *handler) document(name string, f fs.File, info fs.FileInfo) (*document, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d := h.cache[name]; d != nil && d.modified.Equal(info.ModTime()) && int64(len(d.data)) == info.Size() {
		return d, nil
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	d := &document{modified: info.ModTime(), data: data, etag: hex.EncodeToString(sum[:8])}
	if !packed[path.Ext(name)] {
		d.forms = h.forms(name, d)
	}
	h.cache[name] = d
	return d, nil
}

// forms returns how to get the compressed forms of a document: from the twins
// that build wrote beside the file, else zstd and gzip by compressing it once.
func (h *handler) forms(name string, d *document) map[string]func() []byte {
	forms := map[string]func() []byte{
		"zstd": sync.OnceValue(func() []byte { return zstandard(d.data) }),
		"gzip": sync.OnceValue(func() []byte { return gzipped(d.data) }),
	}
	for _, e := range encodings {
		if twin, ok := h.twin(name+e.ext, d.modified); ok {
			forms[e.name] = func() []byte { return twin }
		}
	}
	return forms
}

// twin reads a file that is not older than the one it is made from.
func (h *handler) twin(name string, made time.Time) ([]byte, bool) {
	f, info, err := open(h.files, name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	if info.ModTime().Before(made) {
		return nil, false
	}
	data, err := io.ReadAll(f)
	return data, err == nil
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data) // a bytes.Buffer does not fail
	z.Close()
	return b.Bytes()
}

func zstandard(data []byte) []byte {
	// Browsers refuse windows over 8 MiB (RFC 9659); the only errors are of
	// options.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		panic(err)
	}
	defer z.Close()
	return z.EncodeAll(data, nil)
}

// negotiate picks the encoding that the client likes best of those there are
// (RFC 9110, 12.5.3), or "" for none.
func negotiate(accept []string, forms map[string]func() []byte) string {
	weights := map[string]float64{}
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, params, _ := strings.Cut(part, ";")
		q := 1.0
		if key, value, ok := strings.Cut(strings.TrimSpace(params), "="); ok && strings.EqualFold(key, "q") {
			var err error
			if q, err = strconv.ParseFloat(value, 64); err != nil {
				q = 0
			}
		}
		weights[strings.ToLower(strings.TrimSpace(name))] = q
	}
	best, most := "", 0.0
	for _, e := range encodings {
		q, named := weights[e.name]
		if !named {
			q = weights["*"]
		}
		if forms[e.name] != nil && q > most {
			best, most = e.name, q
		}
	}
	return best
}
