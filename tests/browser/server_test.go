//go:build browser

package browser_test

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"wisp/site"
)

var (
	modelDir = flag.String("model", "", "model directory to test with (default: WISP_MODEL, else site/models/default)")
	update   = flag.Bool("update", false, "write the screenshots of the README")
)

// pages serves the site with the model, built are the files that it is made of;
// TestMain makes both.
var (
	pages http.Handler
	built fs.FS
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	root, err := site.Root()
	dir := filepath.Join(root, "build", "site")
	if err == nil {
		err = site.Compile(context.Background(), root, dir)
	}
	built = site.Layers{site.Files(), os.DirFS(dir)}
	if *modelDir == "" {
		*modelDir = os.Getenv("WISP_MODEL")
	}
	if *modelDir == "" {
		*modelDir = filepath.Join(root, "site", "models", "default")
	}
	if _, missing := os.Stat(filepath.Join(*modelDir, "manifest.json")); err == nil && missing != nil {
		err = fmt.Errorf("%w: name a packed model with -model or WISP_MODEL", missing)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	assembled, err := site.Assemble(built)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	pages = steered(assembled)
	return m.Run()
}

// steered serves a site as [site.Handler] does, but that pages of its own origin
// may frame it: browsers without a driver are steered from a page around ours.
func steered(files fs.FS) http.Handler {
	script, err := fs.ReadFile(files, "sw.js")
	if err != nil {
		panic(err) // of a site that was assembled
	}
	relaxed := fstest.MapFS{"sw.js": {Data: []byte(relax.Replace(string(script)))}}
	h := site.Handler(site.Layers{site.Under("models/default", os.DirFS(*modelDir)), relaxed, files})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&relaxing{ResponseWriter: w}, r) })
}

var relax = strings.NewReplacer("frame-ancestors 'none'", "frame-ancestors 'self'", "DENY", "SAMEORIGIN")

// relaxing changes the headers of an answer.
type relaxing struct {
	http.ResponseWriter
	begun bool
}

func (w *relaxing) WriteHeader(status int) {
	w.begun = true
	for _, values := range w.Header() {
		for i := range values {
			values[i] = relax.Replace(values[i])
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *relaxing) Write(b []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// server is the site as serve would serve it, but that it keeps count and can
// be told to misbehave.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // paths, in order
	bytes    int64    // of chunks sent
	// tamper, where set, may answer a request itself; it says whether it did.
	tamper func(w http.ResponseWriter, r *http.Request) bool
	extra  http.Handler // answers what lies under /test/
}

func serve(t testing.TB) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.URL.Path)
		tamper, extra := s.tamper, s.extra
		s.mu.Unlock()
		switch {
		case tamper != nil && tamper(w, r):
		case extra != nil && strings.HasPrefix(r.URL.Path, "/test/"):
			extra.ServeHTTP(w, r)
		default:
			pages.ServeHTTP(&counter{w, s, strings.HasSuffix(r.URL.Path, ".bin")}, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// set changes what the server does from now on.
func (s *server) set(tamper func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tamper = tamper
}

// count returns how many bytes of chunks were sent since the last call, and
// the requests.
func (s *server) count() (bytes int64, requests []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes, requests = s.bytes, s.requests
	s.bytes, s.requests = 0, nil
	return bytes, requests
}

// counter counts the bytes of chunks.
type counter struct {
	http.ResponseWriter
	s     *server
	chunk bool
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	if c.chunk {
		c.s.mu.Lock()
		c.s.bytes += int64(n)
		c.s.mu.Unlock()
	}
	return n, err
}

// serveDist serves a built site as serve -dir does.
func serveDist(t *testing.T, dist string) string {
	t.Helper()
	s := httptest.NewServer(site.Handler(os.DirFS(dist)))
	t.Cleanup(s.Close)
	return s.URL + "/"
}
