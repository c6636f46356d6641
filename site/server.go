package site

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
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

// Handler serves the files: hash-named ones for a year, the rest by ETag and
// compressed. Headers isolate the page from other origins (COOP, COEP), so
// that threads may share memory. Directories are not listed.
func Handler(files fs.FS) http.Handler {
	h := &handler{files: files, documents: documents{files: files, slots: map[string]*slot{}}}
	go h.prepare(engine)
	return h
}

// prepare compresses a large file before the first visitor waits for it.
func (h *handler) prepare(name string) {
	info, err := regular(h.files, name)
	if err != nil {
		return // a built site has it under another name
	}
	if d, err := h.documents.get(name, info); err == nil {
		for _, form := range d.forms {
			form()
		}
	}
}

type handler struct {
	files     fs.FS
	documents documents
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	isolate(w.Header(), name)
	if name == "" || strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	if !fs.ValidPath(name) || strings.Contains("/"+name, "/.") {
		http.NotFound(w, r)
		return
	}
	info, err := regular(h.files, name)
	if err == nil {
		err = h.serve(w, r, name, info)
	}
	switch {
	case err == nil:
	case busy(err):
		unavailable(w)
	default:
		http.NotFound(w, r)
	}
}

// busy tells an error of a machine that is short of something from one of a
// file that is not there.
func busy(err error) bool {
	for _, short := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.EINTR, syscall.EIO} {
		if errors.Is(err, short) {
			return true
		}
	}
	return false
}

// unavailable says that the server has too much to do, and to come again.
func unavailable(w http.ResponseWriter) {
	for _, name := range []string{"Content-Encoding", "ETag", "Vary"} {
		w.Header().Del(name)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", "5")
	http.Error(w, "the server is busy: try again in a few seconds", http.StatusServiceUnavailable)
}

// framed is the one document that other sites may show in a frame.
const framed = "embed.html"

// unframed is added to the policy of all others: in a frame, a click that was
// meant for what lies around it would press a button of ours.
const unframed = "; frame-ancestors 'none'"

// isolate sets the headers that the answer for a path carries. Files may be
// embedded by other sites (the widget); the page itself may not reach into them.
func isolate(header http.Header, name string) {
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Embedder-Policy", "require-corp")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Content-Security-Policy", policy)
	if path.Base(name) != framed {
		header.Set("Content-Security-Policy", policy+unframed)
		header.Set("X-Frame-Options", "DENY")
	}
	header.Set("Permissions-Policy", "camera=(self), microphone=(), geolocation=(), payment=(), usb=()")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
}

// Headers are those that the answer for a path should carry, beside its type and
// how long it is kept.
func Headers(name string) http.Header {
	header := http.Header{}
	isolate(header, name)
	return header
}

// TypeOf is the media type of a file, by its name.
func TypeOf(name string) string {
	if ctype := types[path.Ext(name)]; ctype != "" {
		return ctype
	}
	return "application/octet-stream"
}

// Hashed reports whether a file's name carries the hash of its content, so that
// it may be kept for as long as [Forever] says.
func Hashed(name string) bool { return hashed.MatchString(name) }

// Compressible reports whether build writes compressed twins of a file.
func Compressible(name string) bool { return types[path.Ext(name)] != "" && !packed[path.Ext(name)] }

// regular looks for a regular file, without opening it: that waits where it is
// a pipe.
func regular(files fs.FS, name string) (fs.FileInfo, error) {
	info, err := fs.Stat(files, name)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	return info, err
}

// serve answers with a file. An error is returned before anything is sent.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, name string, info fs.FileInfo) error {
	header := w.Header()
	ext := path.Ext(name)
	ctype := TypeOf(name)
	cache := "no-cache"
	if hashed.MatchString(name) {
		cache = Forever
	}
	if ext == ".bin" || info.Size() > maxCached {
		f, err := h.files.Open(name) // that it can be is known before it is promised
		if err != nil {
			return err
		}
		f.Close()
		header.Set("Content-Type", ctype)
		header.Set("Cache-Control", cache)
		if hashed.MatchString(name) {
			header.Set("ETag", `"`+strings.TrimSuffix(path.Base(name), ext)+`"`)
		}
		http.ServeContent(w, r, "", info.ModTime(), &pieces{files: h.files, name: name, info: info})
		return nil
	}
	d, err := h.documents.get(name, info)
	if err != nil {
		return err
	}
	data, etag := d.data, d.etag
	if len(d.forms) > 0 {
		header.Add("Vary", "Accept-Encoding")
		if enc := negotiate(r.Header.Values("Accept-Encoding"), d.forms); enc != "" {
			data, etag = d.forms[enc](), etag+"-"+enc
			header.Set("Content-Encoding", enc)
		}
	}
	header.Set("Content-Type", ctype)
	header.Set("Cache-Control", cache)
	header.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	return nil
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // of the level
	}
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
