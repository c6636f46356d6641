//go:build browser

package browser_test

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"image"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"wisp/engine/diffusion"
	"wisp/engine/simd"
	"wisp/loader"
	"wisp/loader/pack"
	"wisp/site"
	"wisp/tests/browser"
	"wisp/tests/golden/pipeline"
)

// What a picture must reach against diffusers from f32 weights, against
// diffusers from the default model's packed ones, and against the native
// engine on the very same model, in decibels.
const (
	minExact  = 45
	minPacked = 35
	minNative = 45
)

//go:embed selftest
var selftestFiles embed.FS

// job is a model and what to draw with it.
type job struct {
	Model    string           `json:"model"` // address on the server
	Requests []map[string]any `json:"requests"`

	goldens string // directory of golden.json
	bound   float64
	cases   []pipeline.Case
}

// address is the URL query of a picture.
type address struct{ visit, job, request, image int }

// selfTest is what a page in some browser draws and reports.
type selfTest struct {
	jobs []*job

	mu       sync.Mutex
	pictures map[address]*image.NRGBA
	second   []string // what the second visit asked for
	isolated string
	end      chan error
}

// newSelfTest prepares the committed tiny pipelines, packed without loss, and
// the default model with its goldens. WISP_EXPORT may name the directory that
// the default model was packed from, which is too large to commit: it is then
// held to its goldens without loss too.
func newSelfTest(t *testing.T) (*selfTest, http.Handler) {
	t.Helper()
	s := &selfTest{}
	files := site.Layers{fs.FS(selftestFiles)}
	dirs, err := filepath.Glob(filepath.Join("..", "golden", "pipeline", "tiny_*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no pipelines: %v", err)
	}
	exact := func(name, dir, goldens string) {
		out := t.TempDir()
		if err := pack.Run(t.Context(), pack.Options{In: dir, Out: out, Quant: "f32"}); err != nil {
			t.Fatal(err)
		}
		files = append(files, site.Under("models/"+name, os.DirFS(out)))
		s.add(t, &job{Model: "/test/models/" + name + "/", goldens: goldens, bound: minExact})
	}
	for _, dir := range dirs {
		exact(filepath.Base(dir), filepath.Join(dir, "model"), dir)
	}
	goldens := filepath.Join("..", "golden", "pipeline", "default")
	if export := os.Getenv("WISP_EXPORT"); export != "" {
		exact("export", export, goldens)
	}
	s.add(t, &job{Model: "/models/default/", goldens: goldens, bound: minPacked})
	mux := http.NewServeMux()
	mux.Handle("GET /test/", http.StripPrefix("/test", site.Handler(files)))
	mux.HandleFunc("GET /test/selftest/jobs", func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(s.jobs) })
	mux.HandleFunc("POST /test/selftest/picture", s.picture)
	return s, mux
}

func (s *selfTest) add(t *testing.T, j *job) {
	t.Helper()
	var err error
	if j.cases, err = pipeline.Read(j.goldens); err != nil {
		t.Fatal(err)
	}
	for _, c := range j.cases {
		j.Requests = append(j.Requests, map[string]any{
			"prompt": c.Prompt, "negativePrompt": c.Negative, "seed": c.Seed, "steps": c.Steps, "guidance": c.Guidance,
			"schedule": c.Schedule, "width": c.Width, "height": c.Height, "count": len(c.Files),
		})
	}
	s.jobs = append(s.jobs, j)
}

// picture keeps posted pixels.
func (s *selfTest) picture(w http.ResponseWriter, r *http.Request) {
	number := func(name string) int {
		n, err := strconv.Atoi(r.FormValue(name))
		if err != nil {
			n = -1
		}
		return n
	}
	img := &image.NRGBA{Rect: image.Rect(0, 0, number("width"), number("height")), Stride: 4 * number("width")}
	var err error
	if img.Pix, err = io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20)); err != nil || len(img.Pix) != img.Stride*img.Rect.Dy() {
		http.Error(w, fmt.Sprintf("%d bytes of a picture of %v: %v", len(img.Pix), img.Rect, err), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pictures[address{number("visit"), number("job"), number("request"), number("image")}] = img
}

// run has one browser draw everything on two visits of the page, which a
// wrapper may change.
func (s *selfTest) run(t *testing.T, name string, page func(http.Handler) http.Handler, handler http.Handler) map[address]*image.NRGBA {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s.pictures, s.second, s.isolated, s.end = map[address]*image.NRGBA{}, nil, "", make(chan error, 2)
	server := serve(t)
	if page != nil {
		server.Config.Handler = page(server.Config.Handler)
	}
	mux := http.NewServeMux()
	mux.Handle("/test/", handler)
	mux.HandleFunc("POST /test/selftest/failed", func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		s.end <- fmt.Errorf("the page reports on %s", text)
	})
	mux.HandleFunc("POST /test/selftest/done", func(w http.ResponseWriter, r *http.Request) {
		_, requests := server.count()
		if r.FormValue("visit") == "2" {
			s.second, s.isolated = requests, r.FormValue("isolated")
			s.end <- nil
		}
	})
	server.extra = mux
	var log bytes.Buffer
	b, err := browser.Launch(ctx, browser.Options{Name: name, URL: server.URL + "/test/selftest/", Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	select {
	case err := <-s.end:
		if err != nil {
			t.Fatal(err)
		}
		return s.pictures
	case <-ctx.Done():
		err = ctx.Err()
	case <-b.Exited():
		err = fmt.Errorf("the browser ended: %v", b.Err())
	}
	b.Close()
	t.Fatalf("%v\nit printed:\n%s", err, log.String())
	return nil
}

// unrelaxed makes the engine's worker believe that the browser has no relaxed
// SIMD: no flag of Chromium turns it off. Its instructions begin with 0xfd and
// a number from 0x100 on.
func unrelaxed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/worker.js" {
			next.ServeHTTP(w, r)
			return
		}
		r.Header.Del("Accept-Encoding") // so that it comes as text
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.Header().Del("ETag")
		w.WriteHeader(answer.Code)
		io.WriteString(w, `{
	const validate = WebAssembly.validate;
	WebAssembly.validate = (bytes) => !/\xfd[\x80-\x93]\x02/.test(String.fromCharCode(...bytes)) && validate(bytes);
}
`)
		w.Write(answer.Body.Bytes())
	})
}

