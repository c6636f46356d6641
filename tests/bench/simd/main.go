// Simd times the SIMD backend beside its peers in one Chromium, in turn:
// onnxruntime-web and tfjs on WebAssembly with as many threads, and PyTorch on
// the same machine where there is one. `make bench-simd` runs it. The peers
// are npm packages of the versions in package.json, in a folder under build/.
//
// Start at run; cases lists what is timed, onnx.go writes it for onnxruntime,
// worker.js times the peers, wisp/ times wisp.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"wisp/engine"
	"wisp/tests/bench/row"
	"wisp/tests/bench/simd/cases"
	"wisp/tests/browser"
)

func main() {
	var o options
	flag.BoolVar(&o.json, "json", false, "print a JSON object a line")
	pattern := flag.String("run", "", "only the cases that match this regular expression")
	flag.StringVar(&o.peers, "peers", "onnxruntime-web,tfjs,pytorch", "only these peers")
	flag.StringVar(&o.dir, "dir", "build/peers/simd", "the folder of the peers' packages and of what is built")
	flag.StringVar(&o.python, "python", "python3", "a Python that may have torch")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if o.cases, err = regexp.Compile(*pattern); err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	json               bool
	cases              *regexp.Regexp
	peers, dir, python string
}

// job is what one worker does: it is started for it and ended after it, so
// that no engine's threads disturb another.
type job struct {
	Engine  string `json:"engine"`
	Index   int    `json:"index"` // of the case
	Case    string `json:"case"`
	Threads int    `json:"threads"`
}

// result is what a job comes to.
type result struct {
	MS    float64 `json:"ms"`
	Bytes float64 `json:"bytes"` // of the module's memory, from wisp
	Rate  float64 `json:"rate"`  // FLOP/s, of the ceiling
	Error string  `json:"error"`
	y     []byte
}

// bench serves the jobs to the browser.
type bench struct {
	options
	list    []cases.Case
	jobs    chan job
	results chan result
}

func run(ctx context.Context, o options) error {
	if err := build(ctx, o.dir); err != nil {
		return err
	}
	b := &bench{options: o, list: cases.All(), jobs: make(chan job), results: make(chan result)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: b.handler()}
	go server.Serve(listener)
	defer server.Close()
	address := "http://" + listener.Addr().String() + "/"
	chromium, err := browser.Launch(ctx, browser.Options{Name: "chromium", URL: address})
	if err != nil {
		return err
	}
	defer chromium.Close()
	return b.report(ctx, address)
}

// build compiles wisp's half and installs the peers.
func build(ctx context.Context, dir string) error {
	root, err := command(ctx, nil, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	js := []string{"GOOS=js", "GOARCH=wasm"}
	if _, err := command(ctx, js, "go", "build", "-o", filepath.Join(dir, "wisp.wasm"), "./tests/bench/simd/wisp"); err != nil {
		return err
	}
	glue, err := os.ReadFile(filepath.Join(strings.TrimSpace(root), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return err
	}
	files := map[string][]byte{"wasm_exec.js": glue}
	for _, name := range []string{"package.json", "package-lock.json"} {
		if files[name], err = os.ReadFile(filepath.Join("tests/bench/simd", name)); err != nil {
			return err
		}
	}
	old, _ := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	// npm writes this file last.
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err == nil && bytes.Equal(old, files["package-lock.json"]) {
		return nil
	}
	if _, err = command(ctx, nil, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir); err != nil {
		return fmt.Errorf("npm could not install the peers of tests/bench/simd/package.json in %s, and without them there is nothing to stand beside: %w", dir, err)
	}
	return nil
}

// command runs a program and returns what it prints.
func command(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w\n%s", name, err, exit.Stderr)
	}
	return string(out), err
}

// handler serves an isolated page, the peers, and the cases in their forms.
func (b *bench) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("tests/bench/simd/page")))
	mux.Handle("GET /build/", http.StripPrefix("/build/", http.FileServer(http.Dir(b.dir))))
	mux.HandleFunc("GET /next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case j := <-b.jobs:
			json.NewEncoder(w).Encode(j)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /result", func(w http.ResponseWriter, r *http.Request) {
		var res result
		err := json.Unmarshal([]byte(r.URL.Query().Get("result")), &res)
		if err == nil {
			res.y, err = io.ReadAll(r.Body)
		}
		if err != nil {
			res.Error = err.Error()
		}
		b.results <- res
	})
	mux.HandleFunc("GET /onnx/{index}", b.withGraph(func(w io.Writer, g *engine.Graph, _ url.Values) error { return writeONNX(w, g) }))
	mux.HandleFunc("GET /graph/{index}", b.withGraph(writeGraph))
	mux.HandleFunc("GET /value/{index}", b.withGraph(writeValue))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
		mux.ServeHTTP(w, r)
	})
}

