package webgpu

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hack-pad/safejs"

	"wisp/engine"
	"wisp/engine/enginetest"
)

// open makes a backend on the browser's device. A missing adapter fails.
func open(t *testing.T, o Options) *Backend {
	t.Helper()
	b, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// common opens the backend that tests share which leave it alive: opening one
// takes seconds on a CPU. Its settings are restored afterwards.
func common(t *testing.T) *Backend {
	t.Helper()
	b, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	before := *b
	t.Cleanup(func() {
		b.elem, b.wide, b.limits, b.info, b.profile = before.elem, before.wide, before.limits, before.info, before.profile
		b.dropArena()
	})
	return b
}

var opened = sync.OnceValues(func() (*Backend, error) { return New(context.Background(), Options{}) })

// halfTolerance is the bound on the normalised mean squared error where
// activations are stored as f16.
const halfTolerance = 1e-4

// checkHalf is enginetest.Check with the bound for f16.
func checkHalf(t *testing.T, b *Backend, c enginetest.Case) {
	c.NMSE = max(c.NMSE, halfTolerance)
	if c.Name == "group_norm/offset" {
		c.NMSE = 1e-3 // numbers near 100 are 1/16 apart in f16
	}
	enginetest.Check(t, b, c)
}

// TestTable runs the op table in f32, and again in f16 where the adapter has
// it, with the cases of our own that reach what the table's sizes do not.
func TestTable(t *testing.T) {
	b := common(t)
	t.Logf("%v: %.1f GFLOP/s, %s %s, features %v, limits %+v", b.info.Adapter, b.info.GFLOPS, b.info.Precision, b.info.Reason, b.info.Adapter.Features, b.info.Adapter.Limits)
	if agent := userAgent(t); strings.Contains(agent, "Firefox") != (b.elem == engine.F16) {
		t.Errorf("precision is %s in %s: %s", b.info.Precision, agent, b.info.Reason)
	}
	cases := slices.Concat(enginetest.Cases(), largeCases(), fusedModulations())
	if b.elem == engine.F16 {
		t.Run("f16", func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.Name, func(t *testing.T) { checkHalf(t, b, c) })
			}
			if b.info.Reason != "" {
				t.Errorf("a case fell back to f32: %s", b.info.Reason)
			}
		})
	}
	if b.info.Adapter.has("subgroups") != b.info.Subgroups || strings.Contains(userAgent(t), "Chrome") && !b.info.Subgroups {
		t.Errorf("subgroups are %v: %s", b.info.Subgroups, b.info.Reason)
	}
	t.Run("f32", func(t *testing.T) {
		b.elem = engine.F32
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) { enginetest.Check(t, b, c) })
		}
	})
	// What this device would not choose: every kernel runs on both adapters,
	// but those that need subgroups.
	t.Run("plain", func(t *testing.T) {
		b.wide, b.info.Subgroups = !b.wide, false
		for _, c := range enginetest.Cases() {
			t.Run(c.Name, func(t *testing.T) { enginetest.Check(t, b, c) })
		}
	})
	// Bindings so small that what networks have is cut as a large VAE is by
	// the default limits.
	t.Run("cut", func(t *testing.T) {
		b.limits.Buffer, b.limits.Binding = 1<<20, 32<<10
		b.dropArena()
		for _, c := range cases {
			op, _, _ := strings.Cut(c.Name, "/")
			if c.Weights != engine.F32 || op == "attention" || op == "matmul" || op == "large" {
				continue
			}
			t.Run(c.Name, func(t *testing.T) { enginetest.Check(t, b, c) })
		}
	})
}

func userAgent(t *testing.T) string {
	navigator, err := safejs.Global().Get("navigator")
	if err != nil {
		t.Fatal(err)
	}
	agent, err := property(navigator, "userAgent")
	if err != nil {
		t.Fatal(err)
	}
	return agent
}

