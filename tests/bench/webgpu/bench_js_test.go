package webgpu

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/hack-pad/safejs"

	"wisp/engine"
	"wisp/engine/enginetest"
	"wisp/engine/model"
	"wisp/tests/bench/row"
	"wisp/wasm/bridge"
	"wisp/webgpu"
)

// sizes are the layers that are timed: one of Stable Diffusion's at 256 × 256
// pixels of each kind.
type size struct {
	M  int `json:"m,omitempty"` // matmul: (m, k) by (k, n)
	N  int `json:"n,omitempty"` // conv: images
	K  int `json:"k,omitempty"`
	HW int `json:"hw,omitempty"`
	C  int `json:"c,omitempty"`
	O  int `json:"o,omitempty"`

	File   string           `json:"file,omitempty"` // or a gzipped ONNX file
	Inputs map[string][]int `json:"inputs,omitempty"`
}

// result is what a peer or wisp takes for a run.
type result struct {
	MS         float64 `json:"ms"`
	Dispatches float64 `json:"dispatches"`
	Bytes      float64 `json:"bytes"` // bound by the dispatches
}

func print(r row.Row) { fmt.Printf("bench: %s\n", r.JSON()) }

// unet is the case of the whole network that export.py wrote.
const unet = `{"cross_attention_dim": 768, "attention_head_dim": 8, "block_out_channels": [32, 64, 128, 128]}`

// TestPeers prints a row for each case and peer. Wisp is measured before each
// peer, and the best counts: the machine has other work. Its assertions are on counts only: times are for
// the reader.
func TestPeers(t *testing.T) {
	ours, err := webgpu.New(t.Context(), webgpu.Options{Precision: "f32"})
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	build := func(g *engine.Graph, err error) *engine.Graph {
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	same := [4]int{1, 1, 1, 1}
	for _, c := range []struct {
		name  string
		size  size
		graph *engine.Graph
		runs  int
		peers []string
	}{
		{"matmul_512x320x1280", size{M: 512, K: 320, N: 1280}, build(engine.Build(func(g *engine.Graph) {
			g.Output("out", engine.Linear(g.Input("x", engine.F32, 512, 320), g.Weight("w", 1280, 320), nil))
		})), 4, []string{"onnxruntime-web", "onnxruntime-web-jsep", "tfjs"}},
		{"conv3x3_16x16x320x320", size{N: 1, HW: 16, C: 320, O: 320}, build(engine.Build(func(g *engine.Graph) {
			g.Output("out", engine.Conv2D(g.Input("x", engine.F32, 1, 16, 16, 320), g.Weight("w", 320, 320, 3, 3), nil, 1, same))
		})), 4, []string{"onnxruntime-web", "onnxruntime-web-jsep", "tfjs"}},
		{"unet_step", size{File: "unet.onnx.gz", Inputs: map[string][]int{"sample": {1, 4, 16, 16}, "timestep": {1}, "context": {1, 77, 768}}},
			build(model.UNet2DCondition([]byte(unet), 1, 16, 16, 77)), 1, []string{"onnxruntime-web", "onnxruntime-web-jsep"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := "webgpu_" + c.name
			got := result{MS: math.Inf(1)}
			best := map[string]result{}
			for _, peer := range c.peers {
				r, err := measure(ours, c.graph, c.runs)
				if err != nil {
					t.Fatal(err)
				}
				r.MS = min(r.MS, got.MS)
				got = r
				if best[peer], err = measurePeer(t.Context(), peer, c.size, c.runs); err != nil {
					t.Fatalf("%s: %v", peer, err)
				}
			}
			for _, peer := range c.peers {
				want := best[peer]
				print(row.Least(name, "ms", got.MS, want.MS, peer))
				if c.size.File == "" {
					continue
				}
				print(row.Least(name, "dispatches", got.Dispatches, want.Dispatches, peer))
				print(row.Least(name, "MB", got.Bytes/1e6, want.Bytes/1e6, peer))
				if got.Dispatches >= want.Dispatches || got.Bytes >= want.Bytes {
					t.Errorf("%v dispatches and %v bytes, %s has %v and %v", got.Dispatches, got.Bytes, peer, want.Dispatches, want.Bytes)
				}
			}
		})
	}
}

// measure times a graph on our backend: the best of so many runs after one to
// warm up. Unlike the peers', the figure holds the way of x to the device and
// of the result back.
func measure(b *webgpu.Backend, g *engine.Graph, runs int) (r result, err error) {
	in, weights := enginetest.Data(g, engine.F32)
	buffers := map[string]engine.Buffer{}
	for name, w := range weights {
		if buffers[name], err = b.Upload(w); err != nil {
			return r, err
		}
		defer buffers[name].Release()
	}
	p, err := b.Compile(g, buffers)
	if err != nil {
		return r, err
	}
	defer p.Close()
	out := map[string]engine.Tensor{}
	for _, o := range g.Outputs {
		out[o.Name] = engine.NewTensor(engine.F32, o.Node.Shape...)
	}
	r.MS = math.Inf(1)
	for i := range runs + 1 {
		before, err := seen()
		if err != nil {
			return r, err
		}
		start := time.Now()
		if err := p.Run(context.Background(), in, out); err != nil {
			return r, err
		}
		if i > 0 {
			r.MS = min(r.MS, float64(time.Since(start).Microseconds())/1000)
		}
		after, err := seen()
		if err != nil {
			return r, err
		}
		r.Dispatches, r.Bytes = after.Dispatches-before.Dispatches, after.Bytes-before.Bytes
	}
	return r, nil
}

// peers is the global of peer.js.
func peers() (safejs.Value, error) { return safejs.Global().Get("wispPeers") }

// seen is what the worker has dispatched so far.
func seen() (r result, err error) {
	p, err := peers()
	if err != nil {
		return r, err
	}
	counts, err := p.Get("seen")
	if err != nil {
		return r, err
	}
	for name, to := range map[string]*float64{"dispatches": &r.Dispatches, "bytes": &r.Bytes} {
		n, err := counts.Get(name)
		if err != nil {
			return r, err
		}
		if *to, err = n.Float(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// measurePeer runs a case on a peer.
func measurePeer(ctx context.Context, peer string, s size, runs int) (r result, err error) {
	line, err := json.Marshal(s)
	if err != nil {
		return r, err
	}
	p, err := peers()
	if err != nil {
		return r, err
	}
	promise, err := p.Call("measure", peer, string(line), runs)
	if err != nil {
		return r, err
	}
	answer, err := bridge.Await(ctx, promise)
	if err != nil {
		return r, err
	}
	text, err := answer.String()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(text), &r)
}
