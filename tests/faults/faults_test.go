//go:build browser

// Package faults is the loader's fault suite: real browsers load models from a
// server that fails in every way a server can, into databases that are full,
// deleted or cut short by the death of the browser. After each fault the next
// visit must end with the right bits and download nothing that was stored.
package faults

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wisp/loader"
	"wisp/tests/browser"
)

//go:embed page.html page.js worker.js
var assets embed.FS

// visitor is the compiled command.
var visitor []byte

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wisp-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "visitor.wasm")
	build := exec.Command("go", "build", "-o", out, "./visitor")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	build.Stderr = os.Stderr
	if err := build.Run(); err == nil {
		visitor, err = os.ReadFile(out)
		if err == nil {
			return m.Run()
		}
	}
	fmt.Fprintln(os.Stderr, "building the visitor failed")
	return 1
}

// job and result mirror the visitor's.
type job struct {
	Model    string
	Mirrors  []string `json:",omitempty"`
	Database string
	Memory   bool
	QuotaAt  int
	DropAt   int
	RaiseAt  int
	Laid     string
	Prefetch bool
	Stopped  string
	Attempts int
	Stall    int // ms
}

type result struct {
	Error, Kind, Hash string
	Held, Warnings    []string
	Took              int // ms
}

// model is a served model and the hash that a visit must report.
type model struct {
	files map[string][]byte
	hash  string
	man   loader.Manifest
}

// newModel makes a model of two components whose bytes depend on seed alone.
func newModel(seed uint64, chunks, size int) *model {
	rng := rand.New(rand.NewPCG(seed, 99))
	m := &model{files: map[string][]byte{}, man: loader.Manifest{Format: "wisp", Version: loader.Version,
		Name: fmt.Sprint("model ", seed), Components: map[string]loader.Component{"text_encoder": {Class: "A"}, "unet": {Class: "B"}}}}
	h := sha256.New()
	for i := range chunks {
		c := "text_encoder"
		if i >= chunks/4 {
			c = "unet"
		}
		raw := make([]byte, size)
		for j := 0; j < size; j += 8 {
			binary.LittleEndian.PutUint64(raw[j:], rng.Uint64())
		}
		sum := sha256.Sum256(raw)
		chunk := loader.Chunk{SHA256: hex.EncodeToString(sum[:]), Stored: int64(size), Raw: int64(size), Encoding: "raw"}
		t := loader.TensorInfo{Component: c, Name: fmt.Sprint("w", i), DType: "i32", Shape: []int{size / 4},
			Place: loader.Place{Chunk: i, Length: int64(size)}}
		m.man.Chunks, m.man.Tensors = append(m.man.Chunks, chunk), append(m.man.Tensors, t)
		m.files[chunk.File()] = raw
		fmt.Fprintln(h, c, t.Name, t.DType, t.Shape)
		h.Write(raw)
	}
	text, err := m.man.Encode()
	if err != nil {
		panic(err)
	}
	m.files[loader.ManifestName] = text
	m.hash = hex.EncodeToString(h.Sum(nil))
	return m
}

// lab is a server with models and a browser that visits them.
type lab struct {
	*httptest.Server
	name    string // of the browser
	profile string
	browser *browser.Browser
	jobs    chan any
	reports chan []result

	mu     sync.Mutex
	models map[string]*model
	asked  map[string]int // requests for each path
	// fault may answer a request for a chunk itself; n counts the requests
	// for that file from 1. Manifest may for the manifest.
	fault    func(w http.ResponseWriter, r *http.Request, body []byte, n int) bool
	manifest func(w http.ResponseWriter, r *http.Request, body []byte)
}

func newLab(t *testing.T, name string) *lab {
	t.Helper()
	l := &lab{name: name, profile: t.TempDir(), jobs: make(chan any), reports: make(chan []result, 1), models: map[string]*model{}, asked: map[string]int{}}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(assets))
	mux.HandleFunc("/wasm_exec.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(strings.TrimSpace(string(goroot)), "lib", "wasm", "wasm_exec.js"))
	})
	mux.HandleFunc("/visitor.wasm", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/wasm")
		w.Write(visitor)
	})
	mux.HandleFunc("/job", func(w http.ResponseWriter, r *http.Request) {
		select {
		case j := <-l.jobs:
			json.NewEncoder(w).Encode(j)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /reports", func(w http.ResponseWriter, r *http.Request) {
		var rs []result
		if err := json.NewDecoder(r.Body).Decode(&rs); err != nil {
			rs = []result{{Error: err.Error(), Kind: "other"}}
		}
		l.reports <- rs
	})
	mux.HandleFunc("/models/{model}/{file}", l.serve)
	l.Server = httptest.NewUnstartedServer(mux)
	l.Server.Config.ErrorLog = nil
	l.Start()
	t.Cleanup(func() {
		if l.browser != nil {
			l.browser.Close()
		}
		l.CloseClientConnections()
		l.Close()
	})
	l.launch(t)
	return l
}

