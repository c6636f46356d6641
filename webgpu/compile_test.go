package webgpu

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/enginetest"
)

// compileCase uploads, compiles and runs a case of the op table on the device.
func compileCase(b *Backend, c enginetest.Case) (*program, error) {
	g, err := engine.Build(c.Build)
	if err != nil {
		return nil, err
	}
	in, weights := enginetest.Data(g, c.Weights)
	buffers := map[string]engine.Buffer{}
	for name, w := range weights {
		if buffers[name], err = b.Upload(w); err != nil {
			return nil, err
		}
		defer buffers[name].Release()
	}
	p, err := b.Compile(g, buffers)
	if err != nil {
		return nil, err
	}
	out := map[string]engine.Tensor{}
	for _, o := range g.Outputs {
		out[o.Name] = engine.NewTensor(o.Node.DType, o.Node.Shape...)
	}
	defer p.Close()
	return p.(*program), p.Run(context.Background(), in, out)
}

// TestTableCompiles: every case becomes dispatches that obey WebGPU's rules
// and fit their kernels, under the default limits, under larger and under tiny
// ones, where operands must be cut.
func TestTableCompiles(t *testing.T) {
	large, tiny := DefaultLimits, DefaultLimits
	large.Buffer, large.Binding, large.WorkgroupStorage = 1<<32, 1<<32, 32<<10
	tiny.Buffer, tiny.Binding = 1<<20, 32<<10
	for name, limits := range map[string]Limits{"default": DefaultLimits, "large": large, "tiny": tiny} {
		for _, elem := range []engine.DType{engine.F32, engine.F16} {
			dev := newFake(limits)
			b := newBackend(dev)
			b.elem = elem
			for _, c := range enginetest.Cases() {
				_, err := compileCase(b, c)
				if name == "tiny" && errors.Is(err, engine.ErrOutOfMemory) && (strings.HasPrefix(c.Name, "attention/") || strings.HasPrefix(c.Name, "matmul/")) {
					err = nil // a sequence or a matrix of a batch is not cut
				}
				if err != nil {
					t.Errorf("%s, %v, %s: %v", name, elem, c.Name, err)
				}
				for _, fault := range dev.faults {
					t.Errorf("%s, %v, %s: %v", name, elem, c.Name, fault)
				}
				dev.faults = nil
			}
			checkPipelines(t, dev)
			b.dropArena()
			if len(dev.buffers) > 0 || dev.allocated != 0 {
				t.Errorf("%s, %v: %d buffers are left", name, elem, len(dev.buffers))
			}
		}
	}
}

var (
	overrideText = regexp.MustCompile(`(?m)^override (\w+): (?:u32|bool) = `)
	bindingText  = regexp.MustCompile(`@group\(0\) @binding\((\d+)\) var<(\w+)`)
)

// checkPipelines holds what was asked of each kernel against its text.
func checkPipelines(t *testing.T, dev *fake) {
	t.Helper()
	for _, p := range dev.pipelines {
		text := dev.modules[p.Module]
		overrides := map[string]bool{}
		for _, m := range overrideText.FindAllStringSubmatch(text, -1) {
			overrides[m[1]] = true
		}
		for name := range p.Constants {
			if !overrides[name] {
				t.Errorf("%s has no override %q", p.Module, name)
			}
		}
		bindings := bindingText.FindAllStringSubmatch(text, -1)
		for i, m := range bindings {
			want := "storage"
			if i == 0 {
				want = "uniform"
			}
			if m[1] != fmt.Sprint(i) || m[2] != want {
				t.Errorf("%s: binding %s is %s, want %d as %s", p.Module, m[1], m[2], i, want)
			}
		}
		if len(bindings) != p.Reads+2 {
			t.Errorf("%s declares %d bindings, is given %d", p.Module, len(bindings), p.Reads+2)
		}
	}
	for _, s := range dev.ran {
		for _, d := range s.dispatches {
			module := dev.pipelines[d.pipeline].Module
			if want := align(4*dimsWords(dev.modules[module]), 16); d.dims.size != want {
				t.Errorf("%s is given %d bytes of dims, declares %d", module, d.dims.size, want)
			}
		}
	}
}