// withGraph answers with a case in some form.
func (b *bench) withGraph(write func(io.Writer, *engine.Graph, url.Values) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i, c := range b.list {
			if fmt.Sprint(i) != r.PathValue("index") {
				continue
			}
			g, err := c.Build()
			if err == nil {
				err = write(w, g, r.URL.Query())
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
			return
		}
		http.NotFound(w, r)
	}
}

// graphNode is a node as the peers' interpreters read it.
type graphNode struct {
	Op, Name string
	Integers bool
	Inputs   []int
	Shape    engine.Shape
	Attrs    any
}

func writeGraph(w io.Writer, g *engine.Graph, _ url.Values) error {
	index := map[*engine.Node]int{}
	var nodes []graphNode
	for i, n := range g.Nodes {
		index[n] = i
		node := graphNode{Op: n.Op.String(), Name: n.Name, Integers: n.DType == engine.I32, Shape: n.Shape, Attrs: n.Attrs}
		for _, in := range n.Inputs {
			node.Inputs = append(node.Inputs, index[in])
		}
		nodes = append(nodes, node)
	}
	return json.NewEncoder(w).Encode(map[string]any{"nodes": nodes, "output": index[g.Outputs[0].Node]})
}

// writeValue writes the input or weight of a name, as (n, c, h, w) on demand.
func writeValue(w io.Writer, g *engine.Graph, q url.Values) error {
	i := slices.IndexFunc(g.Nodes, func(n *engine.Node) bool { return n.Op.IsSource() && n.Name == q.Get("name") })
	if i < 0 {
		return fmt.Errorf("no value %q", q.Get("name"))
	}
	t := cases.Values(g.Nodes[i])
	if q.Get("planar") != "" {
		t = toPlanar(t)
	}
	_, err := w.Write(t.Data)
	return err
}

// do has the browser do a job.
func (b *bench) do(ctx context.Context, j job) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	select {
	case b.jobs <- j:
	case <-ctx.Done():
		return result{}, fmt.Errorf("%s: the browser takes no job: %w", j.Engine, ctx.Err())
	}
	select {
	case r := <-b.results:
		if r.Error != "" {
			return r, fmt.Errorf("%s, %s, %d threads: %s", j.Engine, j.Case, j.Threads, r.Error)
		}
		return r, nil
	case <-ctx.Done():
		return result{}, fmt.Errorf("%s, %s: %w", j.Engine, j.Case, ctx.Err())
	}
}

// native has PyTorch do a job.
func (b *bench) native(ctx context.Context, address string, j job) (result, error) {
	out, err := command(ctx, nil, b.python, "tests/bench/simd/native.py", address, fmt.Sprint(j.Index), fmt.Sprint(j.Threads))
	if err != nil {
		return result{}, err
	}
	var r result
	return r, json.Unmarshal([]byte(out), &r)
}

