// Wisp times one case in a worker: its arguments are the case's name and the
// number of threads, its answer the global wispResult.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall/js"
	"time"

	"wisp/engine"
	"wisp/engine/enginetest"
	"wisp/engine/simd"
	"wisp/tests/bench/simd/cases"
)

func main() {
	result, err := run(os.Args[1], os.Args[2])
	if err != nil {
		result = map[string]any{"error": err.Error()}
	}
	js.Global().Set("wispResult", result)
}

func run(name, threads string) (map[string]any, error) {
	count, err := strconv.Atoi(threads)
	if err != nil {
		return nil, err
	}
	for _, c := range cases.All() {
		if c.Name == name {
			return measure(c, count)
		}
	}
	return nil, fmt.Errorf("no case %q", name)
}

func measure(c cases.Case, threads int) (map[string]any, error) {
	g, err := c.Build()
	if err != nil {
		return nil, err
	}
	opts := simd.Options{Threads: threads}
	if c.Int8 {
		opts.Int8 = simd.On
	}
	b, err := simd.New(opts)
	if err != nil {
		return nil, err
	}
	weights, in, out := map[string]engine.Buffer{}, map[string]engine.Tensor{}, map[string]engine.Tensor{}
	for _, n := range g.Weights() {
		t := cases.Values(n)
		if len(n.Shape) > 1 && c.DType != engine.F32 {
			t = enginetest.Store(t, c.DType)
		}
		if weights[n.Name], err = b.Upload(t); err != nil {
			return nil, err
		}
	}
	for _, n := range g.Inputs() {
		in[n.Name] = cases.Values(n)
	}
	y := engine.NewTensor(engine.F32, g.Outputs[0].Node.Shape...)
	out[g.Outputs[0].Name] = y
	p, err := b.Compile(g, weights)
	if err != nil {
		return nil, err
	}
	// A run that may be cancelled, as the page's are: it looks at its events
	// now and then, which the other threads need to come up.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var best time.Duration
	// The first run is not counted; then for three seconds, two at least: a browser
	// optimises its code meanwhile, for which two threads leave little time.
	for i, begin := 0, time.Now(); i < 3 || time.Since(begin) < 3*time.Second; i++ {
		start := time.Now()
		if err := p.Run(ctx, in, out); err != nil {
			return nil, err
		}
		if t := time.Since(start); i > 0 && (best == 0 || t < best) {
			best = t
		}
		if i == 0 {
			begin = time.Now()
		}
	}
	data := js.Global().Get("Uint8Array").New(len(y.Data))
	js.CopyBytesToJS(data, y.Data)
	return map[string]any{"ms": best.Seconds() * 1e3, "bytes": b.(interface{ MemoryBytes() int }).MemoryBytes(), "y": data}, nil
}
