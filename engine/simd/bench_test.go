package simd

import (
	"context"
	"math"
	"testing"
	"time"

	"wisp/engine"
	"wisp/engine/enginetest"
)

// benchCase is a graph with its cost in FLOPs (0: count bytes of the result).
type benchCase struct {
	name  string
	flops float64
	build func(g *engine.Graph) *engine.Node
	dtype engine.DType
}

func benchCases() []benchCase {
	linear := func(m, k, n int) func(g *engine.Graph) *engine.Node {
		return func(g *engine.Graph) *engine.Node {
			return engine.Linear(g.Input("x", engine.F32, m, k), g.Weight("w", n, k), g.Weight("b", n))
		}
	}
	conv := func(h, in, out, k int) func(g *engine.Graph) *engine.Node {
		return func(g *engine.Graph) *engine.Node {
			p := k / 2
			return engine.Conv2D(g.Input("x", engine.F32, 1, h, h, in), g.Weight("w", out, in, k, k), g.Weight("b", out), 1, [4]int{p, p, p, p})
		}
	}
	attention := func(tq, tk, heads, hd int) func(g *engine.Graph) *engine.Node {
		return func(g *engine.Graph) *engine.Node {
			d := heads * hd
			return engine.Attention(g.Input("q", engine.F32, 1, tq, d), g.Input("k", engine.F32, 1, tk, d), g.Input("v", engine.F32, 1, tk, d), heads, 0.15, false)
		}
	}
	cases := []benchCase{
		{"linear/4096x320x1280", 2 * 4096 * 320 * 1280, linear(4096, 320, 1280), 0},
		{"linear/77x768x3072", 2 * 77 * 768 * 3072, linear(77, 768, 3072), 0},
		{"linear/1x1280x1280", 2 * 1280 * 1280, linear(1, 1280, 1280), 0},
		{"conv2d/3x3_320_64", 2 * 4096 * 320 * 320 * 9, conv(64, 320, 320, 3), 0},
		{"conv2d/3x3_64_128", 2 * 16384 * 64 * 64 * 9, conv(128, 64, 64, 3), 0},
		{"conv2d/3x3_320_8", 2 * 64 * 320 * 320 * 9, conv(8, 320, 320, 3), 0},
		{"conv2d/1x1_320_64", 2 * 4096 * 320 * 320, conv(64, 320, 320, 1), 0},
		{"conv2d/3x3_4_320_64", 2 * 4096 * 4 * 320 * 9, conv(64, 4, 320, 3), 0},
		{"conv2d/3x3_64_3_128", 2 * 16384 * 64 * 3 * 9, conv(128, 64, 3, 3), 0},
		{"depthwise_conv2d/3x3_320_64", 2 * 4096 * 320 * 9, func(g *engine.Graph) *engine.Node {
			return engine.DepthwiseConv2D(g.Input("x", engine.F32, 1, 64, 64, 320), g.Weight("w", 320, 1, 3, 3), g.Weight("b", 320), 1, [4]int{1, 1, 1, 1})
		}, 0},
		{"conv_transpose2d/4x4_s2_128_32", 2 * 1024 * 128 * 128 * 16, func(g *engine.Graph) *engine.Node {
			return engine.ConvTranspose2D(g.Input("x", engine.F32, 1, 32, 32, 128), g.Weight("w", 128, 128, 4, 4), g.Weight("b", 128), 2, 1, 0)
		}, 0},
		{"attention/4096x8x40", 4 * 4096 * 4096 * 320, attention(4096, 4096, 8, 40), 0},
		{"attention/4096x77x8x40", 4 * 4096 * 77 * 320, attention(4096, 77, 8, 40), 0},
		{"attention/256x8x40", 4 * 256 * 256 * 320, attention(256, 256, 8, 40), 0},
		{"group_norm/silu_320_64", 0, func(g *engine.Graph) *engine.Node {
			return engine.SiLU(engine.GroupNorm(g.Input("x", engine.F32, 1, 64, 64, 320), g.Weight("g", 320), g.Weight("b", 320), 32, 1e-5))
		}, 0},
		{"layer_norm/4096x320", 0, func(g *engine.Graph) *engine.Node {
			return engine.LayerNorm(g.Input("x", engine.F32, 4096, 320), g.Weight("g", 320), g.Weight("b", 320), 1e-5)
		}, 0},
		{"geglu/4096x1280", 0, func(g *engine.Graph) *engine.Node { return engine.GEGLU(g.Input("x", engine.F32, 4096, 2560)) }, 0},
		{"silu/1M", 0, func(g *engine.Graph) *engine.Node { return engine.SiLU(g.Input("x", engine.F32, 1<<20)) }, 0},
		{"gelu/1M", 0, func(g *engine.Graph) *engine.Node { return engine.GELU(g.Input("x", engine.F32, 1<<20)) }, 0},
		{"add/1M", 0, func(g *engine.Graph) *engine.Node {
			return engine.Add(g.Input("x", engine.F32, 1<<20), g.Input("y", engine.F32, 1<<20))
		}, 0},
		{"concat/64x64x320x320", 0, func(g *engine.Graph) *engine.Node {
			return engine.Concat(-1, g.Input("x", engine.F32, 4096, 320), g.Input("y", engine.F32, 4096, 320))
		}, 0},
		{"upsample2d/32_320", 0, func(g *engine.Graph) *engine.Node {
			return engine.Upsample2D(g.Input("x", engine.F32, 1, 32, 32, 320), 64, 64)
		}, 0},
	}
	for _, d := range []engine.DType{engine.F16, engine.Q8, engine.Q4} {
		cases = append(cases, benchCase{"linear/4096x320x1280_" + d.String(), 2 * 4096 * 320 * 1280, linear(4096, 320, 1280), d},
			benchCase{"linear/77x768x3072_" + d.String(), 2 * 77 * 768 * 3072, linear(77, 768, 3072), d},
			benchCase{"linear/1x1280x1280_" + d.String(), 2 * 1280 * 1280, linear(1, 1280, 1280), d})
	}
	return append(cases, benchCase{"linear/1024x1024x1024_q2", 2 << 30, linear(1024, 1024, 1024), engine.Q2}, benchCase{"linear/1024x1024x1024_q8", 2 << 30, linear(1024, 1024, 1024), engine.Q8})
}