// report does all jobs and prints their rows.
func (b *bench) report(ctx context.Context, address string) error {
	print := func(r row.Row) {
		if b.json {
			fmt.Println(r.JSON())
		} else {
			fmt.Println(r)
		}
	}
	if !b.json {
		fmt.Println(row.Head())
	}
	peers := strings.FieldsFunc(b.peers, func(r rune) bool { return r == ',' })
	if slices.Contains(peers, "pytorch") && exec.CommandContext(ctx, b.python, "-c", "import torch").Run() != nil {
		fmt.Fprintf(os.Stderr, "bench: %s has no torch: without native PyTorch\n", b.python)
		peers = slices.DeleteFunc(peers, func(p string) bool { return p == "pytorch" })
	}
	ours := map[string]float64{} // ms by case and threads
	var whole picture
	for i, c := range b.list {
		if !b.cases.MatchString(c.Name) {
			continue
		}
		g, err := c.Build()
		if err != nil {
			return err
		}
		for threads := 1; threads <= 2; threads++ {
			j := job{"wisp", i, c.Name, threads}
			name := fmt.Sprintf("%s, %d", c.Name, threads)
			wisp, err := b.do(ctx, j)
			if err != nil {
				return err
			}
			ours[name] = wisp.MS
			whole.add("wisp", threads, c, wisp.MS)
			if flops := cases.FLOPs(g); flops > 0 {
				ceiling, err := b.do(ctx, job{"ceiling", i, c.Name, threads})
				if err != nil {
					return err
				}
				print(row.Most(name, "GFLOP/s", flops/wisp.MS/1e6, ceiling.Rate/1e9, "128-bit FMA ceiling"))
			}
			if threads == 2 {
				print(row.Least(name, "ms", wisp.MS, ours[fmt.Sprintf("%s, %d", c.Name, 1)], "wisp, 1 thread"))
			}
			if plain, _, ok := strings.Cut(c.Name, " "+c.DType.String()); ok && ours[fmt.Sprintf("%s, %d", plain, threads)] > 0 {
				print(row.Least(name, "ms", wisp.MS, ours[fmt.Sprintf("%s, %d", plain, threads)], "wisp, f32"))
				continue // the peers' weights are f32: they had this case
			}
			if c.Large {
				print(row.Least(name, "MiB", wisp.Bytes/(1<<20), 1300, "bound"))
			}
			for _, peer := range peers {
				j.Engine = peer
				var r result
				switch {
				case peer == "pytorch":
					r, err = b.native(ctx, address, j)
				case c.Native || peer == "tfjs" && (c.Large || c.Picture > 0):
					continue
				default:
					r, err = b.do(ctx, j)
				}
				if err == nil && c.DType == engine.F32 && peer != "pytorch" {
					err = agree(g.Outputs[0].Node, wisp.y, r.y, peer)
				}
				if err != nil {
					return err
				}
				print(row.Least(name, "ms", wisp.MS, r.MS, peer))
				whole.add(peer, threads, c, r.MS)
			}
		}
	}
	for threads := 1; threads <= 2; threads++ {
		for _, peer := range peers {
			if whole.parts[picturePart{peer, threads}] == 3 {
				print(row.Least(fmt.Sprintf("default model: picture, %d", threads), "ms",
					whole.ms[picturePart{"wisp", threads}], whole.ms[picturePart{peer, threads}], peer))
			}
		}
	}
	return nil
}

// picture adds up what the parts of a picture of the default model take.
type picture struct {
	ms    map[picturePart]float64
	parts map[picturePart]int
}

type picturePart struct {
	engine  string
	threads int
}

func (p *picture) add(engine string, threads int, c cases.Case, ms float64) {
	if p.ms == nil {
		p.ms, p.parts = map[picturePart]float64{}, map[picturePart]int{}
	}
	if c.Picture > 0 {
		key := picturePart{engine, threads}
		p.ms[key] += float64(c.Picture) * ms
		p.parts[key]++
	}
}

// agree makes sure that a peer computed the same as wisp: it would not be
// beside it otherwise. onnxruntime's pictures are (n, c, h, w).
func agree(n *engine.Node, wisp, other []byte, peer string) error {
	y := engine.Tensor{DType: engine.F32, Shape: n.Shape, Data: wisp}
	if peer == "onnxruntime-web" {
		y = toPlanar(y)
	}
	want, got := y.Float32s(), engine.Tensor{DType: engine.F32, Shape: n.Shape, Data: other}.Float32s()
	if len(want) != len(got) {
		return fmt.Errorf("%s gives %d elements, wisp %d", peer, len(got), len(want))
	}
	var difference, power float64
	for i := range want {
		d := float64(want[i] - got[i])
		difference, power = difference+d*d, power+float64(got[i])*float64(got[i])
	}
	if !(difference <= 1e-6*power) {
		return fmt.Errorf("%s and wisp differ: NMSE %g", peer, difference/power)
	}
	return nil
}