func (l *lab) launch(t *testing.T) {
	t.Helper()
	b, err := browser.Launch(context.WithoutCancel(t.Context()), browser.Options{Name: l.name, URL: l.URL + "/page.html", Profile: l.profile})
	if err != nil {
		t.Fatal(err)
	}
	l.browser = b
}

func (l *lab) serve(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	m := l.models[r.PathValue("model")]
	l.asked[r.URL.Path]++
	n, fault, manifest := l.asked[r.URL.Path], l.fault, l.manifest
	l.mu.Unlock()
	if m == nil || m.files[r.PathValue("file")] == nil {
		http.NotFound(w, r)
		return
	}
	body := m.files[r.PathValue("file")]
	w.Header().Set("Cache-Control", "no-store")
	if manifest != nil && r.PathValue("file") == loader.ManifestName {
		manifest(w, r, body)
		return
	}
	if fault != nil && r.PathValue("file") != loader.ManifestName && fault(w, r, body, n) {
		return
	}
	w.Write(body)
}

// add serves a model and returns a job that loads it.
func (l *lab) add(name string, m *model) job {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.models[name] = m
	return job{Model: l.URL + "/models/" + name + "/", Database: "faults", Attempts: 8, Stall: 10_000}
}

func (l *lab) setFault(f func(w http.ResponseWriter, r *http.Request, body []byte, n int) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.asked = f, map[string]int{}
}

// requests is how often each chunk of a model was asked for since setFault.
func (l *lab) requests(name string, m *model) (counts []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range m.man.Chunks {
		counts = append(counts, l.asked["/models/"+name+"/"+c.File()])
	}
	return counts
}

// visit runs a job in the browser.
func (l *lab) visit(t *testing.T, tabs int, j job) []result {
	t.Helper()
	l.send(t, tabs, j)
	select {
	case r := <-l.reports:
		return r
	case <-l.browser.Exited():
		t.Fatalf("%s ended: %v", l.name, l.browser.Err())
	case <-time.After(90 * time.Second):
		t.Fatal("no report within 90 s")
	}
	return nil
}

func (l *lab) send(t *testing.T, tabs int, j job) {
	t.Helper()
	select {
	case l.jobs <- map[string]any{"Tabs": tabs, "Job": j}:
	case <-time.After(60 * time.Second):
		t.Fatalf("%s does not ask for work", l.name)
	}
}

// good checks that every tab got the right bits.
func good(t *testing.T, what string, m *model, results []result) {
	t.Helper()
	for _, r := range results {
		if r.Error != "" || r.Hash != m.hash {
			t.Errorf("%s: %q, hash %.8s, want %.8s; warned of %q", what, r.Error, r.Hash, m.hash, r.Warnings)
		}
	}
}

// revisit loads again without faults: what was held must not be asked for.
func (l *lab) revisit(t *testing.T, what, name string, m *model, j job) {
	t.Helper()
	l.setFault(nil)
	j.QuotaAt, j.DropAt = 0, 0
	r := l.visit(t, 1, j)
	good(t, what+", next visit", m, r)
	held := map[string]bool{}
	for _, k := range r[0].Held {
		held[k] = true
	}
	for i, n := range l.requests(name, m) {
		if key := m.man.Chunks[i].SHA256; n > 0 && held[key] || n > 1 || n == 0 && !held[key] {
			t.Errorf("%s, next visit: chunk %d was asked for %d times, held: %v", what, i, n, held[key])
		}
	}
}

func eachBrowser(t *testing.T, f func(t *testing.T, l *lab)) {
	for _, name := range []string{"chromium", "firefox"} {
		t.Run(name, func(t *testing.T) { f(t, newLab(t, name)) })
	}
}

// cutOff sends part of a body and breaks the connection.
func cutOff(w http.ResponseWriter, body []byte, n int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.Write(body[:n])
	w.(http.Flusher).Flush()
	hangUp(w)
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // a reset, not an orderly end
	}
	conn.Close()
}