// BenchmarkOps times the execution of one op, the best of all, without copying
// inputs or outputs: GFLOP/s, or GB/s of result written where there is little
// arithmetic.
// In turn with it runs the matmul tile on data in the first-level cache, the
// most that a machine gives: "peak" is the op's share of that, which other
// load on the machine disturbs less.
func BenchmarkOps(b *testing.B) {
	for _, flavour := range []struct {
		name string
		opts Options
	}{
		{"baseline_1", Options{Relaxed: Off, Threads: 1}},
		{"relaxed_1", Options{Relaxed: On, Threads: 1}},
		{"relaxed_2", Options{Relaxed: On, Threads: 2}},
		{"relaxed_1_int8", Options{Relaxed: On, Threads: 1, Int8: On}},
	} {
		if flavour.opts.Relaxed == On && !hasRelaxed() || flavour.opts.Threads > 1 && !canShare() {
			continue
		}
		for _, c := range benchCases() {
			if flavour.opts.Int8 == On && c.dtype != engine.Q8 && c.dtype != engine.Q2 {
				continue // of no concern to it
			}
			b.Run(flavour.name+"/"+c.name, func(b *testing.B) { benchmark(b, openAll(b, flavour.opts), c) })
		}
	}
}

func benchmark(b *testing.B, be *backend, c benchCase) {
	g, err := engine.Build(func(g *engine.Graph) {
		g.Output("y", c.build(g))
		for _, x := range g.Inputs() {
			g.Output(x.Name, x) // still there for the next run
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	in, weights := enginetest.Data(g, c.dtype)
	buffers := map[string]engine.Buffer{}
	for name, w := range weights {
		if buffers[name], err = be.Upload(w); err != nil {
			b.Fatal(err)
		}
	}
	p, err := be.Compile(g, buffers)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Run(context.Background(), in, nil); err != nil {
		b.Fatal(err)
	}
	peak := newPeak(b, be)
	op, ceiling := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		if err := p.(*program).execute(context.Background()); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		peak.run(b)
		op, ceiling = min(op, middle.Sub(start)), min(ceiling, time.Since(middle))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(op.Seconds()*1e3, "ms")
	if c.flops == 0 {
		b.ReportMetric(4*float64(g.Outputs[0].Node.Elems())/op.Seconds()/1e9, "GB/s")
		return
	}
	rate := c.flops / op.Seconds()
	b.ReportMetric(rate/1e9, "GFLOP/s")
	b.ReportMetric(rate/(peakFLOPs/ceiling.Seconds())*100, "%peak")
}

// peak is a command list that runs the matmul tile out of the first-level cache.
type peak struct {
	b          *backend
	start, end int
}

const (
	peakRepeats = 1000
	peakFLOPs   = peakRepeats * 2 * 12 * 256 * 16
)

func newPeak(t testing.TB, b *backend) peak {
	g := build(t, func(g *engine.Graph) {
		g.Output("y", engine.Linear(g.Input("x", engine.F32, 12, 256), g.Weight("w", 16, 256), nil))
	})
	_, weights := enginetest.Data(g, engine.F32)
	p, err := b.Compile(g, upload(t, b, weights))
	if err != nil {
		t.Fatal(err)
	}
	words := make([]byte, 4*len(p.(*program).words))
	b.host.read(p.(*program).code.addr, words)
	s, err := b.mem.alloc(peakRepeats * len(words))
	if err != nil {
		t.Fatal(err)
	}
	for i := range peakRepeats {
		b.host.write(s.addr+i*len(words), words)
	}
	return peak{b, s.addr, s.addr + peakRepeats*len(words)}
}

func (p peak) run(t testing.TB) {
	if err := p.b.run(p.start, p.end); err != nil {
		t.Fatal(err)
	}
}