func largeCases() []enginetest.Case {
	one := func(name string, f func(g *engine.Graph) *engine.Node) enginetest.Case {
		return enginetest.Case{Name: "large/" + name, Build: func(g *engine.Graph) { g.Output("y", f(g)) }}
	}
	input := func(g *engine.Graph, shape ...int) *engine.Node { return g.Input("x", engine.F32, shape...) }
	same := [4]int{1, 1, 1, 1}
	dense := one("weight_as_activation", func(g *engine.Graph) *engine.Node {
		return engine.Add(input(g, 6, 40), engine.Reshape(g.Weight("w", 6, 8, 5, 1), 6, 40))
	})
	dense.Weights = engine.Q8
	return []enginetest.Case{
		dense,
		one("linear_tile8", func(g *engine.Graph) *engine.Node {
			return engine.Linear(input(g, 801, 20), g.Weight("w", 1000, 20), g.Weight("b", 1000))
		}),
		one("linear_tile4", func(g *engine.Graph) *engine.Node {
			return engine.Linear(input(g, 401, 20), g.Weight("w", 1000, 20), g.Weight("b", 1000))
		}),
		one("linear_computed", func(g *engine.Graph) *engine.Node {
			w := engine.Affine(g.Input("w", engine.F32, 7, 10), 0.1, 0)
			return engine.Linear(input(g, 9, 10), w, engine.Reshape(engine.Slice(w, 1, 3, 4), 7))
		}),
		one("conv_tile8", func(g *engine.Graph) *engine.Node {
			return engine.Conv2D(input(g, 1, 90, 101, 4), g.Weight("w", 96, 4, 3, 3), nil, 1, same)
		}),
		one("conv_up2", func(g *engine.Graph) *engine.Node {
			return engine.ReLU(engine.Conv2D(engine.Upsample2D(input(g, 2, 9, 7, 12), 18, 14), g.Weight("w", 20, 12, 3, 3), g.Weight("b", 20), 1, same))
		}),
		one("conv_up2_1x1", func(g *engine.Graph) *engine.Node {
			return engine.Conv2D(engine.Upsample2D(input(g, 1, 9, 7, 12), 18, 14), g.Weight("w", 20, 12, 1, 1), nil, 1, [4]int{})
		}),
		one("conv_up3_kept", func(g *engine.Graph) *engine.Node { // the enlarged image is read twice
			x := engine.Upsample2D(input(g, 1, 5, 5, 8), 15, 15)
			return engine.Add(x, engine.Conv2D(x, g.Weight("w", 8, 8, 3, 3), nil, 1, same))
		}),
		one("linear_geglu", func(g *engine.Graph) *engine.Node {
			return engine.GEGLU(engine.Linear(input(g, 70, 36), g.Weight("w", 2*83, 36), g.Weight("b", 2*83)))
		}),
		one("linear_geglu_no_bias", func(g *engine.Graph) *engine.Node {
			return engine.GEGLU(engine.Linear(input(g, 2, 9, 36), g.Weight("w", 2*20, 36), nil))
		}),
		one("linear_geglu_kept", func(g *engine.Graph) *engine.Node { // the layer is read twice
			h := engine.Linear(input(g, 9, 36), g.Weight("w", 2*20, 36), nil)
			return engine.Concat(1, engine.GEGLU(h), h)
		}),
		one("conv_3x3_shifted", func(g *engine.Graph) *engine.Node {
			row := engine.Reshape(g.Input("row", engine.F32, 2, 20), 2, 1, 1, 20)
			return engine.SiLU(engine.Add(engine.Conv2D(input(g, 2, 9, 7, 12), g.Weight("w", 20, 12, 3, 3), g.Weight("b", 20), 1, same), row))
		}),
		one("conv_5x5_shifted", func(g *engine.Graph) *engine.Node {
			row := engine.Reshape(g.Input("row", engine.F32, 2, 6), 2, 1, 1, 6)
			return engine.Add(row, engine.Conv2D(input(g, 2, 9, 7, 5), g.Weight("w", 6, 5, 5, 5), nil, 2, [4]int{2, 2, 2, 2}))
		}),
		one("conv_1x1_shifted", func(g *engine.Graph) *engine.Node {
			row := engine.Reshape(g.Input("row", engine.F32, 3, 20), 3, 1, 1, 20)
			return engine.Add(engine.Conv2D(input(g, 3, 4, 5, 12), g.Weight("w", 20, 12, 1, 1), g.Weight("b", 20), 1, [4]int{}), row)
		}),
		one("group_norm_runs", func(g *engine.Graph) *engine.Node {
			return engine.SiLU(engine.GroupNorm(input(g, 2, 60, 61, 24), g.Weight("gamma", 24), g.Weight("beta", 24), 3, 1e-5))
		}),
		one("group_norm_runs_offset", func(g *engine.Graph) *engine.Node {
			x := engine.Affine(input(g, 1, 60, 61, 24), 1, 30)
			return engine.GroupNorm(x, g.Weight("gamma", 24), g.Weight("beta", 24), 3, 1e-5)
		}),
		one("attention_hd512", func(g *engine.Graph) *engine.Node {
			return engine.Attention(input(g, 1, 40, 512), g.Input("k", engine.F32, 1, 37, 512), g.Input("v", engine.F32, 1, 37, 512), 1, 0.044, false)
		}),
		one("attention_hd80", func(g *engine.Graph) *engine.Node {
			x := input(g, 1, 70, 160)
			return engine.Attention(x, x, x, 2, 0.1, false)
		}),
		one("attention_hd128", func(g *engine.Graph) *engine.Node {
			x := input(g, 1, 50, 128)
			return engine.Attention(x, x, x, 1, 0.1, true)
		}),
	}
}