// TestConnection: the connection breaks at every chunk, before it and in the
// middle of it; then 200 chunks meet random faults.
func TestConnection(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		m := newModel(1, 12, 64<<10)
		j := l.add("cut", m)
		l.setFault(func(w http.ResponseWriter, _ *http.Request, body []byte, n int) bool {
			switch n {
			case 1:
				hangUp(w)
			case 2:
				cutOff(w, body, len(body)/2)
			}
			return n <= 2
		})
		good(t, "cut twice", m, l.visit(t, 1, j))
		l.revisit(t, "cut twice", "cut", m, j)

		m = newModel(2, 200, 8<<10)
		j = l.add("random", m)
		j.Stall = 400
		var mu sync.Mutex
		rng := rand.New(rand.NewPCG(5, 5))
		l.setFault(func(w http.ResponseWriter, r *http.Request, body []byte, n int) bool {
			mu.Lock()
			dice, at := rng.IntN(20), rng.IntN(len(body))
			mu.Unlock()
			if n > 5 {
				return false
			}
			switch dice {
			case 0:
				http.Error(w, "no", http.StatusInternalServerError)
			case 1:
				w.Header().Set("Retry-After", "1")
				http.Error(w, "slow down", http.StatusTooManyRequests)
			case 2: // stall before, and in the middle
				<-r.Context().Done()
			case 3:
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				w.Write(body[:at])
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			case 4:
				cutOff(w, body, at)
			case 5: // an answer that says it is whole
				w.Write(body[:at])
			case 6:
				bad := bytes.Clone(body)
				bad[at] ^= 32
				w.Write(bad)
			case 7:
				w.Header().Set("Content-Type", "text/html")
				io.WriteString(w, "<!doctype html><title>Sign in to the hotel's network</title>")
			default:
				return false
			}
			return true
		})
		good(t, "random", m, l.visit(t, 1, j))
		l.revisit(t, "random", "random", m, j)
	})
}

// TestForEver: a fault that stays is a typed error that names the chunk; what
// came before it is kept, and a mirror gets round it.
func TestForEver(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		m := newModel(3, 8, 16<<10)
		j := l.add("ever", m)
		j.Attempts = 3
		victim := m.man.Chunks[5].File()
		for _, c := range []struct {
			name, kind string
			answer     func(w http.ResponseWriter, body []byte)
		}{
			{"gone", "network", func(w http.ResponseWriter, _ []byte) { http.Error(w, "gone", http.StatusNotFound) }},
			{"flipped", "corrupt", func(w http.ResponseWriter, b []byte) { b = bytes.Clone(b); b[77] ^= 1; w.Write(b) }},
			{"short", "corrupt", func(w http.ResponseWriter, b []byte) { w.Write(b[:100]) }},
		} {
			l.setFault(func(w http.ResponseWriter, r *http.Request, body []byte, _ int) bool {
				if r.PathValue("file") == victim && r.PathValue("model") == "ever" {
					c.answer(w, body)
					return true
				}
				return false
			})
			r := l.visit(t, 1, j)[0]
			if r.Kind != c.kind || !strings.Contains(r.Error, victim) {
				t.Errorf("%s: %s: %s", c.name, r.Kind, r.Error)
			}
		}
		with := j
		with.Mirrors = []string{l.add("mirror", m).Model}
		good(t, "with a mirror", m, l.visit(t, 1, with))
		l.revisit(t, "with a mirror", "ever", m, j)
	})
}

// TestKill: the browser dies at random moments of a download.
func TestKill(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		rng := rand.New(rand.NewPCG(6, 6))
		kept := 0
		for i := range 20 {
			name := fmt.Sprint("kill", i)
			m := newModel(uint64(100+i), 30, 256<<10)
			j := l.add(name, m)
			started := make(chan struct{}, 100)
			l.setFault(func(http.ResponseWriter, *http.Request, []byte, int) bool {
				started <- struct{}{}
				time.Sleep(20 * time.Millisecond)
				return false
			})
			l.send(t, 1, j)
			select {
			case <-started:
			case <-time.After(60 * time.Second):
				t.Fatal("the visit does not start")
			}
			time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond)
			l.browser.Close()
			select { // it may have finished
			case <-l.reports:
			default:
			}
			l.launch(t)
			l.revisit(t, name, name, m, j)
			for _, n := range l.requests(name, m) {
				if n == 0 {
					kept++
				}
			}
		}
		if kept == 0 || kept == 20*30 {
			t.Errorf("%d chunks survived of %d: the kills came too soon or too late", kept, 20*30)
		}
		t.Logf("%d of %d chunks had been stored when the browser died", kept, 20*30)
	})
}

