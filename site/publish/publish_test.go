package publish

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"wisp/site"
)

const model = "../models/default"

// built is a page as build writes it, with a small text in place of each program.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "wisp-publish-")
	if err != nil {
		return "", err
	}
	programs := fstest.MapFS{}
	for _, name := range []string{"wisp.wasm", "pack.wasm", "wasm_exec.js", "replay.js", "LICENSE", "ATTRIBUTION.md"} {
		programs[name] = &fstest.MapFile{Data: []byte("// " + strings.Repeat(name+" ", 2000))}
	}
	page := site.Layers{site.Files(), programs}
	return dir, site.Build(page, os.DirFS("../models"), site.BuildOptions{Out: dir, Brotli: 4, Log: io.Discard})
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// TestCheck: what serve sends is right; a host that does one thing otherwise is
// told what to change, and of which file.
func TestCheck(t *testing.T) {
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	handler := site.Handler(os.DirFS(dir))
	header := func(name, value string) func(string, http.ResponseWriter) bool {
		return func(_ string, w http.ResponseWriter) bool {
			if value == "" {
				w.Header().Del(name)
			} else {
				w.Header().Set(name, value)
			}
			return false
		}
	}
	body := func(part string, status int, kind, text string) func(string, http.ResponseWriter) bool {
		return func(name string, w http.ResponseWriter) bool {
			if !strings.Contains(name, part) {
				return false
			}
			for _, given := range []string{"Content-Length", "Content-Encoding", "Cache-Control"} {
				w.Header().Del(given)
			}
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			io.WriteString(w, text)
			return true
		}
	}
	for _, c := range []struct {
		name         string
		other        func(path string, w http.ResponseWriter) bool // before the answer; true where it answered
		must, better string
	}{
		{"as serve does", nil, "", ""},
		{"no CORS", header("Access-Control-Allow-Origin", ""), "send Access-Control-Allow-Origin: *", ""},
		{"CORS for one", header("Access-Control-Allow-Origin", "https://own.example"), "", "only pages of https://own.example"},
		{"kept for no time", header("Cache-Control", "no-cache"), "", "send Cache-Control: public, max-age=31536000, immutable"},
		{"kept for ever", header("Cache-Control", "max-age=31536000"), "send Cache-Control: no-cache", ""},
		{"not isolated", header("Cross-Origin-Opener-Policy", ""), "", "send Cross-Origin-Opener-Policy: same-origin"},
		{"no policy", header("Content-Security-Policy", ""), "", "send Content-Security-Policy: default-src 'self'"},
		{"plain text", header("Content-Type", "text/plain"), "send Content-Type: text/javascript", "send Content-Type: application/wasm"},
		{"a chunk is gone", body(".bin", 404, "text/html", "gone"), "more: status 404: copy it", ""},
		{"a chunk is damaged", body(".bin", 200, "application/octet-stream", "damaged"), "is not the file that was built", ""},
		{"a page for all", body(".bin", 200, "text/html", "<!doctype html>"), "is answered with status 200: turn off", ""},
		{"scripts are rewritten", body("/boot-", 200, "text/javascript", "let a"), "turn off what rewrites files", ""},
		{"no model", body("models/default/manifest.json", 404, "text/html", ""), "no model to begin with", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.StripPrefix("/wisp", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handler.ServeHTTP(&before{ResponseWriter: w, change: func() bool { return c.other != nil && c.other(r.URL.Path, w) }}, r)
			})))
			defer s.Close()
			got, err := Check(t.Context(), s.Client(), s.URL+"/wisp/index.html")
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range []struct {
				want string
				got  []string
			}{{c.must, got.Must}, {c.better, got.Better}} {
				if all := strings.Join(x.got, "\n"); x.want == "" && all != "" || !strings.Contains(all, x.want) {
					t.Errorf("found %q, want %q", all, x.want)
				}
			}
			if c.other == nil && (got.Files < 20 || got.Chunks < 1) {
				t.Errorf("%d files, %d chunks", got.Files, got.Chunks)
			}
		})
	}
}

// before changes an answer when its header is written, or takes its place.
type before struct {
	http.ResponseWriter
	change func() bool
	begun  bool
	taken  bool
}

func (w *before) WriteHeader(status int) {
	if w.begun = true; !w.taken {
		if w.taken = w.change(); !w.taken {
			w.ResponseWriter.WriteHeader(status)
		}
	}
}

func (w *before) Write(b []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.taken {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// TestModelAlone: a model at an address of its own is checked as well.
func TestModelAlone(t *testing.T) {
	s := httptest.NewServer(site.Handler(os.DirFS(model)))
	defer s.Close()
	got, err := Check(t.Context(), s.Client(), s.URL)
	if err != nil || got.Chunks < 1 || len(got.Must)+len(got.Better) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestNothingThere: an address of something else is an error that says what was
// looked for.
func TestNothingThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	for _, address := range []string{s.URL, "ftp://host/", path.Base(model), "http://"} {
		if _, err := Check(t.Context(), s.Client(), address); err == nil {
			t.Errorf("%s: no error", address)
		}
	}
}