// slow is a program of many dispatches that takes a CPU adapter seconds.
func slow(t *testing.T, b *Backend) (engine.Program, map[string]engine.Tensor, map[string]engine.Tensor) {
	t.Helper()
	g, err := engine.Build(func(g *engine.Graph) {
		x := g.Input("x", engine.F32, 512, 512)
		for range 60 {
			x = engine.Linear(x, g.Weight("w", 512, 512), nil)
		}
		g.Output("y", x)
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.Upload(engine.NewTensor(engine.F32, 512, 512))
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Compile(g, map[string]engine.Buffer{"w": w})
	if err != nil {
		t.Fatal(err)
	}
	return p, map[string]engine.Tensor{"x": engine.NewTensor(engine.F32, 512, 512)}, map[string]engine.Tensor{"y": engine.NewTensor(engine.F32, 512, 512)}
}

// faulty is a device whose driver miscompiles: in modules with the text only,
// it takes one text for another.
type faulty struct {
	device
	only, from, to string
}

func (f faulty) compile(modules map[string]string, pipelines []pipeline) (int, error) {
	changed := map[string]string{}
	for name, text := range modules {
		if strings.Contains(text, f.only) {
			text = strings.ReplaceAll(text, f.from, f.to)
		}
		changed[name] = text
	}
	return f.device.compile(changed, pipelines)
}

// TestSelfTestCatches: where f16 gives wrong numbers or none, or subgroups do,
// the backend does without and says so; where f32 does, there is no backend.
func TestSelfTestCatches(t *testing.T) {
	start := func(only, from, to string) (*Backend, error) {
		t.Helper()
		dev, err := openDevice(Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := newBackend(faulty{dev, only, from, to})
		t.Cleanup(func() { b.Close() })
		return b, b.start(context.Background(), Options{})
	}
	const result = "elem(activate(v, dims.act))"
	const broken = "elem(activate(missing, dims.act))"                                                                             // does not compile
	for _, wrong := range []string{"elem(1.1 * activate(v, dims.act))", "elem(activate(v, dims.act) / f32(dims.first))", broken} { // the second is no number
		if _, err := start("", result, wrong); wrong != broken && !errors.Is(err, engine.ErrUnsupported) || err == nil {
			t.Errorf("wrong in f32: %v", err)
		} else if strings.Contains(err.Error(), "previous error") {
			t.Errorf("what is broken is not told: %v", err)
		}
		if !common(t).info.Adapter.has("shader-f16") {
			continue
		}
		b, err := start("alias elem = f16", result, wrong)
		if err != nil {
			t.Fatal(err)
		}
		if b.elem != engine.F32 || !strings.Contains(b.info.Reason, "self-test") {
			t.Errorf("wrong in f16: precision %s, %q", b.info.Precision, b.info.Reason)
		}
	}
	if !common(t).info.Subgroups {
		return
	}
	for _, wrong := range []string{"return 1.1 * subgroupAdd(total)", "return missing"} {
		b, err := start("enable subgroups", "return subgroupAdd(total)", wrong)
		if err != nil || b.info.Subgroups {
			t.Errorf("wrong over subgroups: %v", err)
		}
	}
}

// TestCancel: a run ends within 100 ms of its cancellation, every time, and
// the next one is right.
func TestCancel(t *testing.T) {
	b := common(t)
	p, in, out := slow(t, b)
	for i := range 10 {
		ctx, cancel := context.WithCancel(context.Background())
		asked := make(chan time.Time, 1)
		time.AfterFunc(time.Duration(40+5*i)*time.Millisecond, func() {
			asked <- time.Now()
			cancel()
		})
		err := p.Run(ctx, in, out)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("run %d: got %v, want a cancellation", i, err)
		}
		if late := time.Since(<-asked); late > 100*time.Millisecond {
			t.Errorf("run %d ended %v after it was cancelled", i, late)
		}
	}
	enginetest.Check(t, b, small)
	stamped, err := b.dev.(*jsDevice).replay.Get("stamped")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := stamped.Int(); err != nil || b.info.Adapter.has("timestamp-query") && n == 0 {
		t.Errorf("%d submissions were timed by the device's clock: %v", n, err)
	}
}

// TestDeviceLost: losing the device in mid-run is a typed error, also of all
// that follows, and a new backend works.
func TestDeviceLost(t *testing.T) {
	b := open(t, Options{Precision: "f32"})
	p, in, out := slow(t, b)
	time.AfterFunc(30*time.Millisecond, func() {
		device, err := b.dev.(*jsDevice).replay.Get("device")
		if err == nil {
			_, err = device.Call("destroy")
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err := p.Run(context.Background(), in, out); !errors.Is(err, engine.ErrDeviceLost) {
		t.Errorf("run: got %v, want ErrDeviceLost", err)
	}
	if err := p.Run(context.Background(), in, out); !errors.Is(err, engine.ErrDeviceLost) {
		t.Errorf("next run: got %v, want ErrDeviceLost", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	b.Close()
	enginetest.Check(t, open(t, Options{Precision: "f32"}), small)
}

// TestLostWhileReading: a device lost while its result is waited for is a lost
// device, whichever of the browser's promises tells first.
func TestLostWhileReading(t *testing.T) {
	b := open(t, Options{Precision: "f32"})
	replay := b.dev.(*jsDevice).replay
	device, err := replay.Get("device")
	if err != nil {
		t.Fatal(err)
	}
	class, err := safejs.Global().Get("GPUBuffer")
	if err != nil {
		t.Fatal(err)
	}
	prototype, err := class.Get("prototype")
	if err != nil {
		t.Fatal(err)
	}
	before, err := prototype.Get("mapAsync")
	if err != nil {
		t.Fatal(err)
	}
	fail, err := safejs.FuncOf(func(safejs.Value, []safejs.Value) any {
		device.Call("destroy")
		promise, _ := safejs.Global().Get("Promise")
		rejected, _ := promise.Call("reject", map[string]any{"message": "mapping was aborted"})
		return rejected
	})
	if err != nil {
		t.Fatal(err)
	}
	defer fail.Release()
	if err := prototype.Set("mapAsync", fail); err != nil {
		t.Fatal(err)
	}
	defer prototype.Set("mapAsync", before)
	if _, err := compileCase(b, small); !errors.Is(err, engine.ErrDeviceLost) {
		t.Errorf("got %v, want ErrDeviceLost", err)
	}
}

// TestCloseAfterCancel: closing programs whose cancelled runs are still under
// way, or wait for their turn, leaves nothing that would fail the next run.
func TestCloseAfterCancel(t *testing.T) {
	b := common(t)
	for i := range 8 {
		for _, patience := range []time.Duration{time.Duration(10*i) * time.Millisecond, 0} {
			p, in, out := slow(t, b)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			p.Run(ctx, in, out)
			cancel()
			p.Close()
		}
		b.dropArena()
		enginetest.Check(t, b, small)
	}
}

var small = enginetest.Case{NMSE: halfTolerance, Build: func(g *engine.Graph) {
	g.Output("y", engine.SiLU(g.Input("x", engine.F32, 64, 64)))
}}

// TestOutOfMemory: what the browser's error scopes report reaches the caller
// as a typed error, and the backend still works.
func TestOutOfMemory(t *testing.T) {
	b := common(t)
	b.elem = engine.F32
	device, err := b.dev.(*jsDevice).replay.Get("device")
	if err != nil {
		t.Fatal(err)
	}
	// Every scope reports a failure: what has no memory is invalid, too. Filling
	// this machine's memory in earnest is no test.
	fail, err := safejs.FuncOf(func(safejs.Value, []safejs.Value) any {
		promise, _ := safejs.Global().Get("Promise")
		value, _ := promise.Call("resolve", map[string]any{"message": "no memory"})
		return value
	})
	if err != nil {
		t.Fatal(err)
	}
	defer fail.Release()
	if err := device.Set("popErrorScope", fail); err != nil {
		t.Fatal(err)
	}
	c := enginetest.Case{Build: func(g *engine.Graph) {
		g.Output("y", engine.SiLU(g.Input("x", engine.F32, 64, 4096)))
	}}
	if _, err := compileCase(b, c); !errors.Is(err, engine.ErrOutOfMemory) {
		t.Errorf("got %v, want ErrOutOfMemory", err)
	}
	if err := device.Delete("popErrorScope"); err != nil {
		t.Fatal(err)
	}
	enginetest.Check(t, b, c)
}

// TestNaN: what is no number stays none, so that it is noticed.
func TestNaN(t *testing.T) {
	b := common(t)
	enginetest.NaN(t, b)
	b.elem = engine.F32
	enginetest.NaN(t, b)
	b.wide, b.info.Subgroups = !b.wide, false
	enginetest.NaN(t, b)
}

// TestWiden: a program whose numbers leave the range of f16 is run in f32.
func TestWiden(t *testing.T) {
	b := common(t)
	if b.elem != engine.F16 {
		t.Logf("in f32 already: %s", b.info.Reason)
	}
	enginetest.Check(t, b, enginetest.Case{Build: func(g *engine.Graph) {
		x := engine.Affine(g.Input("x", engine.F32, 8, 8), 60000, 0)
		g.Output("y", engine.Affine(engine.Add(x, x), 1e-4, 0))
	}})
	if b.info.Adapter.has("shader-f16") && b.info.Reason != errNotFinite.Error() {
		t.Errorf("the reason is %q", b.info.Reason)
	}
}

// TestProfile: every dispatch is timed and its work counted.
func TestProfile(t *testing.T) {
	b := common(t)
	b.elem = engine.F32
	b.startProfile()
	enginetest.Check(t, b, enginetest.Case{Build: func(g *engine.Graph) {
		x := engine.Linear(g.Input("x", engine.F32, 200, 128), g.Weight("w", 128, 128), nil)
		g.Output("y", engine.Softmax(x))
	}})
	found := map[string]KernelTime{}
	for _, k := range b.Profile() {
		found[k.Kernel] = k
		t.Logf("%+v", k)
	}
	k := found["linear"]
	if b.wide {
		k = found["linear_wide"]
	}
	if k.Dispatches < 3 || k.Time <= 0 || k.FLOPs != 3*2*200*128*128 || k.Bytes != 3*4*(2*200*128+128*128) {
		t.Errorf("linear: %+v", k)
	}
	if found["softmax"].Dispatches+found["softmax_subgroup"].Dispatches != 3 {
		t.Errorf("softmax: %+v", found["softmax"])
	}
}

// TestDefaultLimits: a device with nothing but what all have passes.
func TestDefaultLimits(t *testing.T) {
	b := open(t, Options{DefaultLimits: true})
	if b.limits != DefaultLimits || b.elem != engine.F32 {
		t.Errorf("limits %+v, precision %s", b.limits, b.info.Precision)
	}
	if math.IsNaN(b.info.GFLOPS) || b.info.GFLOPS <= 0 {
		t.Errorf("%v GFLOP/s", b.info.GFLOPS)
	}
}

func TestStages(t *testing.T) { enginetest.Stages(t, common(t)) }

// pieces writes the bytes of a tensor as a loader does: in pieces of odd sizes, a
// part of them wrong at first.
func pieces(data []byte) func(io.WriterAt) error {
	return func(w io.WriterAt) error {
		for _, first := range []bool{true, false} {
			for at := 0; at < len(data); at += 1013 {
				p := bytes.Clone(data[at:min(len(data), at+1013)])
				if first {
					p[0]++
				}
				if _, err := w.WriteAt(p, int64(at)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// TestStream: a weight that is streamed is the one that is uploaded, whatever its
// type and shape, in one part and in several, and does not lie in Go's heap.
func TestStream(t *testing.T) {
	b := common(t)
	limits := b.limits
	defer func() { b.limits = limits }()
	for _, d := range []engine.DType{engine.F32, engine.F16, engine.BF16, engine.Q8, engine.Q4, engine.Q2} {
		for _, shape := range []engine.Shape{{48, 64}, {7, 150}, {12, 5, 3, 3}, {33}} {
			for _, binding := range []int{limits.Binding, 2048} {
				b.limits.Binding = binding
				if b.limits.Buffer = limits.Buffer; len(shape) < 2 && (d.Quantised() || binding == 2048) {
					continue
				}
				g, err := engine.Build(func(g *engine.Graph) {
					w := g.Weight("w", shape...)
					if len(shape) == 2 {
						g.Output("y", engine.Linear(g.Input("x", engine.F32, 3, shape[1]), w, nil))
						return
					}
					if len(shape) == 4 {
						g.Output("y", engine.Conv2D(g.Input("x", engine.F32, 1, 6, 6, shape[1]), w, nil, 1, [4]int{1, 1, 1, 1}))
						return
					}
					g.Output("y", engine.Add(g.Input("x", engine.F32, 2, shape[0]), w))
				})
				if err != nil {
					t.Fatal(err)
				}
				in, weights := enginetest.Data(g, d)
				var got [2][]byte
				for i := range got {
					w, err := b.Upload(weights["w"])
					if i == 1 {
						w, err = engine.Stream(b, weights["w"].DType, shape, pieces(weights["w"].Data))
					}
					if err != nil {
						t.Fatalf("%v %v: %v", d, shape, err)
					}
					p, err := b.Compile(g, map[string]engine.Buffer{"w": w})
					if err != nil {
						t.Fatalf("%v %v: %v", d, shape, err)
					}
					out := engine.NewTensor(engine.F32, g.Outputs[0].Node.Shape...)
					if err := p.Run(t.Context(), in, map[string]engine.Tensor{"y": out}); err != nil {
						t.Fatal(err)
					}
					got[i] = out.Data
					p.Close()
					w.Release()
				}
				if !bytes.Equal(got[0], got[1]) {
					t.Errorf("%v %v, bindings of %d: a streamed weight is another", d, shape, binding)
				}
			}
		}
	}
	b.limits = limits
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	block := make([]byte, 1<<20)
	w, err := engine.Stream(b, engine.F16, engine.Shape{4096, 8192}, func(w io.WriterAt) error { // 64 MiB
		for at := range int64(64) {
			if _, err := w.WriteAt(block, at<<20); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Release()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 8<<20 {
		t.Errorf("Go's heap grew by %d MiB", grown>>20)
	}
}
