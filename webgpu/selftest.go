package webgpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"wisp/engine"
)

// start tests the device and chooses the precision.
func (b *Backend) start(ctx context.Context, o Options) error {
	if o.Fast && b.info.Adapter.CPU() {
		return fmt.Errorf("webgpu: %v computes on the CPU: %w", b.info.Adapter, engine.ErrUnsupported)
	}
	reference, err := b.checked(ctx)
	if err != nil && b.info.Subgroups && !errors.Is(err, engine.ErrDeviceLost) && ctx.Err() == nil {
		b.info.Subgroups = false // the feature that drivers get wrong most
		reference, err = b.checked(ctx)
	}
	if err != nil {
		return err
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	if o.Fast && b.info.GFLOPS < slowest {
		return fmt.Errorf("webgpu: %v makes only %.1f GFLOP/s: %w", b.info.Adapter, b.info.GFLOPS, engine.ErrUnsupported)
	}
	switch {
	case o.Precision == "f32":
		b.info.Reason = "f32 was asked for"
	case !b.info.Adapter.has("shader-f16"):
		b.info.Reason = "the adapter has no shader-f16"
	default:
		b.info.Reason, err = b.tryHalf(ctx, reference)
	}
	if o.Profile {
		b.startProfile()
	}
	if err == nil && o.Precision == "f16" && b.elem != engine.F16 {
		err = fmt.Errorf("webgpu: no f16: %s: %w", b.info.Reason, engine.ErrUnsupported)
	}
	return err
}

// checked is the result of the self-test in f32, which the reference backend's
// bears out.
func (b *Backend) checked(ctx context.Context) ([]float32, error) {
	got, err := b.selfTest(ctx, engine.F32)
	if err != nil {
		return nil, err
	}
	if d := distance(got[:len(selfTestWant)], selfTestWant[:]); !(d < 1e-6) {
		return nil, fmt.Errorf("webgpu: %v computes wrong results (error %.2g): %w", b.info.Adapter, d, engine.ErrUnsupported)
	}
	return got, nil
}

// tryHalf switches to f16 where the self-test agrees with f32; else it returns
// why not.
func (b *Backend) tryHalf(ctx context.Context, reference []float32) (reason string, err error) {
	got, err := b.selfTest(ctx, engine.F16)
	switch {
	case errors.Is(err, engine.ErrDeviceLost) || ctx.Err() != nil:
		return "", err
	case err != nil:
		return fmt.Sprintf("the self-test in f16 failed: %v", err), nil
	}
	if d := distance(got, reference); !(d < 1e-4) {
		return fmt.Sprintf("the self-test in f16 is off by %.2g", d), nil
	}
	b.elem, b.info.Precision = engine.F16, "f16"
	return "", nil
}

// selfTestGraph is a convolution, two norms, attention and a linear layer:
// the kernels that go wrong where drivers do.
func selfTestGraph() (*engine.Graph, error) {
	return engine.Build(func(g *engine.Graph) {
		const c = 32
		x := g.Input("x", engine.F32, 1, 8, 8, c)
		x = engine.Conv2D(x, g.Weight("conv", c, c, 3, 3), nil, 1, [4]int{1, 1, 1, 1})
		x = engine.SiLU(engine.GroupNorm(x, g.Weight("gamma", c), g.Weight("beta", c), 4, 1e-5))
		t := engine.Reshape(x, 1, 64, c)
		t = engine.Add(engine.Attention(t, t, t, 2, 0.25, false), t)
		t = engine.LayerNorm(t, g.Weight("gamma", c), g.Weight("beta", c), 1e-5)
		g.Output("y", engine.Linear(t, g.Weight("linear", c, c), nil))
	})
}

// selfTestWant is the start of the reference backend's result.
var selfTestWant = [8]float32{2.4902825, 0.7804897, -3.1527467, 2.247861, 0.6918414, 2.4928498, 0.79655564, -1.5097445}

// selfTestValues are n numbers in ±scale, the same everywhere.
func selfTestValues(n int, scale float32) []float32 {
	out := make([]float32, n)
	state := uint32(n)
	for i := range out {
		state = state*1664525 + 1013904223
		out[i] = scale * (float32(state>>8)/(1<<23) - 1)
	}
	return out
}

// selfTestData makes the graph's input and weights.
func selfTestData(g *engine.Graph) (in, weights map[string]engine.Tensor) {
	in, weights = map[string]engine.Tensor{}, map[string]engine.Tensor{}
	for _, n := range g.Inputs() {
		in[n.Name] = engine.FromFloat32s(selfTestValues(n.Elems(), 2), n.Shape...)
	}
	for _, n := range g.Weights() {
		_, k := n.Shape.Rows()
		weights[n.Name] = engine.FromFloat32s(selfTestValues(n.Elems(), float32(1.7/math.Sqrt(float64(k)))), n.Shape...)
	}
	return in, weights
}

// selfTest runs the graph with activations of type d.
func (b *Backend) selfTest(ctx context.Context, d engine.DType) ([]float32, error) {
	g, err := selfTestGraph()
	if err != nil {
		return nil, err
	}
	in, weights := selfTestData(g)
	before := b.elem
	b.elem = d
	defer func() { b.elem = before }()
	_, out, err := b.trial(ctx, g, in, weights)
	return out, err
}

// trial runs a graph with the output y once to warm up and once for time.
func (b *Backend) trial(ctx context.Context, g *engine.Graph, in, weights map[string]engine.Tensor) (time.Duration, []float32, error) {
	buffers := map[string]engine.Buffer{}
	for name, w := range weights {
		buffer, err := b.Upload(w)
		if err != nil {
			return 0, nil, err
		}
		defer buffer.Release()
		buffers[name] = buffer
	}
	p, err := b.Compile(g, buffers)
	if err != nil {
		return 0, nil, err
	}
	defer p.Close()
	y := engine.NewTensor(engine.F32, g.Outputs[0].Node.Shape...)
	var start time.Time
	for range 2 {
		start = time.Now()
		if err := p.(*program).run(ctx, in, map[string]engine.Tensor{"y": y}); err != nil {
			return 0, nil, err
		}
	}
	return time.Since(start), y.Float32s(), nil
}

// measure times the matrix kernel, with as much work as the device does in a
// few milliseconds, since a run alone takes about that long.
func (b *Backend) measure(ctx context.Context) error {
	const rows, d = 64, 512
	for _, layers := range []int{1, 16, 128} {
		g, err := engine.Build(func(g *engine.Graph) {
			x := g.Input("x", engine.F32, rows, d)
			for range layers {
				x = engine.Linear(x, g.Weight("w", d, d), nil)
			}
			g.Output("y", x)
		})
		if err != nil {
			return err
		}
		in := map[string]engine.Tensor{"x": engine.NewTensor(engine.F32, rows, d)}
		took, _, err := b.trial(ctx, g, in, map[string]engine.Tensor{"w": engine.NewTensor(engine.F32, d, d)})
		if err != nil {
			return err
		}
		b.info.GFLOPS = 2 * rows * d * d * float64(layers) / float64(max(took, time.Millisecond).Nanoseconds()) // some clocks are coarser
		if took > 15*time.Millisecond {
			break
		}
	}
	return nil
}

// distance is the normalised mean squared error; infinite where a number is
// not finite.
func distance(got, want []float32) float64 {
	var num, den float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		num, den = num+d*d, den+float64(w)*float64(w)
	}
	if slices.ContainsFunc(got, func(v float32) bool { return math.IsNaN(float64(v - v)) }) {
		return math.Inf(1)
	}
	return num / max(den, 1e-30)
}