// unisolated removes the headers that isolate a page, as most static hosts do
// not send them.
func unisolated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(withoutIsolation{w}, r)
	})
}

type withoutIsolation struct{ http.ResponseWriter }

func (w withoutIsolation) WriteHeader(status int) {
	w.Header().Del("Cross-Origin-Opener-Policy")
	w.Header().Del("Cross-Origin-Embedder-Policy")
	w.ResponseWriter.WriteHeader(status)
}

// TestPictures: both browsers, through the public module, draw what diffusers
// draws, and what the native engine draws with the default model; with and
// without isolation the same to the last bit, and without relaxed SIMD the same
// to the last bit as the native engine, which has none; on a second visit a
// first picture of each model again, without a single chunk asked for.
func TestPictures(t *testing.T) {
	t.Parallel()
	s, handler := newSelfTest(t)
	native := drawNative(t, s.jobs[len(s.jobs)-1].cases)
	var isolated map[address]*image.NRGBA
	for _, c := range []struct {
		name, browser string
		page          func(http.Handler) http.Handler
	}{{"chromium", "chromium", nil}, {"chromium_open", "chromium", unisolated}, {"chromium_baseline", "chromium", unrelaxed}, {"firefox", "firefox", nil}} {
		t.Run(c.name, func(t *testing.T) {
			got := s.run(t, c.browser, c.page, handler)
			if want := strconv.FormatBool(c.name != "chromium_open"); s.isolated != want {
				t.Errorf("crossOriginIsolated is %s, want %s", s.isolated, want)
			}
			for _, path := range s.second {
				if strings.HasSuffix(path, ".bin") {
					t.Errorf("the second visit asked for %s", path)
				}
			}
			s.check(t, c.name, got, native)
			switch c.name {
			case "chromium":
				isolated = got
			case "chromium_open":
				for at, img := range got {
					if isolated[at] == nil || !bytes.Equal(img.Pix, isolated[at].Pix) {
						t.Errorf("%+v differs from the isolated page's", at)
					}
				}
			case "chromium_baseline":
				last := len(s.jobs) - 1
				for r, images := range native {
					for i, want := range images {
						if at := (address{1, last, r, i}); got[at] == nil || !bytes.Equal(got[at].Pix, want.Pix) {
							t.Errorf("%+v differs from the native engine's", at)
						}
					}
				}
			}
		})
	}
}

// check compares the pictures of both visits.
func (s *selfTest) check(t *testing.T, label string, got map[address]*image.NRGBA, native [][]*image.NRGBA) {
	t.Helper()
	for visit := 1; visit <= 2; visit++ {
		for j, job := range s.jobs {
			for r, c := range job.cases {
				if visit == 2 && r > 0 {
					break
				}
				for i, file := range c.Files {
					what := strings.TrimPrefix(strings.TrimPrefix(job.Model, "/test"), "/models/") + file
					img := got[address{visit, j, r, i}]
					if img == nil {
						t.Errorf("visit %d: %s was not drawn", visit, what)
						continue
					}
					db, err := pipeline.PSNR(img, filepath.Join(job.goldens, file))
					if visit == 1 {
						t.Logf("parity: %-20s %-14s PSNR %.1f dB against diffusers after %d steps", what, label, db, c.Steps)
					}
					if err != nil || db < job.bound {
						t.Errorf("visit %d: %s: PSNR %.1f dB, want %.0f (%v)", visit, what, db, job.bound, err)
					}
					if j == len(s.jobs)-1 {
						if db := pipeline.Compare(img, native[r][i]); db < minNative {
							t.Errorf("visit %d: %s: PSNR %.1f dB against the native engine, want %d", visit, what, db, minNative)
						}
					}
				}
			}
		}
	}
}

// drawNative draws the cases with the default model, natively.
func drawNative(t *testing.T, cases []pipeline.Case) (pictures [][]*image.NRGBA) {
	t.Helper()
	b, err := simd.New(simd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := loader.Open(t.Context(), loader.Dir(*modelDir), nil, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := diffusion.New(t.Context(), b, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range cases {
		r, err := p.Generate(t.Context(), c.Request(), nil)
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, r.Images)
	}
	return pictures
}
