//go:build browser

// Command loader times a model's way from a server on this machine to a
// backend, beside the way of onnxruntime-web and transformers.js: the whole
// file by fetch, kept in the Cache API, copied into the runtime's memory. Both
// in the same browser, which is started anew for each case; cold with an empty
// profile, warm after a restart. Each row is one line of `make bench`'s form.
//
// The time begins when the worker is told to load, with its code running, and
// ends when the last weight is in the memory of a backend that was there
// before. Warm is the best of three visits: from the tensors in private files,
// from those in the database's Blobs, as where there are no private files, and
// from the compressed chunks alone, as after these were evicted. Memory is what all of the browser's processes hold at the worst
// moment above what they held before (Linux), so the weights themselves are in
// it, once for each copy.
package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/x448/float16"

	"wisp/loader"
	"wisp/tests/bench/row"
	"wisp/tests/browser"
)

//go:embed page.html page.js worker.js
var assets embed.FS

func main() {
	name := flag.String("browser", "chromium", "chromium or firefox")
	model := flag.String("model", "site/models/default", "the default model's directory")
	asJSON := flag.Bool("json", false, "print a JSON object a line")
	flag.Parse()
	if err := run(*name, *model, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(name, model string, asJSON bool) error {
	dir, err := os.MkdirTemp("", "wisp-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	visitor := filepath.Join(dir, "visitor.wasm")
	build := exec.Command("go", "build", "-o", visitor, "./tests/bench/loader/visitor")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	synthetic := filepath.Join(dir, "synthetic")
	if err := synthesise(synthetic, 256<<20); err != nil {
		return err
	}
	l, err := newLab(name, visitor, asJSON)
	if err != nil {
		return err
	}
	defer l.Close()
	for _, c := range []struct{ name, dir string }{{"default", model}, {"256MiB", synthetic}} {
		if err := l.compare(dir, c.name, c.dir); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// synthesise packs f16 weights of a normal distribution, and beside the chunks
// puts them in one plain file, which is what a peer downloads.
func synthesise(dir string, size int) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	whole, err := os.Create(filepath.Join(dir, "model.onnx_data"))
	if err != nil {
		return err
	}
	defer whole.Close()
	const chunk = 4 << 20
	rng := rand.New(rand.NewPCG(1, 2))
	m := loader.Manifest{Format: "wisp", Version: loader.Version, Name: "synthetic", Components: map[string]loader.Component{"unet": {Class: "Synthetic"}}}
	plain, raw := make([]byte, chunk), make([]byte, chunk)
	for i := range size / chunk {
		for j := 0; j < chunk; j += 2 {
			binary.LittleEndian.PutUint16(plain[j:], float16.Fromfloat32(float32(rng.NormFloat64()*0.02)).Bits())
		}
		if _, err := whole.Write(plain); err != nil {
			return err
		}
		loader.Split(raw, plain, 2)
		stored, encoding, err := loader.EncodeChunk(raw)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(stored)
		c := loader.Chunk{SHA256: hex.EncodeToString(sum[:]), Stored: int64(len(stored)), Raw: chunk, Encoding: encoding}
		if err := os.WriteFile(filepath.Join(dir, c.File()), stored, 0o666); err != nil {
			return err
		}
		m.Chunks = append(m.Chunks, c)
		m.Tensors = append(m.Tensors, loader.TensorInfo{Component: "unet", Name: fmt.Sprintf("w%03d", i), DType: "f16",
			Shape: []int{1024, chunk / 2048}, Place: loader.Place{Chunk: i, Length: chunk}, Encoding: "planes"})
	}
	text, err := m.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, loader.ManifestName), text, 0o666)
}

// job is what the worker is to do, report what came of it.
type job struct {
	// Way is "files" for wisp as it is here, "blobs" for wisp where there are no
	// private files, "chunks" for wisp from the chunks alone, or "peer".
	Way   string
	Model string // URL of the directory
}

type report struct {
	Error   string
	Seconds float64
	Decode  float64 // MB/s of raw weights on one core
	memory  int64   // at the worst moment
}

// lab is a server and the browser that visits it.
type lab struct {
	*httptest.Server
	name    string
	json    bool // how rows are printed
	wire    atomic.Int64
	model   string // the directory that is served
	jobs    chan job
	ready   chan struct{}
	reports chan report
}

func newLab(name, visitor string, asJSON bool) (*lab, error) {
	l := &lab{name: name, json: asJSON, jobs: make(chan job), ready: make(chan struct{}), reports: make(chan report)}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(assets))
	for path, file := range map[string]string{"/visitor.wasm": visitor,
		"/wasm_exec.js": filepath.Join(strings.TrimSpace(string(goroot)), "lib", "wasm", "wasm_exec.js")} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	mux.HandleFunc("/job", func(w http.ResponseWriter, r *http.Request) {
		select {
		case j := <-l.jobs:
			json.NewEncoder(w).Encode(j)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) { l.ready <- struct{}{}; l.ready <- struct{}{} })
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var rep report
		if err := json.NewDecoder(r.Body).Decode(&rep); err != nil {
			rep.Error = err.Error()
		}
		l.reports <- rep
	})
	mux.HandleFunc("/model/{file}", func(w http.ResponseWriter, r *http.Request) {
		// The peer's way keeps its file itself: the HTTP cache would be a third copy.
		w.Header().Set("Cache-Control", "no-store")
		http.ServeFile(&counter{w, &l.wire}, r, filepath.Join(l.model, r.PathValue("file")))
	})
	l.Server = httptest.NewServer(mux)
	return l, nil
}