// dimsWords counts the words of a kernel's Dims.
func dimsWords(text string) (words int) {
	_, text, _ = strings.Cut(text, "struct Dims {")
	text, _, _ = strings.Cut(text, "\n}")
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.Contains(line, "array<vec4<u32>, 2>"):
			words += 8
		case strings.Contains(line, ":"):
			words++
		}
	}
	return words
}

// TestPiecesCover: a dispatch cut in time covers its grid once.
func TestPiecesCover(t *testing.T) {
	b := newBackend(newFake(DefaultLimits))
	for _, rows := range []int{1, 2, 63, 64, 65, 1000, 65535, 65536, 200000} {
		s := step{dims: []uint32{0, 9}, grid: [3]int{3, rows, 2}, flops: float64(1e11 * (rows % 2))}
		next := 0
		for _, p := range b.slices(s) {
			if int(p.dims[0]) != next || p.dims[1] != 9 || p.grid[0] != 3 || p.grid[1] > 65535 || p.grid[2] != 2 {
				t.Fatalf("%d rows: piece %v %v, want one from row %d", rows, p.dims, p.grid, next)
			}
			next += p.grid[1]
		}
		if next != rows {
			t.Errorf("%d rows: the pieces cover %d", rows, next)
		}
	}
}

// TestLargestPicture: a picture of 2048 × 2048 pixels has one row of workgroups
// more than a dispatch may have.
func TestLargestPicture(t *testing.T) {
	g, err := engine.Build(func(g *engine.Graph) {
		x := g.Input("x", engine.F32, 1, 2048, 2048, 4)
		g.Output("y", engine.Conv2D(x, g.Weight("w", 3, 4, 3, 3), nil, 1, [4]int{1, 1, 1, 1}))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Count(g, engine.F16, engine.F16, DefaultLimits); err != nil {
		t.Error(err)
	}
}

// TestSliceOfLargeTensor: a slice or a concatenation along the outermost axis
// of what exceeds a binding reads and writes the right part of it.
func TestSliceOfLargeTensor(t *testing.T) {
	limits := DefaultLimits
	limits.Buffer, limits.Binding = 1<<20, 32<<10
	for name, build := range map[string]func(g *engine.Graph) *engine.Node{
		"slice": func(g *engine.Graph) *engine.Node {
			return engine.Slice(g.Input("x", engine.F32, 1, 1025, 60), 1, 1, 1025)
		},
		"concat": func(g *engine.Graph) *engine.Node {
			return engine.Concat(0, g.Input("x", engine.F32, 1, 60), g.Input("y", engine.F32, 1024, 60))
		},
	} {
		p, err := compileCase(newBackend(newFake(limits)), enginetest.Case{Build: func(g *engine.Graph) { g.Output("y", build(g)) }})
		if err != nil {
			t.Fatal(name, err)
		}
		for _, s := range p.steps {
			count, x0, out0 := int(s.dims[1]), int(s.dims[2]), int(s.dims[3])
			if 4*(x0+count) > s.reads[0].size || 4*(out0+count) > s.out.size {
				t.Errorf("%s: %d elements from %d to %d in %d and %d bytes", name, count, x0, out0, s.reads[0].size, s.out.size)
			}
		}
	}
}

// TestBandsCover: the bands of a convolution make every output row once and
// hold every input row that it reads.
func TestBandsCover(t *testing.T) {
	limits := DefaultLimits
	limits.Binding = 16 << 10
	c := &compiler{limits: limits}
	for _, im := range []image{
		{n: 2, h: 64, w: 64, c: 8, oh: 64, ow: 64, oc: 8, step: 1, up: 1, kh: 3, top: 1},
		{n: 1, h: 64, w: 64, c: 8, oh: 32, ow: 32, oc: 3, step: 2, up: 1, kh: 3, top: 0},
		{n: 1, h: 32, w: 32, c: 16, oh: 64, ow: 64, oc: 16, step: 1, up: 2, kh: 3, top: 1},
		{n: 1, h: 128, w: 20, c: 12, oh: 32, ow: 5, oc: 64, step: 4, up: 1, kh: 7, top: 3},
	} {
		next := 0
		for _, b := range c.bands(im) {
			if b.images != 1 || b.out != next || b.out*4%bindAlign != 0 || b.in*4%bindAlign != 0 {
				t.Fatalf("%+v: band %+v, want one image from element %d", im, b, next)
			}
			next += (b.oy1 - b.oy0) * im.ow * im.oc
			if in := (b.y1 - b.y0) * im.w * im.c * 4; in > limits.Binding {
				t.Errorf("%+v: band %+v reads %d bytes", im, b, in)
			}
			for oy := b.oy0; oy < b.oy1; oy++ {
				for ky := range im.kh {
					global := oy*im.step + ky - im.top
					local := (oy-b.oy0)*im.step + ky - b.top
					if global < 0 || global >= im.h*im.up {
						if local >= 0 && local < (b.y1-b.y0)*im.up {
							t.Fatalf("%+v: band %+v reads row %d in place of padding", im, b, global)
						}
						continue
					}
					if local < 0 || local/im.up+b.y0 != global/im.up || local/im.up >= b.y1-b.y0 {
						t.Fatalf("%+v: band %+v reads row %d at %d", im, b, global, local)
					}
				}
			}
		}
		if next != im.n*im.oh*im.ow*im.oc {
			t.Errorf("%+v: the bands make %d elements", im, next)
		}
	}
}

func TestAttentionTilesFit(t *testing.T) {
	for hd := 4; hd <= 1024; hd += 4 {
		s := attentionTiles(hd/4, DefaultLimits.WorkgroupStorage)
		if s.rows < 1 || s.keys < 1 || s.rows*s.cols > 20 || s.rows > 4 || s.keys > 4 {
			t.Errorf("head of %d: %+v", hd, s)
		}
		kv := max(8*s.keys*(s.depth+1), 64*s.keys*s.cols)
		if bytes := 16*(8*s.rows*s.depth+kv) + 4*(64*s.rows*s.keys+64*s.rows); bytes > DefaultLimits.WorkgroupStorage {
			t.Errorf("head of %d: %+v takes %d bytes", hd, s, bytes)
		}
	}
}

func TestOutOfMemoryIsTyped(t *testing.T) {
	dev := newFake(DefaultLimits)
	dev.memory = 100 << 10
	b := newBackend(dev)
	_, err := compileCase(b, enginetest.Case{Build: func(g *engine.Graph) {
		x := g.Input("x", engine.F32, 100, 1000)
		g.Output("y", engine.SiLU(engine.Affine(x, 2, 1)))
	}})
	if !errors.Is(err, engine.ErrOutOfMemory) {
		t.Errorf("got %v, want ErrOutOfMemory", err)
	}
	if dev.allocated != 0 {
		t.Errorf("%d bytes stay allocated", dev.allocated)
	}
}

// TestFailedUnpack: a weight whose plain form could not be made has none.
func TestFailedUnpack(t *testing.T) {
	dev := newFake(DefaultLimits)
	b := newBackend(dev)
	w, err := b.Upload(engine.NewTensor(engine.F16, 8, 8))
	if err != nil {
		t.Fatal(err)
	}
	g, err := engine.Build(func(g *engine.Graph) {
		g.Output("y", engine.Add(g.Input("x", engine.F32, 8, 8), g.Weight("w", 8, 8)))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []bool{true, false} {
		dev.broken = broken
		_, err := b.Compile(g, map[string]engine.Buffer{"w": w})
		if (err != nil) != broken {
			t.Errorf("broken %v: error %v", broken, err)
		}
	}
	if len(dev.ran) != 1 {
		t.Errorf("%d scripts were run to unpack the weight, want 1", len(dev.ran))
	}
	w.Release()
	b.dropArena()
	if dev.allocated != 0 {
		t.Errorf("%d bytes are left", dev.allocated)
	}
}

func TestTooLargeIsOutOfMemory(t *testing.T) {
	b := newBackend(newFake(DefaultLimits))
	_, err := compileCase(b, enginetest.Case{Build: func(g *engine.Graph) {
		x := g.Input("x", engine.F32, 1)
		g.Output("y", engine.Slice(engine.Add(x, engine.Reshape(engine.Softmax(engine.Upsample2D(engine.Reshape(x, 1, 1, 1, 1), 9000, 9000)), 9000*9000)), 0, 0, 1))
	}})
	if !errors.Is(err, engine.ErrOutOfMemory) || !strings.Contains(err.Error(), "upsample2d") {
		t.Errorf("got %v, want ErrOutOfMemory that names the op", err)
	}
}

func TestIndexOutsideTable(t *testing.T) {
	b := newBackend(newFake(DefaultLimits))
	_, err := compileCase(b, enginetest.Case{Build: func(g *engine.Graph) {
		g.Output("y", engine.Embedding(g.Weight("table", 4, 8), g.Input("ids", engine.I32, 5)))
	}})
	if err == nil || !strings.Contains(err.Error(), "outside the table") {
		t.Errorf("got %v", err)
	}
}

// TestSelfTestReference: the numbers that a device must reproduce are the
// reference backend's.
func TestSelfTestReference(t *testing.T) {
	g, err := selfTestGraph()
	if err != nil {
		t.Fatal(err)
	}
	in, weights := selfTestData(g)
	buffers := map[string]engine.Buffer{}
	oracle := cpu.New()
	for name, w := range weights {
		if buffers[name], err = oracle.Upload(w); err != nil {
			t.Fatal(err)
		}
	}
	p, err := oracle.Compile(g, buffers)
	if err != nil {
		t.Fatal(err)
	}
	y := engine.NewTensor(engine.F32, g.Outputs[0].Node.Shape...)
	if err := p.Run(context.Background(), in, map[string]engine.Tensor{"y": y}); err != nil {
		t.Fatal(err)
	}
	if got := y.Float32s()[:len(selfTestWant)]; distance(selfTestWant[:], got) > 1e-10 {
		t.Errorf("the reference is %#v", got)
	}
}

// TestRateIsBounded: a clock that stands still makes no device so fast that its
// work is submitted all at once.
func TestRateIsBounded(t *testing.T) {
	b := newBackend(newFake(DefaultLimits))
	if err := b.measure(context.Background()); err != nil {
		t.Fatal(err)
	}
	if b.info.GFLOPS > 5000 {
		t.Errorf("%v GFLOP/s of a device that takes no time", b.info.GFLOPS)
	}
}

func TestAdapterCPU(t *testing.T) {
	for _, a := range []Adapter{{Architecture: "swiftshader"}, {Description: "llvmpipe (LLVM 15.0.6, 256 bits)"}, {Fallback: true}, {Description: "Microsoft Basic Render Driver"}, {Vendor: "microsoft", Architecture: "warp"}} {
		if !a.CPU() {
			t.Errorf("%v is not known as software", a)
		}
	}
	if (Adapter{Vendor: "nvidia", Architecture: "lovelace"}).CPU() {
		t.Error("a graphics card is taken for software")
	}
}

// fusedModulations are the modulations of a norm of x (2, 5, 12).
func fusedModulations() []enginetest.Case {
	modulated := func(norm func(g *engine.Graph, x *engine.Node) *engine.Node) func(g *engine.Graph) {
		return func(g *engine.Graph) {
			part := func(name string) *engine.Node { return g.Input(name, engine.F32, 2, 1, 12) }
			g.Output("y", engine.Modulate(norm(g, g.Input("x", engine.F32, 2, 5, 12)), part("shift"), part("scale")))
		}
	}
	return []enginetest.Case{
		{Name: "large/modulated_layer_norm", Build: modulated(func(g *engine.Graph, x *engine.Node) *engine.Node {
			return engine.LayerNorm(x, g.Weight("gamma", 12), g.Weight("beta", 12), 1e-6)
		})},
		{Name: "large/modulated_rms_norm", Build: modulated(func(g *engine.Graph, x *engine.Node) *engine.Node {
			return engine.RMSNorm(x, g.Weight("gamma", 12), 1e-6)
		})},
	}
}

// TestModulatedNormsAreOneStep: a norm and its modulation are one dispatch,
// unless something else reads what lies between.
func TestModulatedNormsAreOneStep(t *testing.T) {
	for _, c := range fusedModulations() {
		for want, build := range map[int]func(g *engine.Graph){1: c.Build, 2: func(g *engine.Graph) {
			c.Build(g)
			for _, n := range g.Nodes {
				if n.Op == engine.OpLayerNorm || n.Op == engine.OpRMSNorm {
					g.Output("between", n)
				}
			}
		}} {
			p, err := compileCase(newBackend(newFake(DefaultLimits)), enginetest.Case{Build: build})
			if err != nil {
				t.Fatal(err)
			}
			if len(p.steps) != want {
				t.Errorf("%s: %d steps, want %d", c.Name, len(p.steps), want)
			}
		}
	}
}