// TestQuota: the store is full from each chunk on. The visit goes on in
// memory and says so.
func TestQuota(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		const chunks = 6
		for at := 1; at <= chunks; at++ {
			name := fmt.Sprint("quota", at)
			m := newModel(uint64(200+at), chunks, 16<<10)
			j := l.add(name, m)
			j.QuotaAt = at
			j.Prefetch = at%2 == 0
			l.setFault(nil)
			r := l.visit(t, 1, j)
			good(t, name, m, r)
			if !strings.Contains(strings.Join(r[0].Warnings, "\n"), "the disk is full") {
				t.Errorf("%s: warned of %q", name, r[0].Warnings)
			}
			l.revisit(t, name, name, m, j)
		}
		m := newModel(300, chunks, 16<<10)
		j := l.add("memory", m)
		j.Memory = true
		good(t, "no store", m, l.visit(t, 1, j))
	})
}

// TestDatabase: another tab deletes the database in the middle of a download.
func TestDatabase(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		for _, at := range []int{1, 3, 8} {
			name := fmt.Sprint("drop", at)
			m := newModel(uint64(400+at), 8, 16<<10)
			j := l.add(name, m)
			j.DropAt = at
			l.setFault(nil)
			good(t, name, m, l.visit(t, 1, j))
			l.revisit(t, name, name, m, j)
		}
	})
}

// TestVersion: another tab raises the database's version in the middle of a
// download. This visit and the next go on, the next in memory and saying so.
func TestVersion(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		m := newModel(450, 8, 16<<10)
		j := l.add("raised", m)
		j.Database, j.RaiseAt = "raised", 3
		l.setFault(nil)
		good(t, "raised", m, l.visit(t, 1, j))
		j.RaiseAt = 0
		r := l.visit(t, 1, j)
		good(t, "raised, next visit", m, r)
		if len(r[0].Warnings) == 0 {
			t.Error("the next visit does not say that nothing is kept")
		}
	})
}

// TestLaid: with tensors laid out in private files, or in the database's Blobs,
// the browser dies at random moments of a download, and two tabs load at once.
// What was laid out whole is not downloaded, and no tensor is ever wrong.
func TestLaid(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		rng := rand.New(rand.NewPCG(7, 7))
		for i := range 8 {
			kind := []string{"files", "blobs"}[i%2]
			name := fmt.Sprint(kind, i)
			m := newModel(uint64(700+i), 30, 256<<10)
			j := l.add(name, m)
			j.Laid, j.Database = kind, name
			started := make(chan struct{}, 100)
			l.setFault(func(http.ResponseWriter, *http.Request, []byte, int) bool {
				started <- struct{}{}
				time.Sleep(10 * time.Millisecond)
				return false
			})
			l.send(t, 1, j)
			select {
			case <-started:
			case <-time.After(60 * time.Second):
				t.Fatal("the visit does not start")
			}
			time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
			l.browser.Close()
			select { // it may have finished
			case <-l.reports:
			default:
			}
			l.launch(t)
			l.setFault(nil)
			good(t, name+", two tabs", m, l.visit(t, 2, j))
			l.setFault(nil)
			good(t, name+", next visit", m, l.visit(t, 1, j))
			for i, n := range l.requests(name, m) {
				if n > 0 {
					t.Errorf("%s, next visit: chunk %d was asked for", name, i)
				}
			}
		}
	})
}