// counter counts what is sent.
type counter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// settle is how long a browser gets to finish what it does at its start.
const settle = 1500 * time.Millisecond

// visits starts the browser on a profile and does the job there, so many times.
func (l *lab) visits(profile, way string, times int) (best report, err error) {
	b, err := browser.Launch(context.Background(), browser.Options{Name: l.name, URL: l.URL + "/page.html", Profile: profile})
	if err != nil {
		return best, err
	}
	defer b.Close()
	best.Seconds = math.Inf(1)
	for range times {
		select {
		case l.jobs <- job{way, l.URL + "/model/"}:
		case <-time.After(time.Minute):
			return best, fmt.Errorf("%s does not ask for work", l.name)
		}
		select {
		case <-l.ready:
		case r := <-l.reports:
			return best, fmt.Errorf("%s: %s", way, r.Error)
		}
		time.Sleep(settle)
		var f family
		before := f.memory()
		<-l.ready
		peak, tick := before, time.NewTicker(10*time.Millisecond)
		defer tick.Stop()
		for late, open := time.After(3*time.Minute), true; open; {
			select {
			case r := <-l.reports:
				if r.Error != "" {
					return best, fmt.Errorf("%s: %s", way, r.Error)
				}
				best.Seconds, best.Decode = min(best.Seconds, r.Seconds), max(best.Decode, r.Decode)
				best.memory = max(best.memory, peak-before)
				open = false
			case <-tick.C:
				peak = max(peak, f.memory())
			case <-late:
				return best, fmt.Errorf("%s: no report", way)
			}
		}
	}
	return best, nil
}

// compare prints the rows of a model.
func (l *lab) compare(dir, name, model string) error {
	if _, err := os.Stat(filepath.Join(model, "model.onnx_data")); err != nil {
		if model, err = join(filepath.Join(dir, name), model); err != nil {
			return err
		}
	}
	l.model = model
	type visit struct {
		report
		wire int64
	}
	cold, warm := map[string]visit{}, map[string]visit{}
	for _, way := range []string{"files", "blobs", "chunks", "peer"} {
		profile, err := os.MkdirTemp(dir, "profile-")
		if err != nil {
			return err
		}
		for _, temperature := range []struct {
			visits map[string]visit
			times  int
		}{{cold, 1}, {warm, 3}} {
			l.wire.Store(0)
			r, err := l.visits(profile, way, temperature.times)
			if err != nil {
				return err
			}
			temperature.visits[way] = visit{r, l.wire.Load()}
		}
		os.RemoveAll(profile)
	}
	print := func(r row.Row) {
		r.Case = "load-" + name + "-" + r.Case
		if l.json {
			fmt.Println(r.JSON())
		} else {
			fmt.Println(r)
		}
	}
	const peer = "whole file, Cache API"
	seconds := func(what string, v map[string]visit, way string) {
		print(row.Least(what, "s", v[way].Seconds, v["peer"].Seconds, peer))
	}
	memory := func(what string, v map[string]visit, way string) {
		print(row.Least(what+"-memory", "MB", mb(v[way].memory), mb(v["peer"].memory), peer))
	}
	seconds("cold", cold, "files")
	memory("cold", cold, "files")
	print(row.Least("wire", "MB", mb(cold["files"].wire), mb(cold["peer"].wire), peer))
	seconds("warm-private-files", warm, "files")
	memory("warm-private-files", warm, "files")
	seconds("warm-database-blobs", warm, "blobs")
	memory("warm-database-blobs", warm, "blobs")
	seconds("warm-chunks-only", warm, "chunks")
	print(row.Most("decode", "MB/s", warm["chunks"].Decode, 100, "bound"))
	return nil
}

// join copies a model's directory and puts all its chunks in one file.
func join(to, from string) (string, error) {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(from, loader.ManifestName))
	if err != nil {
		return "", err
	}
	m, err := loader.ParseManifest(text)
	if err != nil {
		return "", err
	}
	whole, err := os.Create(filepath.Join(to, "model.onnx_data"))
	if err != nil {
		return "", err
	}
	defer whole.Close()
	for _, c := range m.Chunks {
		b, err := os.ReadFile(filepath.Join(from, c.File()))
		if err != nil {
			return "", err
		}
		if _, err := whole.Write(b); err != nil {
			return "", err
		}
	}
	return to, nil
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// family is the processes below this one, looked up now and then: that takes
// some milliseconds of a core, which a load at that moment would miss.
type family struct {
	pids   []int
	looked time.Time
}

// memory is what they hold, in bytes, without the pages of files; 0 where there
// is no /proc.
func (f *family) memory() (sum int64) {
	if time.Since(f.looked) > 200*time.Millisecond {
		f.pids, f.looked = descendants(os.Getpid()), time.Now()
	}
	for _, pid := range f.pids {
		s := status(pid)
		sum += (s["RssAnon"] + s["RssShmem"]) << 10
	}
	return sum
}

// status reads a process's numbers.
func status(pid int) map[string]int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil
	}
	out := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if slices.Contains([]string{"PPid", "RssAnon", "RssShmem"}, key) {
			var n int64
			fmt.Sscan(value, &n)
			out[key] = n
		}
	}
	return out
}

// descendants lists the processes below one.
func descendants(of int) (pids []int) {
	parent := map[int]int{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			parent[pid] = int(status(pid)["PPid"])
		}
	}
	for pid := range parent {
		for p := parent[pid]; p > 1; p = parent[p] {
			if p == of {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}