// TestManifest: whatever answers in the manifest's place on a second visit, the
// model that is kept is used, and at once; a first visit says what is wrong.
func TestManifest(t *testing.T) {
	answer := func(text string) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, text)
		}
	}
	eachBrowser(t, func(t *testing.T, l *lab) {
		for _, c := range []struct {
			name, kind string
			answer     func(http.ResponseWriter, *http.Request, []byte)
		}{
			{"page", "network", answer("<!doctype html><title>Sign in to the hotel's network</title>")},
			{"empty", "network", answer("")},
			{"500", "network", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
				http.Error(w, "no", http.StatusInternalServerError)
			}},
			{"404", "network", func(w http.ResponseWriter, r *http.Request, _ []byte) { http.NotFound(w, r) }},
			{"hang-up", "network", func(w http.ResponseWriter, _ *http.Request, _ []byte) { hangUp(w) }},
			{"cut-off", "network", func(w http.ResponseWriter, _ *http.Request, b []byte) { cutOff(w, b, len(b)/2) }},
			{"half", "corrupt", func(w http.ResponseWriter, _ *http.Request, b []byte) { w.Write(b[:len(b)/2]) }},
			{"flipped", "corrupt", func(w http.ResponseWriter, _ *http.Request, b []byte) {
				b = bytes.Clone(b)
				b[len(b)/2] ^= 1
				w.Write(b)
			}},
			{"later", "bad-model", answer(`{"format":"wisp","version":99}`)},
			{"silent", "network", func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() }},
		} {
			m := newModel(uint64(900+len(c.name)), 6, 16<<10)
			j := l.add("manifest-"+c.name, m)
			j.Database, j.Stall, j.Attempts = "manifest-"+c.name, 500, 3
			set := func(f func(http.ResponseWriter, *http.Request, []byte)) {
				l.setFault(nil)
				l.mu.Lock()
				l.manifest = f
				l.mu.Unlock()
			}
			set(c.answer)
			if r := l.visit(t, 1, j)[0]; r.Kind != c.kind {
				t.Errorf("%s, first visit: %s: %s", c.name, r.Kind, r.Error)
			}
			set(nil)
			good(t, c.name+", when all is well", m, l.visit(t, 1, j))
			set(c.answer)
			for range 2 {
				r := l.visit(t, 1, j)
				good(t, c.name+", next visit", m, r)
				if r[0].Took > 3000 {
					t.Errorf("%s, next visit: it took %d ms", c.name, r[0].Took)
				}
			}
			set(nil)
		}
	})
}

// TestAnswerNotEnded: chunks are taken whose bytes are all there, though the
// connection stays open.
func TestAnswerNotEnded(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		m := newModel(950, 8, 64<<10)
		j := l.add("open", m)
		l.setFault(func(w http.ResponseWriter, r *http.Request, body []byte, _ int) bool {
			w.Write(body)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		})
		r := l.visit(t, 1, j)
		good(t, "not ended", m, r)
		if r[0].Took > 5000 {
			t.Errorf("it took %d ms", r[0].Took)
		}
		l.revisit(t, "not ended", "open", m, j)
	})
}

// TestStoppedTab: another tab is stopped by the system in the middle of a
// transaction, or with the locks of all chunks. A visit goes on another way
// within seconds, kept whole or not, and says so.
func TestStoppedTab(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		for i, c := range []struct {
			stopped, laid string
			kept          bool
		}{{"transaction", "files", true}, {"transaction", "", true}, {"transaction", "", false}, {"locks", "", false}, {"locks", "", true}} {
			name := fmt.Sprint("stopped", i)
			m := newModel(uint64(800+i), 12, 64<<10)
			j := l.add(name, m)
			j.Laid, j.Database = c.laid, name
			l.setFault(nil)
			if c.kept {
				good(t, name, m, l.visit(t, 1, j))
			}
			j.Stopped = c.stopped
			r := l.visit(t, 1, j)
			good(t, fmt.Sprintf("%+v", c), m, r)
			t.Logf("%+v: %d ms, warned of %q", c, r[0].Took, r[0].Warnings)
			if r[0].Took > 3000 {
				t.Errorf("%+v: it took %d ms", c, r[0].Took)
			}
			if needed := c.laid == "" && (!c.kept || c.stopped == "transaction"); needed && !strings.Contains(strings.Join(r[0].Warnings, "\n"), "answer") {
				t.Errorf("%+v: warned of %q", c, r[0].Warnings)
			}
		}
	})
}

// TestTabs: two and five tabs load a model at once, each chunk is downloaded
// once between them, also where some faults are in the way.
func TestTabs(t *testing.T) {
	eachBrowser(t, func(t *testing.T, l *lab) {
		for _, tabs := range []int{2, 5} {
			for _, faults := range []bool{false, true} {
				name := fmt.Sprint("tabs", tabs, faults)
				m := newModel(uint64(500+tabs), 12, 64<<10)
				if faults {
					m = newModel(uint64(600+tabs), 12, 64<<10)
				}
				j := l.add(name, m)
				j.Prefetch = true
				l.setFault(func(w http.ResponseWriter, _ *http.Request, body []byte, n int) bool {
					time.Sleep(20 * time.Millisecond)
					if faults && n == 1 {
						cutOff(w, body, len(body)/3)
						return true
					}
					return false
				})
				good(t, name, m, l.visit(t, tabs, j))
				for i, n := range l.requests(name, m) {
					if want := map[bool]int{false: 1, true: 2}[faults]; n != want {
						t.Errorf("%s: chunk %d was asked for %d times, want %d", name, i, n, want)
					}
				}
				l.revisit(t, name, name, m, j)
			}
		}
	})
}
